//! A program with an API key.

use hyper::Method;
use oncelink::web::api_keys::{KeyForm, MakeKeyOutcome};
use oncelink::web::audit::Actor;
use oncelink::web::identity::Account;
use oncelink::web::services::Services;
use oncelink::web::shares::rights::Right;
use serde_json::Value;

use super::web::{Answer, Browser, TestWeb};

/// All scopes.
pub(crate) const ALL: &str = "files:read files:write links requests tokens webhooks admin";

/// A program with an API key.
#[derive(Clone)]
pub(crate) struct Program {
    client: Browser,
}

impl TestWeb {
    /// Makes a key with these scopes.
    pub(crate) async fn key(&self, account: &Account, scopes: &str) -> String {
        let scopes = scopes.parse().unwrap();
        self.key_with(account, KeyForm { name: "Test".to_owned(), scopes, ..KeyForm::default() }).await
    }

    /// Makes a key with these terms.
    pub(crate) async fn key_with(&self, account: &Account, form: KeyForm) -> String {
        make_key(&self.outside, account, form).await
    }

    /// A program with a key of this account.
    pub(crate) async fn program(&self, account: &Account, scopes: &str) -> Program {
        self.program_with(&self.key(account, scopes).await)
    }

    /// A program with this key.
    pub(crate) fn program_with(&self, key: &str) -> Program {
        Program::at(&self.base, key)
    }
}

/// Makes a key with these terms.
pub(crate) async fn make_key(desk: &Services, account: &Account, form: KeyForm) -> String {
    let roots = desk.rights.roots_with(account, Right::Read);
    let known = roots.iter().map(|root| root.share().to_owned()).collect();
    let now = desk.clock.now();
    let terms = form.check(&known, account.admin, now).unwrap();
    match desk.api_keys.make(account, &terms, &Actor::operator(), now).await.unwrap() {
        MakeKeyOutcome::Made(_, key) => key.reveal().to_owned(),
        other => panic!("{other:?}"),
    }
}

impl Program {
    /// A program with this key, for the app at `base`.
    pub(crate) fn at(base: &str, key: &str) -> Program {
        let mut client = Browser::at(base);
        client.headers.push(("authorization", format!("Bearer {key}")));
        Program { client }
    }

    /// The same program, which also sends this header.
    pub(crate) fn with(&self, name: &'static str, value: &str) -> Program {
        let mut other = self.clone();
        other.client.headers.push((name, value.to_owned()));
        other
    }

    /// Sends a request to a path below `/api/v1`.
    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.send_text(method, path, body.map(Value::to_string)).await
    }

    /// The same with a body as it is.
    pub(crate) async fn send_text(&self, method: &str, path: &str, body: Option<String>) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let body = body.map(|body| ("application/json", body));
        // A program keeps no cookies.
        self.client.clone().send(method, &format!("/api/v1{path}"), body).await
    }

    /// The same with a body of any type.
    pub(crate) async fn send_as(&self, method: &str, path: &str, body: (&str, &str)) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.clone().send(method, &format!("/api/v1{path}"), Some((body.0, body.1.to_owned()))).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body)).await
    }

    /// The JSON of an answer with this status.
    pub(crate) async fn json(&self, method: &str, path: &str, body: Option<&Value>, status: u16) -> Value {
        let answer = self.send(method, path, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        answer.json()
    }
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// Checks that it is a problem document with this status, and returns its slug.
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.body);
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        problem["type"].as_str().unwrap().to_owned()
    }
}
