//! Logging in and out: `GET/POST /login`, `POST /logout`.

use hyper::Method;
use oncelink::web::audit::Actor;
use oncelink::web::services::Services;

use crate::support::web::{PASSWORD, TestWeb};

#[actix_web::test]
async fn a_person_who_logs_in_sees_the_files_until_they_log_out() {
    let web = TestWeb::spawn().await;
    web.account("Ada@Example.org", &[]).await;
    let mut browser = web.browser();
    let asked = browser.get("/files/open?sort=size").await;
    assert_eq!(asked.status, 303);
    assert_eq!(asked.location.as_deref(), Some("/login?next=%2Ffiles%2Fopen%3Fsort%3Dsize"));

    let answer = browser.log_in(" ada@EXAMPLE.org ", PASSWORD).await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/files/")));
    let cookie = answer.set_cookies.iter().find(|cookie| cookie.starts_with("sid-")).unwrap();
    assert!(
        cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax") && cookie.contains("; Path=/")
    );
    assert!(!cookie.contains("Max-Age") && !cookie.contains("Expires"), "{cookie}");
    assert_eq!(browser.get("/files/open").await.status, 200);
    assert_eq!(browser.get("/login").await.location.as_deref(), Some("/files/"));

    let stolen = browser.clone();
    let out = browser.fill("/files/", "/logout", &[]).await;
    assert_eq!((out.status, out.location.as_deref()), (303, Some("/login")));
    assert!(browser.cookie("sid").is_none());
    for mut browser in [browser, stolen] {
        assert_eq!(browser.get("/files/open").await.status, 303, "the session has ended on the server");
    }
    web.stop().await;
}

#[actix_web::test]
async fn two_instances_on_one_host_do_not_log_each_other_out() {
    let (one, other) = (TestWeb::spawn().await, TestWeb::spawn().await);
    for web in [&one, &other] {
        web.account("ada@example.org", &[]).await;
    }
    let mut browser = one.logged_in("ada@example.org").await;
    // Browsers send the same cookies to all ports of a host.
    browser.base.clone_from(&other.base);
    assert_eq!(browser.get("/files/open").await.status, 303, "she is logged in at one of them");
    assert_eq!(browser.log_in("ada@example.org", PASSWORD).await.status, 303);
    for base in [&one.base, &other.base] {
        browser.base.clone_from(base);
        assert_eq!(browser.get("/files/open").await.status, 200);
    }
    assert_eq!(browser.fill("/files/", "/logout", &[]).await.status, 303);
    assert_eq!(browser.get("/files/open").await.status, 303);
    browser.base.clone_from(&one.base);
    assert_eq!(browser.get("/files/open").await.status, 200);
    one.stop().await;
    other.stop().await;
}

#[actix_web::test]
async fn the_database_never_contains_a_session_id() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let browser = web.logged_in("ada@example.org").await;
    let id = browser.cookie("sid").unwrap().to_owned();
    assert_eq!(id.len(), 43, "256 bits in base64url");
    let folder = web.settings.data_dir.join("web");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(id.len()).any(|window| window == id.as_bytes()));
        assert!(!bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes()));
        seen += bytes.len();
    }
    assert!(seen > 10_000, "the database was searched");
    web.stop().await;
}

#[actix_web::test]
async fn a_planted_session_id_is_worthless() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut attacker = web.logged_in("ada@example.org").await;
    for planted in ["A".repeat(43), attacker.cookie("sid").unwrap().to_owned()] {
        let mut victim = web.browser();
        let csrf = victim.get("/login").await.csrf();
        victim.plant("sid", &planted);
        let fields = [("email", "ada@example.org"), ("password", PASSWORD), ("csrf", &csrf)];
        assert_eq!(victim.post("/login", &fields).await.status, 303);
        assert_ne!(victim.cookie("sid").unwrap(), planted, "a new id at login");
        attacker.plant("sid", &planted);
        assert_eq!(attacker.get("/account").await.status, 303, "what was planted has ended");
    }
    web.stop().await;
}

