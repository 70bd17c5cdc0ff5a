//! What people typed is not lost when their session ends, and a browser without cookies is told that it
//! needs them.

use crate::support::links::{fields, make};
use crate::support::web::{FORM, PASSWORD, TestWeb, form};

#[actix_web::test]
async fn a_form_sent_after_the_session_ended_is_shown_again_after_the_next_login() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let csrf = ada.get("/links/new?file=%2Fopen%2Ffile.txt").await.csrf();
    web.pass(31 * 60);
    let note = "typed for\nten minutes";
    let typed = fields(&[("note", note), ("password", "a secret of mine"), ("csrf", &csrf)]);
    let answer = ada.post("/links", &typed).await;
    let login = answer.location.clone().unwrap();
    assert_eq!(answer.status, 303);
    assert!(login.starts_with("/login?next=%2Funsent%2F"), "{login}");
    let page = ada.get(&login).await;
    assert!(page.body.contains("what you typed is still here"), "{}", page.body);
    let (_, next) = page.body.split_once("name=\"next\" value=\"").unwrap();
    let next = next.split('"').next().unwrap().to_owned();
    let mut other = web.logged_in("ada@example.org").await;
    assert_eq!(other.get(&next).await.status, 404, "another browser gets nothing");
    assert_eq!(ada.clone().get(&next).await.status, 303, "nobody gets it before the login");
    let csrf = page.csrf();
    let login =
        [("email", "ada@example.org"), ("password", PASSWORD), ("next", next.as_str()), ("csrf", &csrf)];
    let answer = ada.post("/login", &login).await;
    assert_eq!(answer.location.as_deref(), Some(next.as_str()));
    let page = ada.get(&next).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("typed for\nten minutes</textarea>"), "{}", page.body);
    assert!(!page.body.contains("<dd><bdi>a secret of mine"), "a password is sent again, but not shown");
    // The page's own form sends it.
    let csrf = page.csrf();
    let again = fields(&[("note", note), ("password", "a secret of mine"), ("csrf", &csrf)]);
    let answer = ada.post("/links", &again).await;
    assert!(answer.status == 303 && answer.location.unwrap().starts_with("/links/"));
    web.pass(16 * 60);
    let mut later = web.logged_in("ada@example.org").await;
    later.plant("form", ada.cookie("form").unwrap());
    assert_eq!(later.get(&next).await.status, 404, "a quarter of an hour is long enough");
    web.stop().await;
}

#[actix_web::test]
async fn no_foreign_page_can_leave_a_form_behind() {
    let web = TestWeb::spawn().await;
    let mut browser = web.browser();
    browser.headers = vec![("origin", "https://evil.example".to_owned())];
    let answer = browser.post("/links", &fields(&[("note", "planted")])).await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/login")));
    let mut browser = web.browser();
    let large = form(&fields(&[("note", "x".repeat(40_000).as_str())]));
    let answer = browser.send(hyper::Method::POST, "/links", Some((FORM, large))).await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/login")), "nor a large form");
    web.stop().await;
}

#[actix_web::test]
async fn a_browser_that_keeps_no_cookies_is_told_that_they_are_needed() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    for (page, fields) in [
        ("/login", vec![("email", "ada@example.org"), ("password", PASSWORD), ("next", "")]),
        ("/forgot", vec![("email", "ada@example.org")]),
    ] {
        let mut browser = web.browser();
        let csrf = browser.get(page).await.csrf();
        browser.cookies.clear();
        let answer = browser.post(page, &[fields, vec![("csrf", csrf.as_str())]].concat()).await;
        assert_eq!(answer.status, 403, "{page}");
        assert!(answer.body.contains("Cookies are needed"), "{page}: {}", answer.body);
    }
    let mut foreign = web.browser();
    foreign.headers = vec![("origin", "https://evil.example".to_owned())];
    let answer = foreign.post("/login", &[("email", "ada@example.org"), ("password", PASSWORD)]).await;
    assert!(answer.status == 403 && !answer.body.contains("Cookies are needed"), "{}", answer.body);
    web.stop().await;
}

