//! Notices that people can turn off: by one click in their mail program (RFC 8058), and on their account's page.

use hyper::Method;
use oncelink::config::Settings;
use oncelink::receipt::DeliveryState;
use oncelink::web::identity::client_info::ClientInfo;
use oncelink::web::mail::MailKind;
use oncelink::web::mail::request_origin::RequestOrigin;

use crate::support::client::Client;
use crate::support::deliveries::{BothServices, eventually};
use crate::support::links::make;
use crate::support::mail::{Mail, outbox};
use crate::support::pattern;
use crate::support::postgres::empty_schema;
use crate::support::web::{Browser, FORM, TestWeb};

const ONE_CLICK: &str = "List-Unsubscribe=One-Click";

async fn stages() -> Vec<BothServices> {
    let mut all = vec![BothServices::start_with(|settings| settings.web.public_url = public()).await];
    if let Some(address) = empty_schema().await {
        let change = |settings: &mut Settings| {
            settings.web.public_url = public();
            settings.web.database = address.into();
        };
        all.push(BothServices::start_with(change).await);
    }
    for services in &all {
        services.put("plan.pdf", &pattern(5000));
        services.access.link(Some("bob@example.org"), "every").await;
    }
    all
}

fn public() -> String {
    "https://files.example".to_owned()
}

/// Downloads the file once, so that the owner of the link is notified if they want to be.
async fn download(services: &BothServices) {
    let (jti, link) = services.access.token("plan.pdf", services.clock.now()).await;
    assert_eq!(Client::default().get(&link).await.status, 200);
    services.access.until_state(jti, DeliveryState::Complete).await;
}

async fn queued(services: &BothServices) -> i64 {
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM mails WHERE kind = 'taken'");
    count.fetch_one(services.access.db.db.reader()).await.unwrap()
}

/// The unsubscribe address in a notice, without the host.
fn address(notice: &Mail) -> String {
    let address = notice.header("list-unsubscribe");
    let address = address.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap();
    assert!(address.len() <= 100, "{address}");
    address.strip_prefix(&public()).unwrap().to_owned()
}

#[actix_web::test]
async fn a_notice_is_turned_off_by_one_click_without_a_login_or_a_cookie() {
    for services in stages().await {
        download(&services).await;
        // A notice waits for further downloads for a minute.
        services.pass(61);
        let mails = || outbox(&services.settings.outbox_dir());
        eventually("the notice", async || !mails().is_empty()).await;
        let notice = mails().remove(0);
        assert_eq!(notice.header("list-unsubscribe-post"), ONE_CLICK);
        let path = address(&notice);
        assert!(notice.text.lines().any(|line| line == format!("{}{path}", public())), "{}", notice.text);
        let base = format!("http://{}", services.running.as_ref().unwrap().web.unwrap());
        let stranger = || Browser::at(&base);
        // What scanners do changes nothing.
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            let answer = stranger().send(method.clone(), &path, None).await;
            assert!(answer.status == 200 || method == Method::OPTIONS, "{method}: {}", answer.status);
        }
        let page = stranger().get(&path).await;
        assert!(page.body.contains("name=\"List-Unsubscribe\" value=\"One-Click\""), "{}", page.body);
        assert!(!page.body.contains("ada@example.org"), "nothing about the account is shown");
        for (kind, body) in [(FORM, ""), (FORM, "List-Unsubscribe="), ("text/plain", ONE_CLICK)] {
            let answer = stranger().send(Method::POST, &path, Some((kind, body.to_owned()))).await;
            assert_eq!(answer.status, 400, "{body}");
        }
        let notices = &services.access.db.notices;
        let owner = &services.access.owner.id;
        assert!(!notices.are_off(owner, MailKind::Taken).await.unwrap());
        // Only the exact address works.
        let other = |from: usize, to: &str| format!("{}{to}{}", &path[..from], &path[from + to.len()..]);
        let end = path.len() - 1;
        let last = if path.ends_with('A') { "B" } else { "A" };
        let code = path.rsplit('/').next().unwrap();
        for wrong in [
            other(end, last),
            other(path.len() - code.len(), if code.starts_with('A') { "B" } else { "A" }),
            path.replace("/taken/", "/password-changed/"),
            path.replace("/taken/", "/link/"),
            format!("/unsubscribe/taken/{}", &code[..22]),
            "/unsubscribe/taken/%C3%A4".to_owned(),
        ] {
            for method in [Method::GET, Method::POST] {
                let body = (method == Method::POST).then(|| (FORM, ONE_CLICK.to_owned()));
                assert_eq!(stranger().send(method, &wrong, body).await.status, 404, "{wrong}");
            }
        }
        assert!(!notices.are_off(owner, MailKind::Taken).await.unwrap());
        // Another notice is queued when they are turned off, and is not sent.
        download(&services).await;
        assert_eq!(queued(&services).await, 2);
        let multipart = "multipart/form-data; boundary=x";
        let body =
            "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n";
        let mut gmail = stranger();
        gmail.headers = vec![("origin", "https://mail.example".to_owned())];
        for (kind, body) in [(FORM, ONE_CLICK), (multipart, body)] {
            let answer = gmail.send(Method::POST, &path, Some((kind, body.to_owned()))).await;
            assert_eq!(
                (answer.status, answer.location),
                (200, None),
                "a repeat is accepted: {}",
                answer.body
            );
            assert!(answer.set_cookies.is_empty() && answer.body.contains("You’re unsubscribed"));
        }
        assert!(notices.are_off(owner, MailKind::Taken).await.unwrap());
        assert!(stranger().get(&path).await.body.contains("You’re unsubscribed"));
        services.pass(3600);
        eventually("the queued notice to be dropped", async || queued(&services).await == 1).await;
        download(&services).await;
        assert_eq!((queued(&services).await, mails().len()), (1, 1), "nothing more is queued or sent");
        services.stop().await;
    }
}

