//! The form for a new webhook, and what is shown once.

use crate::support::web::{Browser, TestWeb};
use crate::support::webhooks::{make, send};

const PAGE: &str = "/account/webhooks";

async fn ada() -> (TestWeb, Browser) {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let browser = web.logged_in("ada@example.org").await;
    (web, browser)
}

#[actix_web::test]
async fn the_secret_is_shown_once_and_is_not_in_the_database() {
    let (web, mut ada) = ada().await;
    let empty = ada.get(PAGE).await.body;
    assert!(empty.contains("Add a webhook") && !empty.contains("account.created"), "{empty}");
    let (page, secret) = make(&mut ada, "https://hooks.example.org/x?key=1").await;
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    let shown = ada.get(&page).await.body;
    assert!(shown.contains("https://hooks.example.org/x?key=1") && !shown.contains("whsec_"), "{shown}");
    let stored = std::fs::read(web.settings.database_file()).unwrap();
    let bare = secret.trim_start_matches("whsec_").as_bytes();
    assert!(!stored.windows(bare.len()).any(|bytes| bytes == bare));
    web.stop().await;
}

#[actix_web::test]
async fn a_form_that_is_sent_twice_makes_one_webhook() {
    let (web, mut ada) = ada().await;
    let form = ada.get(PAGE).await.csrf();
    let fields = [("csrf", form.as_str()), ("url", "https://hooks.example.org/"), ("event", "link.ended")];
    assert_eq!(ada.post(PAGE, &fields).await.status, 200);
    let again = ada.post(PAGE, &fields).await;
    assert_eq!((again.status, again.location.as_deref()), (303, Some(PAGE)));
    let page = ada.get(PAGE).await.body;
    assert!(page.contains("can’t be shown again"), "{page}");
    assert_eq!(page.matches("href=\"/account/webhooks/").count(), 1, "{page}");
    web.stop().await;
}

#[actix_web::test]
async fn what_is_wrong_is_said_beside_the_field_and_what_was_typed_is_kept() {
    let (web, mut ada) = ada().await;
    for (url, events, says) in [
        ("http://hooks.example.org/", &["link.ended"][..], "must begin with https://"),
        ("https://10.0.0.1/", &["link.ended"], "one that the internet can reach; this one is private"),
        ("https://2130706433/", &["link.ended"], "as four numbers with dots"),
        ("https://a:b@hooks.example.org/", &["link.ended"], "user name or a password"),
        ("https://hooks.example.org/", &[], "Choose at least one."),
    ] {
        let answer = send(&mut ada, url, events).await;
        assert!(answer.status == 422 && answer.body.contains(says), "{url}: {}", answer.body);
        assert!(answer.body.contains(&format!("value=\"{url}\"")), "{url}: {}", answer.body);
        let boxes = answer.body.matches(" checked").count();
        assert_eq!(boxes, events.len(), "{url}");
    }
    for fields in [
        &[("url", "https://a.example/"), ("event", "nothing")][..],
        &[("event", "link.ended")],
        &[("url", "https://a.example/"), ("url", "https://b.example/"), ("event", "link.ended")],
    ] {
        assert_eq!(ada.fill(PAGE, PAGE, fields).await.status, 400, "{fields:?}");
    }
    web.stop().await;
}

#[actix_web::test]
async fn an_account_has_at_most_ten() {
    let (web, mut ada) = ada().await;
    let form = ada.get(PAGE).await.csrf();
    for n in 0..10 {
        make(&mut ada, &format!("https://hooks.example.org/{n}")).await;
    }
    let full = ada.get(PAGE).await.body;
    assert!(!full.contains("Add a webhook") && full.contains("Delete one to add another"), "{full}");
    let fields = [("csrf", form.as_str()), ("url", "https://hooks.example.org/"), ("event", "link.ended")];
    let refused = ada.post(PAGE, &fields).await;
    assert!(refused.status == 422 && refused.body.contains("You have 10 webhooks"), "{}", refused.body);
    web.stop().await;
}

#[actix_web::test]
async fn pages_of_messages_lead_to_older_ones() {
    let (web, mut ada) = ada().await;
    let (page, _) = make(&mut ada, "https://hooks.example.org/").await;
    crate::support::webhooks::press(&mut ada, &page, "pause").await;
    for _ in 0..30 {
        crate::support::webhooks::press(&mut ada, &page, "test").await;
    }
    let first = ada.get(&page).await.body;
    assert_eq!(first.matches("<code>webhook.test</code>").count(), 25);
    let older = first.split("?before=").nth(1).unwrap().split('"').next().unwrap();
    let second = ada.get(&format!("{page}?before={older}")).await.body;
    assert_eq!(second.matches("<code>webhook.test</code>").count(), 5);
    assert!(second.contains(">Newest<") && !second.contains(">Older<"), "{second}");
    assert_eq!(ada.get(&format!("{page}?before=x")).await.status, 400);
    web.stop().await;
}
