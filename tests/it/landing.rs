//! The page at `/`: for strangers what this is and how to log in, for everyone else the way to their files.

use oncelink::config::Signup;

use crate::support::web::TestWeb;

#[actix_web::test]
async fn a_stranger_learns_what_this_is_and_nothing_about_the_content() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let page = web.browser().get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("href=\"/login\"") && page.body.contains("href=\"/signup\""), "{}", page.body);
    for secret in ["open", "staff", "private", "ada@example.org", "file.txt"] {
        let shown = page.body.replace("Open it as you received it", "").replace("Opening it", "");
        assert!(!shown.contains(secret), "{secret}: {}", page.body);
    }
    assert!(page.set_cookies.is_empty(), "looking leaves no cookie");
    assert!(page.body.len() < 6_000, "{} bytes", page.body.len());
    let head = web.browser().send(hyper::Method::HEAD, "/", None).await;
    assert_eq!(head.status, 200);
    web.stop().await;
}

#[actix_web::test]
async fn sign_up_is_offered_only_where_it_is_open() {
    for (mode, offered) in [(Signup::Open, true), (Signup::Invite, false), (Signup::Closed, false)] {
        let web = TestWeb::spawn_with(|settings| settings.web.signup = mode).await;
        let page = web.browser().get("/").await;
        assert_eq!(page.body.contains("/signup"), offered, "{mode:?}");
        web.stop().await;
    }
}

#[actix_web::test]
async fn people_who_are_logged_in_go_to_their_files_and_pages_still_ask_strangers_to_log_in() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let home = ada.get("/").await;
    assert_eq!((home.status, home.location.as_deref()), (303, Some("/files/")));
    let asked = web.browser().get("/files/").await;
    assert_eq!(asked.status, 303);
    assert!(asked.location.as_deref().unwrap().starts_with("/login"), "{asked:?}");
    web.stop().await;
}
