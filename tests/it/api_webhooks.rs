//! Webhooks by API: the same as on the page, and never more than the key may.

use oncelink::web::api_keys::{KeyForm, Scope, Scopes};
use serde_json::json;

use crate::support::web::TestWeb;
use crate::support::webhooks::{Receiver, allowed, deliver};

#[actix_web::test]
async fn a_program_makes_a_webhook_tests_it_and_reads_what_came_of_it() {
    for web in TestWeb::on_each_database(allowed).await {
        let ada = web.account("ada@example.org", &[]).await;
        let program = web.program(&ada, "webhooks").await;
        let receiver = Receiver::start().await;
        let body = json!({ "url": receiver.url(), "events": ["link.ended", "delivery.completed"] });
        let made = program.post("/webhooks", &body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let made_body = made.json();
        let (id, secret) = (made_body["id"].as_str().unwrap(), made_body["secret"].as_str().unwrap());
        assert_eq!(made.header("location"), format!("/api/v1/webhooks/{id}"));
        assert_eq!(made_body["events"], json!(["delivery.completed", "link.ended"]));
        let place = format!("/webhooks/{id}");
        let read = program.json("GET", &place, None, 200).await;
        assert_eq!((&read["state"], &read["secret"]), (&json!("on"), &json!(null)), "it is shown once");
        assert_eq!(program.json("GET", "/webhooks", None, 200).await["items"], json!([read]));

        for _ in 0..3 {
            program.json("POST", &format!("{place}/test"), None, 200).await;
        }
        deliver(&web).await;
        assert!(receiver.received().len() == 3 && receiver.received()[0].is_signed_by(secret));
        let first = program.json("GET", &format!("{place}/messages?limit=2"), None, 200).await;
        assert_eq!(first["items"].as_array().unwrap().len(), 2);
        let message = &first["items"][0];
        assert_eq!((&message["event"], &message["state"]), (&json!("webhook.test"), &json!("delivered")));
        assert_eq!(
            (&message["attempts"][0]["status"], &message["attempts"][0]["problem"]),
            (&json!(204), &json!(null))
        );
        let next = first["next"].as_str().unwrap();
        let rest = program.json("GET", &format!("{place}/messages?cursor={next}"), None, 200).await;
        assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &json!(null)));
        let wrong = program.get(&format!("{place}/messages?cursor=x")).await;
        assert_eq!(wrong.problem(400), "invalid-parameters");

        let message = message["id"].as_str().unwrap();
        program.json("POST", &format!("{place}/messages/{message}/resend"), None, 200).await;
        deliver(&web).await;
        assert_eq!(receiver.received()[3].header("webhook-id"), message);

        let rotated = program.json("POST", &format!("{place}/rotate"), None, 200).await;
        assert_ne!(rotated["secret"], secret);
        let paused = program.json("POST", &format!("{place}/pause"), None, 200).await;
        assert_eq!(paused["state"], "paused");
        program.json("POST", &format!("{place}/test"), None, 200).await;
        deliver(&web).await;
        assert_eq!(receiver.received().len(), 4);
        assert_eq!(program.json("POST", &format!("{place}/resume"), None, 200).await["waiting"], 1);
        deliver(&web).await;
        assert_eq!(receiver.received()[4].signatures().len(), 2);
        assert_eq!(program.send("DELETE", &place, None).await.status, 204);
        assert_eq!(program.get(&place).await.problem(404), "not-found");
        web.stop().await;
    }
}

#[actix_web::test]
async fn an_idempotency_key_makes_one_webhook_and_shows_its_secret_again() {
    for web in TestWeb::on_each_database(|_| {}).await {
        let ada = web.account("ada@example.org", &[]).await;
        let program = web.program(&ada, "webhooks").await.with("idempotency-key", "hook-1");
        let body = json!({ "url": "https://hooks.example.org/", "events": ["link.ended"] });
        let first = program.json("POST", "/webhooks", Some(&body), 201).await;
        assert_eq!(program.json("POST", "/webhooks", Some(&body), 201).await, first);
        let listed = program.json("GET", "/webhooks", None, 200).await;
        assert_eq!(listed["items"].as_array().unwrap().len(), 1);
        let stored: Vec<String> = sqlx::query_scalar("SELECT made FROM api_requests")
            .fetch_all(web.outside.db.reader())
            .await
            .unwrap();
        assert!(stored.iter().all(|made| !made.contains("whsec")), "{stored:?}");
        web.stop().await;
    }
}

#[actix_web::test]
async fn what_is_wrong_is_named_and_what_is_not_allowed_is_refused() {
    let web = TestWeb::spawn().await;
    let ada = web.account("ada@example.org", &[]).await;
    let program = web.program(&ada, "webhooks").await;
    for (body, pointer) in [
        (json!({ "url": "http://hooks.example.org/", "events": ["link.ended"] }), "/url"),
        (json!({ "url": "https://10.0.0.1/", "events": ["link.ended"] }), "/url"),
        (json!({ "url": "https://hooks.example.org/", "events": [] }), "/events"),
        (json!({ "url": "https://hooks.example.org/", "events": ["account.created"] }), "/events"),
        (json!({ "url": "https://hooks.example.org/", "events": ["webhook.test"] }), "/events"),
        (json!({ "url": "https://hooks.example.org/", "events": ["nothing"] }), "/events"),
    ] {
        let answer = program.post("/webhooks", &body).await;
        assert_eq!(answer.problem(422), "invalid-fields", "{body}");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{}", answer.body);
    }
    let body = json!({ "url": "https://hooks.example.org/", "events": ["link.ended"] });
    assert_eq!(web.program(&ada, "links").await.post("/webhooks", &body).await.problem(403), "scope-missing");
    let scopes = Scopes::from_iter([Scope::Webhooks]);
    let form = KeyForm { name: "Test".to_owned(), scopes, shares: "open".to_owned(), ..KeyForm::default() };
    let limited = web.program_with(&web.key_with(&ada, form).await);
    for answer in [limited.get("/webhooks").await, limited.post("/webhooks", &body).await] {
        assert_eq!(answer.problem(409), "key-limited-to-shares");
    }
    let place = format!(
        "/webhooks/{}",
        program.json("POST", "/webhooks", Some(&body), 201).await["id"].as_str().unwrap()
    );
    let eve = web.account("eve@example.org", &[]).await;
    let stranger = web.program(&eve, "webhooks").await;
    for (method, path) in [
        ("GET", place.clone()),
        ("DELETE", place.clone()),
        ("POST", format!("{place}/pause")),
        ("POST", format!("{place}/resume")),
        ("POST", format!("{place}/rotate")),
        ("POST", format!("{place}/test")),
        ("GET", format!("{place}/messages")),
        ("POST", format!("{place}/messages/any/resend")),
    ] {
        assert_eq!(stranger.send(method, &path, None).await.problem(404), "not-found", "{method} {path}");
    }
    for _ in 1..10 {
        program.json("POST", "/webhooks", Some(&body), 201).await;
    }
    assert_eq!(program.post("/webhooks", &body).await.problem(429), "too-many-webhooks");
    web.stop().await;
}