#[actix_web::test]
async fn a_wrong_password_an_unknown_account_and_a_disabled_one_look_alike() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let off = web.account("off@example.org", &[]).await;
    web.outside.account_admin.set_disabled(&off, true, &Actor::operator(), web.clock.now()).await.unwrap();
    let mut pages = Vec::new();
    for (email, password) in [
        ("ada@example.org", "a wrong test password"),
        ("bob@example.org", PASSWORD),
        ("off@example.org", PASSWORD),
        ("no address", PASSWORD),
        ("ada@example.org", ""),
    ] {
        let mut browser = web.browser();
        let answer = browser.log_in(email, password).await;
        assert_eq!(answer.status, 403, "{email}");
        assert!(answer.set_cookies.is_empty(), "{email}");
        let csrf = answer.csrf();
        pages.push(answer.body.replace(email, "EMAIL").replace(&csrf, "CSRF"));
    }
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:#?}");
    assert!(pages[0].contains("Incorrect email address or password."));
    web.stop().await;
}

#[actix_web::test]
async fn a_session_ends_when_it_is_idle_or_too_old() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut idle = web.logged_in("ada@example.org").await;
    web.pass(30 * 60 - 1);
    assert_eq!(idle.get("/account").await.status, 200, "used just in time");
    web.pass(30 * 60 - 1);
    assert_eq!(idle.get("/account").await.status, 200, "that counted as use");
    web.pass(30 * 60);
    assert_eq!(idle.get("/account").await.status, 303);

    let mut busy = web.logged_in("ada@example.org").await;
    let started = web.clock.now().secs();
    while web.clock.now().secs() + 20 * 60 < started + 12 * 60 * 60 {
        web.pass(20 * 60);
        assert_eq!(busy.get("/account").await.status, 200);
    }
    web.pass(20 * 60);
    assert_eq!(busy.get("/account").await.status, 303, "12 hours have passed");
    web.app.upkeep().prune().await;
    assert_eq!(busy.get("/account").await.status, 303);
    web.stop().await;
}

#[actix_web::test]
async fn a_session_outlives_a_restart_and_pruning() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut browser = web.logged_in("ada@example.org").await;
    web.pass(29 * 60);
    web.app.upkeep().prune().await;
    assert_eq!(browser.get("/account").await.status, 200);
    web.stop().await;
}

#[actix_web::test]
async fn logging_out_of_one_process_logs_out_of_the_other() {
    let mut web = TestWeb::spawn().await;
    let twin = web.twin().await;
    web.account("ada@example.org", &[]).await;
    let mut here = web.logged_in("ada@example.org").await;
    let mut there = here.clone();
    there.base = twin;
    assert_eq!(there.get("/account").await.status, 200, "one session, two processes");
    here.fill("/account", "/logout", &[]).await;
    web.pass(1);
    assert_eq!(there.get("/account").await.status, 303);
    web.stop().await;
}

#[actix_web::test]
async fn disabling_an_account_from_outside_ends_its_sessions() {
    let web = TestWeb::spawn().await;
    let ada = web.account("ada@example.org", &[]).await;
    web.account("bob@example.org", &[]).await;
    let mut browser = web.logged_in("ada@example.org").await;
    let mut other = web.logged_in("bob@example.org").await;
    assert_eq!(browser.get("/account").await.status, 200);
    let outside = Services::open(&web.settings, web.clock.clone()).await.unwrap();
    outside.account_admin.set_disabled(&ada, true, &Actor::operator(), web.clock.now()).await.unwrap();
    // The app may cache the session within the same second, not longer.
    web.pass(1);
    assert_eq!(browser.get("/account").await.status, 303);
    assert_eq!(other.get("/account").await.status, 200);
    assert_eq!(browser.log_in("ada@example.org", PASSWORD).await.status, 403);
    outside.account_admin.set_disabled(&ada, false, &Actor::operator(), web.clock.now()).await.unwrap();
    assert_eq!(browser.get("/account").await.status, 303, "an ended session stays ended");
    assert_eq!(browser.log_in("ada@example.org", PASSWORD).await.status, 303);
    web.stop().await;
}

