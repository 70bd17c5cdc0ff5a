//! What all of the API has in common: keys, bodies, limits, idempotency, lists and problem documents.

use serde_json::{Value, json};

use oncelink::web::api_keys::{KeyForm, Scope, Scopes};

use crate::support::api::ALL;
use crate::support::web::{PASSWORD, TestWeb, form};

const BODIES: &str = include_str!("../vectors/api/bodies.json");

#[actix_web::test]
async fn a_key_is_only_accepted_in_its_header_and_a_session_never() {
    let web = TestWeb::spawn().await;
    let ada = web.account("ada@example.org", &[]).await;
    let key = web.key(&ada, "links").await;
    let mut stranger = web.browser();
    let none = stranger.get("/api/v1/account").await;
    assert_eq!(none.problem(401), "key-missing");
    assert_eq!(none.header("www-authenticate"), "Bearer");
    for path in [format!("/api/v1/account?access_token={key}"), format!("/api/v1/account?key={key}")] {
        assert_eq!(stranger.get(&path).await.problem(401), "key-missing", "{path}");
    }
    // A logged-in browser is nobody here, even if it has the key in a cookie.
    let mut browser = web.logged_in("ada@example.org").await;
    assert_eq!(browser.get("/api/v1/account").await.problem(401), "key-missing");
    browser.cookies.insert("key".to_owned(), key.clone());
    assert_eq!(browser.get("/api/v1/account").await.problem(401), "key-missing");
    // And a key opens no page.
    let mut program = web.browser();
    program.headers.push(("authorization", format!("Bearer {key}")));
    for path in ["/account", "/files/", "/links"] {
        assert_eq!(program.get(path).await.status, 303, "{path}");
    }
    for (scheme, status) in [("Bearer", 200), ("bearer", 200), ("Basic", 401), ("Token", 401)] {
        let mut program = web.browser();
        program.headers.push(("authorization", format!("{scheme} {key}")));
        assert_eq!(program.get("/api/v1/account").await.status, status, "{scheme}");
    }
    web.stop().await;
}

#[actix_web::test]
async fn keys_that_do_not_exist_are_throttled_by_address_and_counted_but_others_go_on() {
    let web = TestWeb::spawn().await;
    let ada = web.account("ada@example.org", &[]).await;
    let known = web.program(&ada, "links").await;
    assert_eq!(known.get("/account").await.status, 200);
    let malformed = web.program_with("olk_nothing").get("/account").await;
    assert_eq!(malformed.problem(401), "key-invalid");
    assert!(malformed.header("www-authenticate").contains("invalid_token"));
    let mut throttled = 0;
    for _ in 0..35 {
        // The form of a key, made and revoked at once.
        let key = web.key(&ada, "links").await;
        let listed = web.outside.api_keys.list(Some(&ada.id)).await.unwrap();
        let newest = listed.iter().find(|listed| key.starts_with(&listed.hint)).unwrap();
        let operator = oncelink::web::audit::Actor::operator();
        web.outside.api_keys.revoke(newest, &operator, web.clock.now()).await.unwrap();
        let answer = web.program_with(&key).get("/account").await;
        match answer.status {
            401 => assert_eq!(answer.problem(401), "key-invalid"),
            _ => {
                assert_eq!(answer.problem(429), "too-many-requests");
                assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
                throttled += 1;
            }
        }
    }
    assert_eq!(throttled, 5, "30 a minute");
    web.stop().await;
}

#[actix_web::test]
async fn a_key_is_limited_to_its_addresses_scopes_and_number_of_requests() {
    let web = TestWeb::spawn_with(|settings| settings.api.requests = 3).await;
    let ada = web.account("ada@example.org", &[]).await;
    let form = |networks: &str| KeyForm {
        name: "Test".to_owned(),
        scopes: Scopes::from_iter([Scope::FilesRead]),
        networks: networks.to_owned(),
        ..KeyForm::default()
    };
    let elsewhere = web.program_with(&web.key_with(&ada, form("192.0.2.0/24")).await);
    assert_eq!(elsewhere.get("/account").await.problem(403), "address-not-allowed");
    let here = web.program_with(&web.key_with(&ada, form("192.0.2.0/24, 127.0.0.0/8")).await);
    let first = here.get("/account").await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("ratelimit-policy"), "\"requests\";q=3;w=60");
    assert_eq!(first.header("ratelimit"), "\"requests\";r=2;t=20");
    let lacking = here.get("/links").await;
    assert_eq!(lacking.problem(403), "scope-missing");
    assert!(lacking.header("www-authenticate").contains("scope=\"links\""));
    assert_eq!(lacking.header("ratelimit"), "\"requests\";r=1;t=40");
    assert_eq!(here.get("/files").await.status, 200);
    let early = here.get("/files").await;
    assert_eq!(early.problem(429), "too-many-requests");
    assert_eq!((early.header("retry-after"), early.header("ratelimit")), ("20", "\"requests\";r=0;t=60"));
    web.pass(20);
    assert_eq!(here.get("/files").await.status, 200);
    web.stop().await;
}

