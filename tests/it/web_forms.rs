//! Forms work only from our own pages: every POST without a valid token, or from a foreign page, is refused
//! and changes nothing.

use hyper::Method;

use crate::support::web::{Browser, FORM, PASSWORD, TestWeb, form, malformed};

/// Every address that accepts a form, and valid fields for it.
const FORMS: [(&str, &[(&str, &str)]); 53] = [
    ("/login", &[("email", "ada@example.org"), ("password", PASSWORD)]),
    (
        "/signup",
        &[("email", "new@example.org"), ("name", "N"), ("password", PASSWORD), ("password_again", PASSWORD)],
    ),
    ("/forgot", &[("email", "ada@example.org")]),
    ("/account/name", &[("name", "Somebody else")]),
    ("/account/email", &[("email", "other@example.org"), ("current_password", PASSWORD)]),
    ("/account/email/cancel", &[]),
    ("/account/delete", &[("current_password", PASSWORD)]),
    ("/account/notices", &[]),
    ("/login/code", &[("code", "123456")]),
    ("/account/second-factor", &[("current_password", PASSWORD)]),
    ("/account/second-factor/confirm", &[("code", "123456")]),
    ("/account/second-factor/codes", &[("code", "123456")]),
    ("/account/second-factor/off", &[("current_password", PASSWORD), ("code", "123456")]),
    (
        "/account/keys",
        &[("name", "T"), ("days", "7"), ("shares", ""), ("networks", ""), ("current_password", PASSWORD)],
    ),
    ("/account/keys/revoke", &[("id", "any")]),
    ("/device", &[("code", "BCDF-GHJK"), ("decision", "refuse")]),
    ("/account/sessions/end", &[("name", "any")]),
    ("/account/webhooks", &[("url", "https://hooks.example.org/")]),
    ("/account/webhooks/any/pause", &[]),
    ("/account/webhooks/any/resume", &[]),
    ("/account/webhooks/any/rotate", &[]),
    ("/account/webhooks/any/test", &[]),
    ("/account/webhooks/any/resend", &[("message", "any")]),
    ("/account/webhooks/any/delete", &[]),
    ("/account/sessions/end-others", &[]),
    ("/logout", &[]),
    ("/download", &[("file", "/open/file.txt")]),
    ("/zip", &[("files", "/open/file.txt")]),
    ("/view", &[("file", "/open/file.txt")]),
    ("/manage/make-folder", &[("folder", "/open"), ("name", "new")]),
    ("/manage/rename", &[("path", "/open/file.txt"), ("name", "other.txt")]),
    ("/manage/move", &[("path", "/open/file.txt"), ("to", "/private")]),
    ("/manage/delete", &[("path", "/open/file.txt")]),
    ("/manage/restore", &[("id", "any")]),
    ("/manage/forget", &[("id", "any")]),
    (
        "/links",
        &[
            ("files", "/open/file.txt"),
            ("title", "T"),
            ("note", ""),
            ("uses", "1"),
            ("ends", ""),
            ("password", ""),
            ("notify", "never"),
            ("recipients", "bob@example.org"),
        ],
    ),
    (
        "/links/any",
        &[("title", "T"), ("note", ""), ("uses", "1"), ("ends", ""), ("password", ""), ("notify", "never")],
    ),
    ("/links/uploading", &[("files", "1"), ("items", "1"), ("name", "a.txt"), ("drop", "x")]),
    (
        "/links/any/sheet",
        &[("title", "T"), ("note", ""), ("uses", "1"), ("ends", ""), ("password", ""), ("notify", "never")],
    ),
    ("/links/any/mail", &[("recipients", "bob@example.org")]),
    ("/links/any/settle", &[]),
    (
        "/requests",
        &[
            ("folder", "/open"),
            ("title", "T"),
            ("note", ""),
            ("max_bytes", "1 MB"),
            ("max_files", "1"),
            ("ends", "2099-01-01T00:00"),
            ("password", ""),
        ],
    ),
    (
        "/requests/any",
        &[
            ("title", "T"),
            ("note", ""),
            ("max_bytes", "1 MB"),
            ("max_files", "1"),
            ("ends", "2099-01-01T00:00"),
            ("password", ""),
        ],
    ),
    ("/requests/any/stop", &[]),
    ("/links/any/pause", &[]),
    ("/links/any/send", &[("recipient", "any")]),
    ("/links/any/resume", &[]),
    ("/links/any/revoke", &[]),
    ("/links/any/extend", &[("add", "1-day")]),
    ("/links/any/duplicate", &[("title", "T"), ("ends", "")]),
    ("/links/any/recipients", &[("recipients", "bob@example.org")]),
    ("/links/any/recipients/any", &[]),
    (
        "/account/password",
        &[
            ("current_password", PASSWORD),
            ("password", "another test password"),
            ("password_again", "another test password"),
        ],
    ),
];