#[actix_web::test]
async fn an_account_shows_and_changes_whether_it_gets_notices() {
    let web = TestWeb::spawn().await;
    let ada = web.account("ada@example.org", &[]).await;
    let mut browser = web.logged_in("ada@example.org").await;
    let made = make(&mut browser, &[("notify", "every")]).await;
    let is_on = |body: &str| body.contains("name=\"downloads\" type=\"checkbox\" value=\"yes\" checked");
    assert!(is_on(&browser.get("/account").await.body));
    assert!(!browser.get(&made.page).await.body.contains("You’ve turned these emails off"));
    assert_eq!(browser.fill("/account", "/account/notices", &[]).await.status, 303);
    let page = browser.get("/account").await.body;
    assert!(!is_on(&page) && page.contains("You won’t get emails about downloads any more."), "{page}");
    let link = browser.get(&made.page).await.body;
    assert!(link.contains("You’ve turned these emails off"), "a link with notices says so: {link}");
    let new = browser.get("/links/new?file=/open/file.txt").await.body;
    assert!(new.contains("You’ve turned these emails off"), "{new}");
    // Turned off through a mail: the account page shows it and can turn it on again.
    let path = web.outside.notices.path(&ada.id, MailKind::Taken);
    assert_eq!(browser.fill("/account", "/account/notices", &[("downloads", "yes")]).await.status, 303);
    assert!(is_on(&browser.get("/account").await.body));
    let clicked = web.browser().send(Method::POST, &path, Some((FORM, ONE_CLICK.to_owned()))).await;
    assert_eq!(clicked.status, 200);
    assert!(!is_on(&browser.get("/account").await.body));
    assert_eq!(browser.fill("/account", "/account/notices", &[("downloads", "yes")]).await.status, 303);
    assert!(!web.outside.notices.are_off(&ada.id, MailKind::Taken).await.unwrap());
    // The account is deleted: the address in an old mail still answers, and does nothing.
    let fields = [("current_password", crate::support::web::PASSWORD)];
    assert_eq!(browser.fill("/account", "/account/delete", &fields).await.status, 303);
    let clicked = web.browser().send(Method::POST, &path, Some((FORM, ONE_CLICK.to_owned()))).await;
    assert_eq!(clicked.status, 200);
    web.stop().await;
}

#[actix_web::test]
async fn links_codes_and_mails_about_account_security_can_t_be_turned_off() {
    let web = TestWeb::spawn_with(|settings| settings.web.public_url = public()).await;
    let ada = web.account("ada@example.org", &[]).await;
    let now = web.clock.now();
    let kinds = MailKind::ALL.into_iter().filter(|kind| kind.can_be_turned_off());
    assert_eq!(kinds.collect::<Vec<_>>(), [MailKind::Taken]);
    for kind in MailKind::ALL.into_iter().filter(|kind| !kind.can_be_turned_off()) {
        let path = web.outside.notices.path(&ada.id, kind);
        let (kind, code) = path.strip_prefix("/unsubscribe/").unwrap().split_once('/').unwrap();
        assert_eq!(web.outside.notices.read(kind, code), None, "{kind}");
    }
    // Each of these is sent, and has no such header.
    let service = &web.outside.self_service;
    let place = ClientInfo { address: "192.0.2.1".parse().unwrap(), agent: "a browser".to_owned() };
    service.forgot(&ada.email, RequestOrigin::new(&place, now), now).await.unwrap();
    let mail = |kind: MailKind| oncelink::web::mail::NewMail {
        kind,
        recipient: ada.email.clone(),
        jti: oncelink::id::Jti::random().unwrap(),
        details: oncelink::web::mail::MailDetails::of(&ada.id),
    };
    let mut transaction = web.outside.db.begin().await.unwrap();
    for kind in
        [MailKind::AddressChanged, MailKind::PasswordChanged, MailKind::AccountDeleted, MailKind::Test]
    {
        web.outside.queue.add(&mut transaction, &mail(kind), now).await.unwrap();
    }
    web.outside.db.commit(transaction).await.unwrap();
    let mails = web.mails().await;
    assert_eq!(mails.len(), 5);
    for mail in mails {
        for name in ["list-unsubscribe", "list-unsubscribe-post"] {
            assert_eq!(mail.header(name), "", "{}", mail.header("subject"));
        }
    }
    web.stop().await;
}
