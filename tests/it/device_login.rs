//! A device logs in with a code that a person allows in a browser (RFC 8628), and gets a key of its own.

use std::fs;
use std::time::Duration;

use oncelink::clock::Clock;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::process::PROGRAM;
use crate::support::programs::run;
use crate::support::web::{Answer, Browser, PASSWORD, TestWeb};
use crate::web_link_downloads::Stage;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const SCOPE: &str = "files:read links";

fn advance(clock: &Clock, by: Duration) {
    clock.set(clock.now().plus(by));
}

/// Begins a login.
async fn start(device: &mut Browser) -> Value {
    let answer =
        device.post("/device/code", &[("client_id", "x"), ("scope", SCOPE), ("name", "a <laptop>")]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    serde_json::from_str(&answer.body).unwrap()
}

/// Asks once, and returns the status and the answer.
async fn ask(device: &mut Browser, started: &Value) -> (u16, Value) {
    let code = started["device_code"].as_str().unwrap();
    let answer = device.post("/device/token", &[("grant_type", GRANT), ("device_code", code)]).await;
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

fn error(answer: &(u16, Value)) -> &str {
    assert_eq!(answer.0, 400, "{answer:?}");
    answer.1["error"].as_str().unwrap()
}

async fn decide(browser: &mut Browser, started: &Value, password: &str, decision: &str) -> Answer {
    let code = started["user_code"].as_str().unwrap();
    let fields = [("code", code), ("current_password", password), ("decision", decision)];
    browser.fill("/account", "/device", &fields).await
}

#[actix_web::test]
async fn an_allowed_device_gets_a_key_once_and_it_may_do_what_was_shown() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let (mut ada, mut device) = (web.logged_in("ada@example.org").await, web.browser());
    let started = start(&mut device).await;
    assert_eq!((started["expires_in"].as_u64(), started["interval"].as_u64()), (Some(600), Some(5)));
    advance(&web.clock, Duration::from_secs(5));
    assert_eq!(error(&ask(&mut device, &started).await), "authorization_pending");
    assert_eq!(error(&ask(&mut device, &started).await), "slow_down");

    let address = started["verification_uri_complete"].as_str().unwrap();
    let asked = ada.get(address.strip_prefix(&web.base).unwrap()).await;
    assert_eq!(asked.status, 200);
    for words in ["a &lt;laptop&gt;", "127.0.0.1", "See shares", "Make and manage your links"] {
        assert!(
            asked.body.replace("&#60;", "&lt;").replace("&#62;", "&gt;").contains(words),
            "{words}: {}",
            asked.body
        );
    }
    let wrong = decide(&mut ada, &started, "not my password", "allow").await;
    assert!(wrong.status == 422 && wrong.body.contains("not your current password"), "{}", wrong.body);
    advance(&web.clock, Duration::from_secs(5));
    assert_eq!(error(&ask(&mut device, &started).await), "authorization_pending");
    let allowed = decide(&mut ada, &started, PASSWORD, "allow").await;
    assert!(allowed.status == 200 && allowed.body.contains("is logged in"), "{}", allowed.body);
    advance(&web.clock, Duration::from_secs(5));
    let (status, granted) = ask(&mut device, &started).await;
    assert_eq!(
        (status, granted["token_type"].as_str(), granted["scope"].as_str()),
        (200, Some("Bearer"), Some(SCOPE))
    );
    assert_eq!(error(&ask(&mut device, &started).await), "expired_token", "a key is handed out once");

    let program = web.program_with(granted["access_token"].as_str().unwrap());
    assert_eq!(program.get("/links").await.status, 200);
    assert_eq!(program.get("/requests").await.status, 403);
    assert!(ada.get("/account/keys").await.body.contains("laptop"), "its owner sees it among the keys");
    web.stop().await;
}

#[actix_web::test]
async fn what_is_refused_or_forgotten_gives_nothing() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let (mut ada, mut device) = (web.logged_in("ada@example.org").await, web.browser());
    let (refused, forgotten) = (start(&mut device).await, start(&mut device).await);
    assert_eq!(decide(&mut ada, &refused, "", "refuse").await.status, 200);
    assert_eq!(error(&ask(&mut device, &refused).await), "access_denied");
    assert_eq!(decide(&mut ada, &refused, PASSWORD, "allow").await.status, 422, "it is over");
    advance(&web.clock, Duration::from_secs(601));
    assert_eq!(error(&ask(&mut device, &forgotten).await), "expired_token");
    assert_eq!(decide(&mut ada, &forgotten, PASSWORD, "allow").await.status, 422);
    for scope in ["", "admin", "links admin", "everything"] {
        let answer = device.post("/device/code", &[("scope", scope)]).await;
        assert!(answer.status == 400 && answer.body.contains("invalid_scope"), "{scope}: {}", answer.body);
    }
    let other = device.post("/device/token", &[("grant_type", "password")]).await;
    assert!(other.status == 400 && other.body.contains("unsupported_grant_type"), "{}", other.body);
    web.stop().await;
}

#[actix_web::test]
async fn codes_cannot_be_guessed_by_an_account() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let (mut ada, mut device) = (web.logged_in("ada@example.org").await, web.browser());
    let started = start(&mut device).await;
    for _ in 0..5 {
        assert_eq!(ada.get("/device?code=BCDF-GHJK").await.status, 422);
    }
    assert_eq!(ada.get("/device?code=BCDF-GHJK").await.status, 429);
    let address = started["verification_uri_complete"].as_str().unwrap();
    let right = address.strip_prefix(&web.base).unwrap();
    assert_eq!(ada.get(right).await.status, 429, "the right one neither");
    assert_eq!(web.browser().get(right).await.status, 303, "and strangers log in first");
    web.stop().await;
}

#[actix_web::test]
async fn the_command_logs_in_and_keeps_its_key() {
    let mut stage = Stage::start_with(|_| {}).await;
    let home = TempDir::new().unwrap();
    let script = format!("'{PROGRAM}' login '{}' 2>said", stage.base);
    let arguments = ["-c", script.as_str()];
    let login = run(home.path(), "sh", &arguments);
    let allow = async {
        let said = home.path().join("said");
        let code = loop {
            let text = fs::read_to_string(&said).unwrap_or_default();
            if let Some((_, rest)) = text.split_once("compare the code ") {
                break rest.split(',').next().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let started = serde_json::json!({ "user_code": code });
        let allowed = decide(&mut stage.ada, &started, PASSWORD, "allow").await;
        assert_eq!(allowed.status, 200, "{}", allowed.body);
        advance(&stage.clock, Duration::from_secs(10));
    };
    let (ended, ()) = tokio::join!(login, allow);
    let said = fs::read_to_string(home.path().join("said")).unwrap();
    assert_eq!(ended.code, Some(0), "{said}");
    assert!(said.contains("logged in as ada@example.org"), "{said}");
    let listed = run(home.path(), PROGRAM, &["links"]).await;
    assert_eq!((listed.code, listed.said.as_str()), (Some(0), ""), "{}", listed.said);
    stage.stop().await;
}