/// A browser in which Ada is logged in and that has also opened the login form, with a token for each kind
/// of form.
async fn ada(web: &TestWeb) -> (Browser, [String; 2]) {
    let mut browser = web.browser();
    let stranger = browser.get("/login").await.csrf();
    browser.fill("/login", "/login", &[("email", "ada@example.org"), ("password", PASSWORD)]).await;
    let own = browser.get("/account").await.csrf();
    (browser, [stranger, own])
}

fn token_for<'t>(path: &str, [stranger, own]: &'t [String; 2]) -> &'t str {
    if is_strangers(path) { stranger } else { own }
}

/// Whether the form is for people who are not logged in; it has its own page.
fn is_strangers(path: &str) -> bool {
    matches!(path, "/login" | "/login/code" | "/signup" | "/forgot")
}

/// Whether a GET of the address shows a page.
fn has_a_page(path: &str) -> bool {
    let own = [
        "/account/keys",
        "/device",
        "/account/second-factor",
        "/account/webhooks",
        "/links",
        "/links/any",
        "/links/any/duplicate",
        "/links/any/sheet",
        "/requests",
        "/requests/any",
        "/view",
        "/zip",
    ];
    own.contains(&path) || path.starts_with("/links/any/recipients")
}

/// More bytes than the form at this address accepts: a list of recipients may be long.
fn too_many(path: &str) -> usize {
    let long = [
        "/links",
        "/links/any",
        "/links/any/mail",
        "/links/any/recipients",
        "/links/any/sheet",
        "/requests",
        "/requests/any",
        "/zip",
    ];
    if long.contains(&path) { 5_000_000 } else { 70_000 }
}

#[actix_web::test]
async fn a_form_without_its_own_token_is_refused() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    web.account("eve@example.org", &[]).await;
    let (browser, tokens) = ada(&web).await;
    let eve = web.logged_in("eve@example.org").await.get("/account").await.csrf();
    for (path, fields) in FORMS {
        let right = token_for(path, &tokens);
        let other_kind = if is_strangers(path) { &tokens[1] } else { &tokens[0] };
        let mut flipped = right.to_owned();
        flipped.replace_range(0..1, if right.starts_with('A') { "B" } else { "A" });
        for wrong in ["", "x", &eve, other_kind, &flipped, &right[1..], &format!("{right}A")] {
            let fields = [fields, &[("csrf", wrong)]].concat();
            assert_eq!(browser.clone().post(path, &fields).await.status, 403, "{path} with {wrong:?}");
        }
        assert_eq!(browser.clone().post(path, fields).await.status, 403, "{path} without a token");
    }
    assert_eq!(browser.clone().get("/account").await.status, 200, "nothing has happened");
    web.stop().await;
}

#[actix_web::test]
async fn a_form_from_a_foreign_page_is_refused_even_with_the_token() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let (browser, tokens) = ada(&web).await;
    let foreign: [&[(&str, &str)]; 5] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site"), ("origin", "http://127.0.0.1")],
    ];
    for (path, fields) in FORMS {
        let fields = [fields, &[("csrf", token_for(path, &tokens))]].concat();
        for headers in foreign {
            let mut browser = browser.clone();
            browser.headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            assert_eq!(browser.post(path, &fields).await.status, 403, "{path} with {headers:?}");
        }
    }
    for (path, fields) in FORMS.into_iter().filter(|(path, _)| *path == "/download") {
        let fields = [fields, &[("csrf", token_for(path, &tokens))]].concat();
        for (name, value) in [("sec-fetch-site", "same-origin"), ("origin", web.base.as_str())] {
            let mut browser = browser.clone();
            browser.headers = vec![(name, value.to_owned())];
            assert_eq!(browser.post(path, &fields).await.status, 303, "from our own page: {name}");
        }
    }
    web.stop().await;
}

