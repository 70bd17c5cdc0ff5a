//! One mail to the owner of a link for all that was downloaded within a minute, which survives a restart; and what
//! replies to a link's mail lead to.

use oncelink::receipt::DeliveryState;

use crate::support::client::Client;
use crate::support::deliveries::{BothServices, eventually};
use crate::support::links::make;
use crate::support::mail::{Mail, outbox};
use crate::support::postgres::empty_schema;
use crate::support::web::{PASSWORD, TestWeb};

async fn stages() -> Vec<BothServices> {
    let mut all = vec![BothServices::start().await];
    if let Some(address) = empty_schema().await {
        all.push(BothServices::start_with(|settings| settings.web.database = address.into()).await);
    }
    all
}

/// Downloads each of the files once.
async fn download(services: &BothServices, names: &[String]) {
    for name in names {
        services.put(name, b"content");
        let (jti, link) = services.access.token(name, services.clock.now()).await;
        assert_eq!(Client::default().get(&link).await.status, 200);
        services.access.until_state(jti, DeliveryState::Complete).await;
    }
}

fn mails(services: &BothServices) -> Vec<Mail> {
    outbox(&services.settings.outbox_dir())
}

fn names(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("plan {n}.pdf")).collect()
}

#[actix_web::test]
async fn downloads_within_a_minute_are_one_mail_even_over_a_restart() {
    for mut services in stages().await {
        services.access.link(Some("bob@example.org"), "every").await;
        download(&services, &names(0, 2)).await;
        services.pass(30);
        services.restart().await;
        download(&services, &names(2, 3)).await;
        assert!(mails(&services).is_empty(), "it waits for more");
        services.pass(31);
        eventually("the digest", async || !mails(&services).is_empty()).await;
        let all = mails(&services);
        assert_eq!(all.len(), 1);
        let mail = &all[0];
        assert_eq!(mail.header("subject"), "bob@example.org: 3 downloads of \"Plans\"");
        for text in [&mail.text, &mail.html] {
            for name in names(0, 3) {
                assert_eq!(text.matches(&name).count(), 1, "{text}");
            }
            assert!(text.contains("3 downloads through your link") && !text.contains("and "), "{text}");
        }
        // The next one comes ten minutes later at the earliest, and lists only what is new.
        download(&services, &names(3, 4)).await;
        services.pass(61);
        let queued: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM mails WHERE kind = 'taken' AND state = 'waiting'")
                .fetch_one(services.access.db.db.reader())
                .await
                .unwrap();
        assert_eq!((queued, mails(&services).len()), (1, 1));
        services.pass(600);
        eventually("the second digest", async || mails(&services).len() == 2).await;
        let second = mails(&services).into_iter().find(|mail| mail.text.contains("plan 3.pdf")).unwrap();
        assert_eq!(second.header("subject"), "bob@example.org downloaded \"Plans\"");
        assert!(!second.text.contains("plan 2.pdf"), "{}", second.text);
        services.stop().await;
    }
}

#[actix_web::test]
async fn a_digest_of_many_downloads_lists_some_and_counts_the_rest() {
    for services in stages().await {
        services.access.link(None, "every").await;
        download(&services, &names(0, 13)).await;
        services.pass(61);
        eventually("the digest", async || !mails(&services).is_empty()).await;
        let mail = mails(&services).remove(0);
        assert_eq!(mail.header("subject"), "13 downloads of \"Plans\"");
        for text in [&mail.text, &mail.html] {
            assert_eq!(text.matches(".pdf").count(), 10, "{text}");
            assert!(text.contains("and 3 more"), "{text}");
        }
        services.stop().await;
    }
}

#[actix_web::test]
async fn replies_go_to_the_confirmed_address_of_the_sender_and_to_no_other() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let terms = [("recipients", "bob@example.org"), ("mail", "yes")];
    // A new address counts only when it is confirmed.
    let request = [("email", "new@example.org"), ("current_password", PASSWORD)];
    assert_eq!(ada.fill("/account", "/account/email", &request).await.status, 303);
    make(&mut ada, &terms).await;
    let reply_to = |mails: &[Mail]| -> Vec<String> {
        let to_bob = mails.iter().filter(|mail| mail.header("to") == "bob@example.org");
        to_bob.map(|mail| mail.header("reply-to")).collect()
    };
    let mails = web.mails().await;
    assert_eq!(reply_to(&mails), ["ada@example.org"]);
    // A mail that waits is sent with the address that counts by then.
    make(&mut ada, &terms).await;
    let confirm = mails.iter().find(|mail| mail.header("to") == "new@example.org").unwrap().path();
    let confirmed = ada.fill(&confirm, &confirm, &[]).await;
    assert!(confirmed.status < 400, "{} {}", confirmed.status, confirmed.body);
    let all = reply_to(&web.mails().await);
    assert_eq!(all.len(), 2);
    assert!(all.contains(&"new@example.org".to_owned()), "{all:?}");
    // No address that could add a header is an address at all.
    for wrong in ["x@example.org\r\nBcc: y@example.org", "x@example.org, y@example.org", "<x@example.org>"] {
        let request = [("email", wrong), ("current_password", PASSWORD)];
        assert_eq!(ada.fill("/account", "/account/email", &request).await.status, 422, "{wrong:?}");
    }
    web.stop().await;
}