#[actix_web::test]
async fn a_link_is_found_whatever_a_mail_program_added_and_a_truncated_one_is_reported() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let made = make(&mut ada, &[]).await;
    let public = &made.public[0];
    for added in ["/", ".", ",", ")", "%3E", "%20", ").", "%22", "%E2%80%9D", ";", "%3C/a%3E"] {
        let answer = web.browser().get(&format!("{public}{added}")).await;
        assert_eq!((answer.status, answer.location.as_deref()), (308, Some(public.as_str())), "{added}");
    }
    let cut = &public[..public.len() - 1];
    for address in [cut, "/reset/abc.def.ghi", "/activate/abc", "/confirm-address/abc.d"] {
        let answer = web.browser().get(address).await;
        assert_eq!(answer.status, 404, "{address}");
        assert!(answer.body.contains("This link is incomplete"), "{address}: {}", answer.body);
        assert!(!answer.body.contains("your files"), "a recipient has no files here");
    }
    web.stop().await;
}

#[actix_web::test]
async fn addresses_that_browsers_and_crawlers_ask_for_exist() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let robots = ada.get("/robots.txt").await;
    assert_eq!((robots.status, robots.body.as_str()), (200, "User-agent: *\nDisallow: /\n"));
    let icon = ada.get("/favicon.ico").await;
    assert_eq!((icon.status, icon.header("content-type")), (200, "image/svg+xml"));
    assert_eq!(ada.get("/.well-known/change-password").await.location.as_deref(), Some("/account"));
    assert_eq!(
        ada.get("/signup").await.location.as_deref(),
        Some("/files/"),
        "a person who is logged in has an account"
    );
    let left = ada.fill("/account", "/logout", &[]).await;
    assert_eq!(left.header("clear-site-data"), "\"cache\", \"storage\"");
    web.stop().await;
}

#[actix_web::test]
async fn a_form_with_errors_says_so_in_its_title_and_puts_the_cursor_there() {
    let web = TestWeb::spawn().await;
    let mut browser = web.browser();
    assert!(browser.get("/signup").await.body.contains("<title>Sign up"));
    let fields = [
        ("email", "x@example.org"),
        ("name", "X"),
        ("password", "passwordpassword"),
        ("password_again", "passwordpassword"),
    ];
    let answer = browser.fill("/signup", "/signup", &fields).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("<title>Error: Sign up"), "{}", answer.body);
    assert!(answer.body.contains("role=\"alert\" tabindex=\"-1\" autofocus>"), "{}", answer.body);
    web.stop().await;
}

#[actix_web::test]
async fn an_unknown_group_is_reported_with_the_known_ones_and_disabling_asks_once_more() {
    let web = TestWeb::spawn().await;
    let account = web.account("kim@example.org", &["staf"]).await;
    web.account("ada@example.org", &[]).await;
    let ada = web.outside.accounts.by_email(&"ada@example.org".parse().unwrap()).await.unwrap().unwrap();
    let actor = oncelink::web::audit::Actor::operator();
    let (none, now) = (std::collections::BTreeSet::new(), web.clock.now());
    web.outside.account_admin.set_rights(&ada, &none, true, &actor, now).await.unwrap();
    let mut ada = web.logged_in("ada@example.org").await;
    let invite = ada.get("/admin/invite").await.body;
    assert!(invite.contains("name=\"group\" type=\"checkbox\" value=\"staff\">"), "{invite}");
    let page = ada.get(&format!("/admin/accounts/{}", account.id.as_str())).await.body;
    assert!(page.contains("No share names the group <bdi>“staf”</bdi>"), "{page}");
    let confirm =
        page.split("<details class=\"confirm\">").nth(1).unwrap().split("</details>").next().unwrap();
    assert!(confirm.contains("/disable\"") && confirm.contains("<summary"), "{confirm}");
    web.stop().await;
}
