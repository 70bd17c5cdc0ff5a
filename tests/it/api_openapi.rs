//! The description of the API agrees with the API: its addresses, its scopes and its answers.

use std::collections::{BTreeMap, BTreeSet};

use oncelink::web::api_keys::{KeyForm, Scope};
use oncelink::web::http::api::addresses;
use oncelink::web::http::api::openapi::DOCUMENT;
use oncelink::web::identity::Account;
use serde_json::{Value, json};

use crate::support::api::{ALL, Program};
use crate::support::web::TestWeb;

/// Each operation: its method, its path and its description.
fn operations() -> Vec<(String, &'static str, &'static Value)> {
    let mut all = Vec::new();
    for (path, methods) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            all.push((method.to_uppercase(), path.as_str(), operation));
        }
    }
    all
}

#[test]
fn it_has_exactly_the_addresses_that_the_app_has() {
    let described: BTreeSet<(String, &str)> =
        operations().into_iter().map(|(method, path, _)| (method, path)).collect();
    let served: BTreeSet<(String, &str)> = addresses().into_iter().collect();
    assert_eq!(described, served);
    assert_eq!(served.len(), addresses().len(), "an address twice");
    assert!(DOCUMENT["openapi"].as_str().unwrap().starts_with("3.1"));
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member.as_str()) {
                    ("$ref", Some(reference)) => drop(found.insert(reference.to_owned())),
                    _ => references(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn everything_in_it_is_named_and_explained() {
    let mut ids = BTreeMap::new();
    for (method, path, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id, path).is_none(), "{id} twice");
        assert!(operation["summary"].is_string(), "{method} {path} has no summary");
        assert!(
            operation["tags"][0].is_string() && operation["security"][0]["key"].is_array(),
            "{method} {path}"
        );
        let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        for parameter in parameters {
            assert!(parameter["description"].is_string(), "{method} {path}: {}", parameter["name"]);
        }
        for name in path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()) {
            assert!(parameters.iter().any(|parameter| parameter["name"] == name), "{method} {path}: {name}");
        }
        for status in ["401", "403", "429"] {
            assert!(operation["responses"][status].is_object(), "{method} {path}: {status}");
        }
    }
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
        for (member, about) in schema["properties"].as_object().into_iter().flatten() {
            let is_explained = about["description"].is_string();
            assert!(is_explained, "{name}.{member} has no description");
        }
    }
    let mut found = BTreeSet::new();
    references(&DOCUMENT, &mut found);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(DOCUMENT.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

async fn only(web: &TestWeb, account: &Account, scope: Scope) -> Program {
    let form =
        KeyForm { name: "Test".to_owned(), scopes: [scope].into_iter().collect(), ..KeyForm::default() };
    web.program_with(&web.key_with(account, form).await)
}

#[actix_web::test]
async fn each_operation_needs_a_key_with_exactly_the_scope_that_it_says() {
    let web = TestWeb::spawn_with(|settings| settings.api.requests = 0).await;
    let ada = web.account("ada@example.org", &[]).await;
    let admin = Account { admin: true, ..ada.clone() };
    sqlx::query("UPDATE accounts SET admin = 1").execute(web.outside.db.writer()).await.unwrap();
    let mut programs = Vec::new();
    for scope in Scope::ALL {
        programs.push((scope.as_str(), only(&web, &admin, scope).await));
    }
    for (method, path, operation) in operations() {
        let needed = operation["security"][0]["key"][0].as_str();
        let address = path.replace("{id}", "any").replace("{recipient}", "any").replace("{jti}", "any");
        let body = operation.get("requestBody").map(|_| json!({}));
        let stranger = web.program_with("nothing");
        assert_eq!(
            stranger.send(&method, &address, body.as_ref()).await.problem(401),
            "key-invalid",
            "{method} {path}"
        );
        for (scope, program) in &programs {
            let answer = program.send(&method, &address, body.as_ref()).await;
            if needed.is_none_or(|needed| needed == *scope) {
                assert!(
                    !matches!(answer.status, 401 | 403 | 405 | 500..),
                    "{method} {path} with {scope}: {}",
                    answer.body
                );
                let described = operation["responses"][answer.status.to_string()].is_object();
                assert!(described, "{method} {path}: {} is not described", answer.status);
            } else {
                assert_eq!(answer.problem(403), "scope-missing", "{method} {path} with {scope}");
            }
        }
    }
    web.stop().await;
}

#[actix_web::test]
async fn administration_needs_an_administrator_and_shows_everybody() {
    let web = TestWeb::spawn().await;
    let ada = web.account("ada@example.org", &[]).await;
    let bob = web.account("bob@example.org", &["staff"]).await;
    sqlx::query("UPDATE accounts SET admin = 1 WHERE id = $1")
        .bind(ada.id.as_str())
        .execute(web.outside.db.writer())
        .await
        .unwrap();
    let program = web.program(&Account { admin: true, ..ada.clone() }, ALL).await;
    let link = web
        .program(&bob, "links")
        .await
        .json("POST", "/links", Some(&json!({ "files": ["/open/file.txt"] })), 201)
        .await;
    let listed = program.json("GET", "/admin/links?q=bob@example.org", None, 200).await;
    assert_eq!(
        (&listed["items"][0]["id"], &listed["items"][0]["owner"]),
        (&link["id"], &json!("bob@example.org"))
    );
    assert!(!listed.to_string().contains("/l/"), "not the address");
    let path = format!("/admin/links/{}", link["id"].as_str().unwrap());
    assert_eq!(program.json("POST", &format!("{path}/pause"), None, 200).await["state"], "paused");
    assert_eq!(program.json("POST", &format!("{path}/revoke"), None, 200).await["state"], "revoked");
    assert_eq!(program.send("POST", &format!("{path}/resume"), None).await.problem(409), "link-revoked");
    let first = program.json("GET", "/admin/accounts?limit=1", None, 200).await;
    assert_eq!(first["items"][0]["email"], "ada@example.org");
    let next = format!("/admin/accounts?limit=1&cursor={}", first["next"].as_str().unwrap());
    let second = program.json("GET", &next, None, 200).await;
    assert_eq!((&second["items"][0]["email"], &second["next"]), (&json!("bob@example.org"), &Value::Null));
    let path = format!("/admin/accounts/{}", bob.id.as_str());
    assert_eq!(program.json("POST", &format!("{path}/disable"), None, 200).await["state"], "disabled");
    assert_eq!(program.json("POST", &format!("{path}/enable"), None, 200).await["state"], "active");
    let own = format!("/admin/accounts/{}/disable", ada.id.as_str());
    assert_eq!(program.send("POST", &own, None).await.problem(409), "last-administrator");
    let invite = json!({ "email": "carol@example.org", "groups": ["staff"] });
    let invited =
        program.with("idempotency-key", "carol").json("POST", "/admin/accounts", Some(&invite), 201).await;
    assert_eq!((&invited["state"], &invited["groups"]), (&json!("invited"), &json!(["staff"])));
    assert_eq!(program.post("/admin/accounts", &invite).await.problem(409), "email-taken");
    assert_eq!(web.mails().await.len(), 1);
    let audit = program.json("GET", "/admin/audit?q=invited&limit=5", None, 200).await;
    assert_eq!(audit["items"][0]["subject"], "carol@example.org");
    assert_eq!(program.json("GET", "/admin/nodes", None, 200).await["items"].as_array().unwrap().len(), 1);
    assert_eq!(program.json("GET", "/admin/deliveries", None, 200).await["items"], json!([]));
    // Without the role, the same key is worth nothing here.
    sqlx::query("UPDATE accounts SET admin = 0").execute(web.outside.db.writer()).await.unwrap();
    sqlx::query("UPDATE generations SET number = number + 20000 WHERE name = 'accounts'")
        .execute(web.outside.db.writer())
        .await
        .unwrap();
    web.pass(1);
    assert_eq!(program.get("/admin/nodes").await.problem(403), "administrators-only");
    web.stop().await;
}

#[actix_web::test]
async fn every_response_is_described_as_the_specification_requires() {
    let web = TestWeb::spawn().await;
    let json = web.browser().get("/api/v1/openapi.json").await;
    let document: Value = serde_json::from_str(&json.body).unwrap();
    let mut seen = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let responses = operation.get("responses").and_then(Value::as_object).into_iter().flatten();
            for (status, response) in responses {
                let description = response["description"].as_str().unwrap_or_default();
                assert!(!description.is_empty(), "{method} {path}: {status}");
                seen += 1;
            }
        }
    }
    assert!(seen > 200, "{seen} responses");
    web.stop().await;
}

#[actix_web::test]
async fn the_description_and_its_page_need_no_key_and_keep_the_policy() {
    let web = TestWeb::spawn().await;
    let json = web.browser().get("/api/v1/openapi.json").await;
    assert_eq!((json.status, json.header("content-type")), (200, "application/json"));
    assert_eq!(json.json(), *DOCUMENT);
    let page = web.browser().get("/api/v1/docs").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'self'"));
    for (method, path, operation) in operations() {
        let line = format!("<code>{method} /api/v1{path}</code>");
        assert!(page.body.contains(&line), "{line}");
        let summary = operation["summary"].as_str().unwrap().replace('\'', "&#39;");
        assert!(page.body.contains(&summary), "{summary}");
    }
    web.stop().await;
}