#[actix_web::test]
async fn login_redirects_only_to_a_path_of_ours() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    for (next, expected) in [
        ("/files/open?sort=size", "/files/open?sort=size"),
        ("//evil.example", "/files/"),
        ("https://evil.example/", "/files/"),
        ("/\\evil.example", "/files/"),
        ("/\t/evil.example", "/files/"),
        ("javascript:alert(1)", "/files/"),
        ("/a\r\nset-cookie: x=y", "/files/"),
    ] {
        let mut browser = web.browser();
        let fields = [("email", "ada@example.org"), ("password", PASSWORD), ("next", next)];
        let answer = browser.fill("/login", "/login", &fields).await;
        assert_eq!(answer.location.as_deref(), Some(expected), "{next:?}");
        assert_eq!(answer.status, 303);
    }
    let mut browser = web.logged_in("ada@example.org").await;
    let answer = browser.get("/login?next=%2F%2Fevil.example").await;
    assert_eq!(answer.location.as_deref(), Some("/files/"));
    web.stop().await;
}

#[actix_web::test]
async fn guessing_is_slowed_down_alike_for_accounts_that_exist_or_not() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    for email in ["ada@example.org", "nobody@example.org"] {
        let mut browser = web.browser();
        for _ in 0..5 {
            assert_eq!(browser.log_in(email, "a wrong test password").await.status, 403);
        }
        let answer = browser.log_in(email, PASSWORD).await;
        assert_eq!(answer.status, 429, "even the right password has to wait");
        assert_eq!(answer.header("retry-after"), "1");
        assert!(answer.body.contains("Too many attempts"), "{}", answer.body);
    }
    web.pass(1);
    assert_eq!(web.browser().log_in("ada@example.org", PASSWORD).await.status, 303, "nobody is locked out");
    web.stop().await;
}

#[actix_web::test]
async fn many_guesses_at_once_count_each() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut browser = web.browser();
    let csrf = browser.get("/login").await.csrf();
    let guesses = (0..20).map(|n| {
        let mut browser = browser.clone();
        let (csrf, guess) = (csrf.clone(), format!("a wrong test password {n}"));
        async move {
            let fields = [("email", "ada@example.org"), ("password", guess.as_str()), ("csrf", &csrf)];
            browser.post("/login", &fields).await.status
        }
    });
    let statuses = futures_util::future::join_all(guesses).await;
    assert_eq!(statuses.iter().filter(|status| **status == 403).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 15, "{statuses:?}");
    web.stop().await;
}

#[actix_web::test]
async fn forms_that_make_no_sense_are_refused() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut browser = web.browser();
    let csrf = browser.get("/login").await.csrf();
    let ok = |extra: &str| format!("csrf={csrf}&email=ada%40example.org&password=x{extra}");
    let kind = "application/x-www-form-urlencoded";
    for (kind, body, expected) in [
        (kind, ok(&format!("&junk={}", "x".repeat(64 * 1024))), 413),
        (kind, ok("&email=twice%40example.org"), 400),
        (kind, format!("csrf={csrf}&email=ada%40example.org"), 400),
        (kind, format!("csrf={csrf}&email=%ff%fe&password=x"), 400),
        (kind, String::new(), 403),
        ("application/json", "{}".to_owned(), 415),
        ("multipart/form-data; boundary=x", ok(""), 415),
        ("text/plain", ok(""), 415),
    ] {
        let length = body.len();
        let answer = browser.send(Method::POST, "/login", Some((kind, body))).await;
        assert_eq!(answer.status, expected, "{kind} of {length} bytes: {}", answer.body);
        assert!(answer.body.contains("<h1"), "a page explains what happened");
    }
    let answer = browser.send(Method::POST, "/login", None).await;
    assert_eq!(answer.status, 415);
    let long = "x".repeat(10_000);
    assert_eq!(browser.log_in("ada@example.org", &long).await.status, 403, "a password no one can have");
    web.stop().await;
}