#[actix_web::test]
async fn a_form_that_no_page_of_ours_would_send_is_refused_and_changes_nothing() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let (browser, tokens) = ada(&web).await;
    for (path, fields) in FORMS {
        let token = token_for(path, &tokens);
        let whole = form(&[fields, &[("csrf", token)]].concat());
        for (status, kind, body) in malformed(fields, token, too_many(path)) {
            let shown: String = body.chars().take(200).collect();
            let answer = browser.clone().send(Method::POST, path, Some((kind, body))).await;
            // These report themselves that both of their fields are missing.
            let is_fine =
                answer.status == status || (matches!(path, "/download" | "/view") && answer.status == 404);
            assert!(is_fine, "{path} as {kind}: {} for {shown}", answer.status);
        }
        for host in ["evil.example", "evil.example:80", "localhost.evil.example", "192.0.2.1"] {
            let mut browser = browser.clone();
            browser.headers = vec![("host", host.to_owned())];
            let answer = browser.send(Method::POST, path, Some((FORM, whole.clone()))).await;
            assert_eq!(answer.status, 403, "{path} at {host}");
        }
    }
    assert!(web.mails().await.is_empty());
    assert_eq!(browser.clone().get("/account").await.status, 200);
    assert_eq!(web.outside.accounts.list().await.unwrap().len(), 1);
    assert!(browser.clone().get("/links").await.body.contains("No links yet"));
    web.stop().await;
}

#[actix_web::test]
async fn a_get_never_acts() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let (mut browser, tokens) = ada(&web).await;
    for (path, fields) in FORMS.into_iter().filter(|(path, _)| !is_strangers(path) && !has_a_page(path)) {
        let fields = [fields, &[("csrf", token_for(path, &tokens))]].concat();
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            let address = format!("{path}?{}", form(&fields));
            let answer = browser.send(method.clone(), &address, None).await;
            assert_eq!(answer.status, 405, "{method} {path}");
        }
    }
    assert_eq!(browser.get("/account").await.status, 200);
    web.stop().await;
}

#[actix_web::test]
async fn a_changed_password_ends_every_other_session_and_gives_this_one_a_new_id() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut elsewhere = web.logged_in("ada@example.org").await;
    let mut here = web.logged_in("ada@example.org").await;
    let before = here.clone();
    let new = "quite another password";
    for (current, password, again, sentence) in [
        ("a wrong old password", new, new, "This is not your current password."),
        (PASSWORD, "too short", "too short", "A password must have at least 15 characters."),
        (PASSWORD, new, "quite another passwort", "The two passwords differ."),
        (
            PASSWORD,
            "passwordpassword",
            "passwordpassword",
            "This password is too common; choose another one.",
        ),
    ] {
        let fields = [("current_password", current), ("password", password), ("password_again", again)];
        let answer = here.fill("/account", "/account/password", &fields).await;
        assert_eq!(answer.status, 422);
        assert!(answer.body.contains(sentence), "{sentence}: {}", answer.body);
        assert!(!answer.body.contains(current), "a password is never sent back");
    }
    let fields = [("current_password", PASSWORD), ("password", new), ("password_again", new)];
    let answer = here.fill("/account", "/account/password", &fields).await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/account")));
    assert_ne!(here.cookie("sid").unwrap(), before.cookie("sid").unwrap());
    assert!(here.get("/account").await.body.contains("Your password has been changed."));
    assert!(!here.get("/account").await.body.contains("Your password has been changed."), "shown once");
    assert_eq!(elsewhere.get("/account").await.status, 303);
    assert_eq!(before.clone().get("/account").await.status, 303);
    assert_eq!(web.browser().log_in("ada@example.org", PASSWORD).await.status, 403);
    assert_eq!(web.browser().log_in("ada@example.org", new).await.status, 303);
    web.stop().await;
}

#[actix_web::test]
async fn guessing_the_old_password_in_a_stolen_session_is_slowed_down() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut browser = web.logged_in("ada@example.org").await;
    let mut refused = 0;
    for n in 0..25 {
        let guess = format!("a wrong old password {n}");
        let new = "quite another password";
        let fields = [("current_password", guess.as_str()), ("password", new), ("password_again", new)];
        match browser.fill("/account", "/account/password", &fields).await.status {
            422 => {}
            429 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(refused > 0);
    web.stop().await;
}

#[actix_web::test]
async fn a_form_that_arrives_while_the_app_closes_is_refused_with_a_page() {
    let web = TestWeb::spawn().await;
    let mut browser = web.browser();
    let csrf = browser.get("/login").await.csrf();
    web.app.close().await;
    let fields = [("csrf", csrf.as_str()), ("email", "ada@example.org"), ("password", PASSWORD)];
    let refused = browser.post("/login", &fields).await;
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("Try again"), "{}", refused.body);
    assert_eq!(refused.header("retry-after"), "5");
    assert_eq!(refused.header("cache-control"), "no-store");
    assert_eq!(refused.header("x-content-type-options"), "nosniff");
    assert!(refused.header("content-security-policy").contains("default-src 'none'"));
    web.stop().await;
}
