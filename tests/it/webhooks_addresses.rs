//! Which addresses webhooks may have, and where messages are really sent: only where the address led when it was
//! checked.

use std::fs;
use std::net::IpAddr;

use oncelink::http_client::address_rule::{AddressRefusal, AddressRule};
use oncelink::web::webhooks::address::{InvalidWebhookUrl, WebhookUrl};
use serde::Deserialize;

use crate::support::web::TestWeb;
use crate::support::webhooks::{Receiver, deliver, press, send};

const PUBLIC: AddressRule = AddressRule { allow_private: false };
const ANY: AddressRule = AddressRule { allow_private: true };

#[derive(Deserialize)]
struct AddressVector {
    url: String,
    is: String,
}

#[derive(Deserialize)]
struct NetworkVector {
    address: IpAddr,
    is: String,
}

fn vectors<T: for<'de> Deserialize<'de>>(name: &str) -> Vec<T> {
    let text = fs::read_to_string(format!("tests/vectors/webhooks/{name}")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn only_addresses_that_the_internet_can_reach_are_accepted() {
    let vectors = vectors::<AddressVector>("addresses.json");
    assert!(vectors.len() > 70);
    for AddressVector { url, is } in vectors {
        let verdict = match WebhookUrl::parse(&url, PUBLIC) {
            Ok(_) => "valid",
            Err(InvalidWebhookUrl::Form) => "malformed",
            Err(InvalidWebhookUrl::Plain) => "plain",
            Err(InvalidWebhookUrl::Credentials) => "credentials",
            Err(InvalidWebhookUrl::Fragment) => "fragment",
            Err(InvalidWebhookUrl::TooLong) => "too long",
            Err(InvalidWebhookUrl::OddNumber) => "number",
            Err(InvalidWebhookUrl::NotPublic(_) | InvalidWebhookUrl::LocalName) => "local",
        };
        let is_right = if is == "not valid" { verdict != "valid" } else { verdict == is };
        assert!(is_right, "{url}: {verdict}, expected {is}");
    }
    let long = format!("https://hooks.example.org/{}", "x".repeat(2_000));
    assert_eq!(WebhookUrl::parse(&long, PUBLIC).unwrap_err(), InvalidWebhookUrl::TooLong);
}

#[test]
fn each_network_is_refused_unless_it_is_public_or_allowed() {
    let vectors = vectors::<NetworkVector>("networks.json");
    assert!(vectors.len() > 70);
    for NetworkVector { address, is } in vectors {
        let verdict = match (PUBLIC.refusal(address), ANY.refusal(address)) {
            (None, None) => "public",
            (Some(_), None) => "private",
            (_, Some(_)) => "never",
        };
        assert_eq!(verdict, is, "{address}: {:?} {:?}", PUBLIC.refusal(address), ANY.refusal(address));
    }
}

#[test]
fn plain_http_is_only_for_this_machine_and_only_if_the_operator_allows_it() {
    for url in ["http://127.0.0.1:8080/x", "http://localhost:8080/x", "http://[::1]/x"] {
        assert!(WebhookUrl::parse(url, ANY).is_ok(), "{url}");
        assert!(WebhookUrl::parse(url, PUBLIC).is_err(), "{url}");
    }
    for url in ["http://10.0.0.1/", "http://hooks.example.org/", "http://intranet/"] {
        assert_eq!(WebhookUrl::parse(url, ANY).unwrap_err(), InvalidWebhookUrl::Plain, "{url}");
    }
    assert!(WebhookUrl::parse("https://intranet/", ANY).is_ok());
    assert_eq!(
        WebhookUrl::parse("https://169.254.169.254/", ANY).unwrap_err(),
        InvalidWebhookUrl::NotPublic(AddressRefusal::Metadata)
    );
}

/// What stands on the page of a webhook with this address, which the form would refuse, after an attempt.
async fn attempt(web: &TestWeb, url: &str) -> String {
    let mut ada = web.logged_in("ada@example.org").await;
    sqlx::query("DELETE FROM webhooks").execute(web.outside.db.writer()).await.unwrap();
    assert_eq!(send(&mut ada, "https://hooks.example.org/", &["link.viewed"]).await.status, 200);
    sqlx::query("UPDATE webhooks SET url = $1").bind(url).execute(web.outside.db.writer()).await.unwrap();
    let id: String =
        sqlx::query_scalar("SELECT id FROM webhooks").fetch_one(web.outside.db.reader()).await.unwrap();
    let page = format!("/account/webhooks/{id}");
    press(&mut ada, &page, "test").await;
    deliver(web).await;
    ada.get(&page).await.body
}

/// A name that was public when it was typed may lead elsewhere when a message is sent.
#[actix_web::test]
async fn where_a_name_leads_is_checked_at_each_attempt() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let receiver = Receiver::start().await;
    let port = receiver.port;
    for url in [
        format!("https://localhost:{port}/"),
        format!("http://localhost:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        format!("https://2130706433:{port}/"),
    ] {
        let page = attempt(&web, &url).await;
        let says = ["not allowed (loopback)", "not allowed (translated)", "no secure connection"];
        assert!(says.iter().any(|says| page.contains(says)), "{page}");
    }
    assert!(receiver.received().is_empty(), "no byte got there");
    let nowhere = attempt(&web, "https://does-not-exist.invalid/").await;
    assert!(
        nowhere.contains("the name can’t be resolved") || nowhere.contains("can&#39;t be resolved"),
        "{nowhere}"
    );
    web.stop().await;
}

#[actix_web::test]
async fn with_leave_for_private_addresses_what_is_not_encrypted_stays_on_this_machine() {
    let web = TestWeb::spawn_with(crate::support::webhooks::allowed).await;
    web.account("ada@example.org", &[]).await;
    let page = attempt(&web, "http://192.0.2.1:1/").await;
    assert!(page.contains("the address is not allowed (not encrypted)"), "{page}");
    let page = attempt(&web, "https://169.254.169.254/").await;
    assert!(page.contains("the address is not allowed (metadata)"), "{page}");
    let receiver = Receiver::start().await;
    // Not TLS at all.
    let page = attempt(&web, &format!("https://127.0.0.1:{}/", receiver.port)).await;
    assert!(page.contains("no secure connection"), "{page}");
    assert!(receiver.received().is_empty());
    web.stop().await;
}