#[actix_web::test]
async fn an_administrator_who_loses_the_role_loses_it_in_the_api_too() {
    let web = TestWeb::spawn().await;
    let ada = web.account("ada@example.org", &[]).await;
    let form = KeyForm { name: "Test".to_owned(), scopes: ALL.parse().unwrap(), ..KeyForm::default() };
    assert!(form.check(&Default::default(), false, web.clock.now()).is_err());
    let account = web.program(&ada, "links").await.json("GET", "/account", None, 200).await;
    assert_eq!((&account["admin"], &account["email"]), (&json!(false), &json!("ada@example.org")));
    assert_eq!(account["created_at"], "2027-01-15T08:00:00Z");
    web.stop().await;
}

#[actix_web::test]
async fn hostile_bodies_are_refused_with_a_problem_and_make_nothing() {
    let web = TestWeb::spawn().await;
    let ada = web.account("ada@example.org", &[]).await;
    let program = web.program(&ada, "links").await;
    for vector in serde_json::from_str::<Vec<Value>>(BODIES).unwrap() {
        let text = |name: &str| vector[name].as_str().unwrap_or_default().to_owned();
        let times = vector["times"].as_u64().unwrap_or(0) as usize;
        let body = [text("body"), text("prefix"), text("repeat").repeat(times), text("suffix")].concat();
        let answer = program.send_text("POST", "/links", Some(body)).await;
        let status = vector["status"].as_u64().unwrap() as u16;
        assert_eq!(answer.status, status, "{}: {}", vector["name"], answer.body);
        assert_eq!(answer.problem(status), text("type"), "{}", vector["name"]);
        if let Some(pointer) = vector["pointer"].as_str() {
            assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{}: {}", vector["name"], answer.body);
        }
        assert!(!answer.body.contains("expected"), "a parser's own words: {}", answer.body);
    }
    let untyped = program.send_as("POST", "/links", ("text/plain", "{}")).await;
    assert_eq!(untyped.problem(415), "not-json");
    let form = form(&[("files", "/open/file.txt")]);
    let as_form = program.send_as("POST", "/links", (crate::support::web::FORM, &form)).await;
    assert_eq!(as_form.problem(415), "not-json");
    assert_eq!(program.json("GET", "/links", None, 200).await, json!({ "items": [], "next": null }));
    web.stop().await;
}

#[actix_web::test]
async fn a_stranger_learns_nothing_about_a_body_and_an_unknown_address_is_a_problem() {
    let web = TestWeb::spawn().await;
    let ada = web.account("ada@example.org", &[]).await;
    let stranger = web.program_with("nothing");
    let answer = stranger.send_text("POST", "/links", Some("{".to_owned())).await;
    assert_eq!(answer.problem(401), "key-invalid");
    let reader = web.program(&ada, "files:read").await;
    assert_eq!(reader.send_text("POST", "/links", Some("{".to_owned())).await.problem(403), "scope-missing");
    for path in ["/", "/nothing", "/links/a/b/c", "/account/"] {
        assert_eq!(reader.get(path).await.problem(404), "not-found", "{path}");
    }
    let method = reader.send("PUT", "/links", None).await;
    assert_eq!(method.problem(405), "method-not-allowed");
    assert_eq!(method.header("allow"), "GET, HEAD, POST");
    for (query, parameter) in
        [("limit=0", "limit"), ("limit=1001", "limit"), ("cursor=x", "cursor"), ("page=2", "page")]
    {
        let answer = reader.get(&format!("/files?{query}")).await;
        assert_eq!(answer.problem(400), "invalid-parameters");
        assert_eq!(answer.json()["errors"][0]["parameter"], parameter);
    }
    web.stop().await;
}

