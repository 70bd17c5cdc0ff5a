//! One-time tokens by API: each downloads its file once, and ends with its key's account or at the program's wish.

use serde_json::json;

use oncelink::web::api_keys::{KeyForm, Scope, Scopes};
use oncelink::web::audit::Actor;

use crate::support::api::{Program, make_key};
use crate::support::client::Client;
use crate::support::stop_and_free;
use crate::support::web::TestWeb;
use crate::web_link_downloads::Stage;

async fn program(stage: &Stage) -> Program {
    let ada = stage.desk.accounts.by_email(&"ada@example.org".parse().unwrap()).await.unwrap().unwrap();
    let scopes = Scopes::from_iter([Scope::Tokens]);
    let form = KeyForm { name: "Shop".to_owned(), scopes, ..KeyForm::default() };
    Program::at(&stage.base, &make_key(&stage.desk, &ada, form).await)
}

#[actix_web::test]
async fn a_token_downloads_its_file_once_under_its_name() {
    let stage = Stage::start_with(|_| {}).await;
    let program = program(&stage).await;
    let body = json!({ "file": "/open/file.txt", "lifetime": 3600, "name": "Your order.txt" });
    let made = program.post("/tokens", &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let token = made.json();
    assert_eq!(token["expires_at"], "2027-01-15T09:00:00Z");
    assert_eq!(made.header("location"), format!("/api/v1/tokens/{}", token["jti"].as_str().unwrap()));
    let url = token["url"].as_str().unwrap();
    let first = Client::default().get(url).await;
    assert_eq!((first.status.as_u16(), first.text().as_str()), (200, "this is open"));
    let disposition = first.headers["content-disposition"].to_str().unwrap().to_owned();
    assert!(disposition.contains("Your order.txt"), "{disposition}");
    assert_eq!(Client::default().get(url).await.status, 410);

    let confirm = json!({ "file": "/open/file.txt", "confirm": true });
    let url = program.json("POST", "/tokens", Some(&confirm), 201).await["url"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        let page = Client::default().get(&url).await;
        assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    }
    stop_and_free(stage.running).await;
}

#[actix_web::test]
async fn the_same_request_gets_the_same_token_and_a_revoked_one_is_refused() {
    let stage = Stage::start_with(|_| {}).await;
    let program = program(&stage).await;
    let once = program.with("idempotency-key", "order-7");
    let body = json!({ "file": "/open/file.txt" });
    let first = once.json("POST", "/tokens", Some(&body), 201).await;
    stage.clock.set(stage.clock.now().plus(std::time::Duration::from_secs(30)));
    assert_eq!(once.json("POST", "/tokens", Some(&body), 201).await, first, "also its times");
    let (jti, url) = (first["jti"].as_str().unwrap(), first["url"].as_str().unwrap());
    assert_eq!(program.send("DELETE", &format!("/tokens/{jti}"), None).await.status, 204);
    assert_eq!(Client::default().get(url).await.status, 410);
    for unknown in ["AAAAAAAAAAAAAAAAAAAAAA", "nothing"] {
        let answer = program.send("DELETE", &format!("/tokens/{unknown}"), None).await;
        assert_eq!(answer.problem(404), "not-found");
    }
    let stored: Vec<String> =
        sqlx::query_scalar("SELECT made FROM api_requests").fetch_all(stage.desk.db.reader()).await.unwrap();
    assert!(stored.len() == 1 && !url.contains(&stored[0]) && !stored[0].contains("eyJ"), "{stored:?}");
    stop_and_free(stage.running).await;
}

#[actix_web::test]
async fn tokens_end_when_their_account_is_disabled() {
    let stage = Stage::start_with(|_| {}).await;
    let program = program(&stage).await;
    let token = program.json("POST", "/tokens", Some(&json!({ "file": "/open/file.txt" })), 201).await;
    let ada = stage.desk.accounts.by_email(&"ada@example.org".parse().unwrap()).await.unwrap().unwrap();
    let now = stage.clock.now();
    stage.desk.account_admin.set_disabled(&ada, true, &Actor::operator(), now).await.unwrap();
    let revocations = &stage.desk.issued.revocations;
    revocations.set_http_sinks(&stage.desk.issuer).unwrap();
    assert!(revocations.deliver(true, now).await.iter().all(|node| node.outcome.is_ok()));
    assert_eq!(Client::default().get(token["url"].as_str().unwrap()).await.status, 410);
    stage.clock.set(now.plus(std::time::Duration::from_secs(1)));
    assert_eq!(
        program.post("/tokens", &json!({ "file": "/open/file.txt" })).await.problem(401),
        "key-invalid"
    );
    stop_and_free(stage.running).await;
}

#[actix_web::test]
async fn wrong_wishes_are_refused_and_files_of_others_are_not_there() {
    let web = TestWeb::spawn().await;
    let ada = web.account("ada@example.org", &["staff"]).await;
    let bob = web.account("bob@example.org", &[]).await;
    let form = |shares: &str| KeyForm {
        name: "Test".to_owned(),
        scopes: Scopes::from_iter([Scope::Tokens]),
        shares: shares.to_owned(),
        ..KeyForm::default()
    };
    let program = web.program_with(&web.key_with(&ada, form("open")).await);
    for (body, pointer) in [
        (json!({ "file": "file.txt" }), "/file"),
        (json!({ "file": "/open/file.txt", "lifetime": 0 }), "/lifetime"),
        (json!({ "file": "/open/file.txt", "lifetime": 604_801 }), "/lifetime"),
        (json!({ "file": "/open/file.txt", "name": "a/b" }), "/name"),
        (json!({ "file": "/open/file.txt", "name": "a\nb" }), "/name"),
        (json!({ "file": "/open/file.txt", "node": "nowhere" }), "/node"),
    ] {
        let answer = program.post("/tokens", &body).await;
        assert_eq!(answer.problem(422), "invalid-fields", "{body}");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer);
    }
    for file in ["/open/other.txt", "/open", "/staff/file.txt", "/nowhere/file.txt"] {
        assert_eq!(
            program.post("/tokens", &json!({ "file": file })).await.problem(404),
            "not-found",
            "{file}"
        );
    }
    let made = program.json("POST", "/tokens", Some(&json!({ "file": "/open/file.txt" })), 201).await;
    let path = format!("/tokens/{}", made["jti"].as_str().unwrap());
    let other = web.program_with(&web.key_with(&bob, form("")).await);
    assert_eq!(other.send("DELETE", &path, None).await.problem(404), "not-found");
    let elsewhere = web.program_with(&web.key_with(&ada, form("staff")).await);
    assert_eq!(elsewhere.send("DELETE", &path, None).await.problem(404), "not-found");
    assert_eq!(program.send("DELETE", &path, None).await.status, 204);
    web.stop().await;
}