#[actix_web::test]
async fn an_idempotency_key_makes_one_link_and_gives_the_same_answer_for_a_day() {
    for mut web in TestWeb::on_each_database(|_| {}).await {
        let ada = web.account("ada@example.org", &[]).await;
        let bob = web.account("bob@example.org", &[]).await;
        let program = web.program(&ada, "links").await.with("idempotency-key", "\"order-1\"");
        let body = json!({ "files": ["/open/file.txt"], "title": "Order 1" });
        let first = program.post("/links", &body).await;
        assert_eq!(first.status, 201, "{}", first.body);
        let again = program.post("/links", &body).await;
        assert_eq!(
            (again.status, again.json(), again.header("location")),
            (201, first.json(), first.header("location"))
        );
        let other = program.post("/links", &json!({ "files": ["/open/file.txt"], "title": "Order 2" })).await;
        assert_eq!(other.problem(422), "idempotency-key-reused");
        // Another key of the same account is the same sender; another account is not.
        let second = web.program(&ada, "links").await.with("idempotency-key", "order-1");
        assert_eq!(second.post("/links", &body).await.json()["id"], first.json()["id"]);
        let stranger = web.program(&bob, "links").await.with("idempotency-key", "order-1");
        assert_ne!(stranger.post("/links", &body).await.json()["id"], first.json()["id"]);
        // Another process knows of it.
        let twin = web.twin().await;
        let there = crate::support::web::Browser::at(&twin);
        let mut there = there;
        there.headers.push(("authorization", format!("Bearer {}", web.key(&ada, "links").await)));
        there.headers.push(("idempotency-key", "order-1".to_owned()));
        let answer = there
            .send(hyper::Method::POST, "/api/v1/links", Some(("application/json", body.to_string())))
            .await;
        assert_eq!(answer.json()["id"], first.json()["id"]);
        assert_eq!(program.json("GET", "/links", None, 200).await["items"].as_array().unwrap().len(), 1);
        web.pass(24 * 3600);
        web.app.upkeep().prune().await;
        assert_ne!(program.post("/links", &body).await.json()["id"], first.json()["id"]);
        for wrong in ["", "with space", &"x".repeat(256)] {
            let answer =
                web.program(&ada, "links").await.with("idempotency-key", wrong).post("/links", &body).await;
            assert_eq!(answer.problem(400), "idempotency-key-invalid", "{wrong:?}");
        }
        let stored: Vec<String> = sqlx::query_scalar("SELECT made FROM api_requests")
            .fetch_all(web.outside.db.reader())
            .await
            .unwrap();
        assert!(!stored.is_empty() && stored.iter().all(|made| !made.contains("/l/")), "{stored:?}");
        web.stop().await;
    }
}

#[actix_web::test]
async fn of_simultaneous_requests_with_one_idempotency_key_one_makes_a_link() {
    for web in TestWeb::on_each_database(|_| {}).await {
        let ada = web.account("ada@example.org", &[]).await;
        let program = web.program(&ada, "links").await.with("idempotency-key", "at-once");
        let body = json!({ "files": ["/open/file.txt"] });
        let answers = futures_util::future::join_all((0..16).map(|_| program.post("/links", &body))).await;
        let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
        assert!(!made.is_empty());
        for answer in &answers {
            match answer.status {
                201 => assert_eq!(answer.json()["id"], made[0].json()["id"]),
                _ => {
                    assert_eq!(answer.problem(409), "idempotency-key-running");
                    assert_eq!(answer.header("retry-after"), "1");
                }
            }
        }
        assert_eq!(program.json("GET", "/links", None, 200).await["items"].as_array().unwrap().len(), 1);
        web.stop().await;
    }
}

#[actix_web::test]
async fn the_keys_of_an_account_are_listed_without_their_secrets() {
    let web = TestWeb::spawn().await;
    let ada = web.account("ada@example.org", &[]).await;
    let bob = web.account("bob@example.org", &[]).await;
    let key = web.key(&ada, "links").await;
    let other = web.program(&bob, "links").await;
    let program = web.program_with(&key);
    let answer = program.get("/keys").await;
    assert!(!answer.body.contains(&key) && !answer.body.contains("digest"));
    let listed = answer.json();
    let id = listed["items"][0]["id"].as_str().unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["scopes"], json!(["links"]));
    assert_eq!(listed["items"][0]["current"], true);
    assert_eq!(program.json("GET", &format!("/keys/{id}"), None, 200).await, listed["items"][0]);
    assert_eq!(other.get(&format!("/keys/{id}")).await.problem(404), "not-found");
    assert_eq!(program.post("/keys", &json!({})).await.problem(405), "method-not-allowed");
    assert_eq!(program.send("DELETE", &format!("/keys/{id}"), None).await.problem(405), "method-not-allowed");
    let _ = PASSWORD;
    web.stop().await;
}
