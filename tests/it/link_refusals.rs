//! What the page of a link says when nothing can be downloaded: written for somebody without an account, who is
//! told whom to ask. It reveals no more than the page did while the link was open.

use std::fs;

use oncelink::web::audit::Actor;

use crate::support::links::{Made, make};
use crate::support::web::{Browser, START, TestWeb};

/// The sender's name as a page shows it.
const SENDER: &str = "<bdi>Test &#60;b&#62;Person&#60;/b&#62;</bdi>";

async fn stage() -> (TestWeb, Browser) {
    let web = TestWeb::spawn_with(|settings| settings.links.presses = 3).await;
    web.account("ada@example.org", &[]).await;
    let ada = web.logged_in("ada@example.org").await;
    (web, ada)
}

/// What a stranger is told, who must not be led to a place for people with accounts.
async fn told(web: &TestWeb, made: &Made, status: u16) -> String {
    let page = web.browser().get(&made.public[0]).await;
    assert_eq!(page.status, status, "{}", page.body);
    for elsewhere in ["/files/", "/login\"", "ada@example.org"] {
        let main = page.body.split("<main").nth(1).unwrap().split("</main>").next().unwrap();
        assert!(!main.contains(elsewhere), "{elsewhere}: {main}");
    }
    page.body
}

#[actix_web::test]
async fn each_refusal_names_the_sender_and_says_what_to_ask_them_for() {
    let (web, mut ada) = stage().await;
    let new_link = format!("If you still need the file, ask {SENDER} for a new link.");

    let used = make(&mut ada, &[]).await;
    let mut guest = web.browser();
    assert_eq!(guest.fill(&used.public[0], &used.public[0], &[("file", "0")]).await.status, 303);
    let page = told(&web, &used, 410).await;
    assert!(page.contains(&format!("If that doesn’t help, ask {SENDER} for a new link.")), "{page}");

    let revoked = make(&mut ada, &[]).await;
    ada.fill(&revoked.page, &format!("{}/revoke", revoked.page), &[]).await;
    let page = told(&web, &revoked, 410).await;
    assert!(page.contains(&new_link) && page.contains(&format!("<p>{SENDER} has stopped sharing")), "{page}");

    let paused = make(&mut ada, &[]).await;
    ada.fill(&paused.page, &format!("{}/pause", paused.page), &[]).await;
    let page = told(&web, &paused, 403).await;
    assert!(page.contains(&format!("ask {SENDER} to resume the link.")), "{page}");

    let ended = make(&mut ada, &[("expires", "1h")]).await;
    let open = make(&mut ada, &[("expires", "1d"), ("uses", "9")]).await;
    web.pass(2 * 3600);
    let page = told(&web, &ended, 410).await;
    assert!(page.contains(&new_link) && page.contains("expired"), "{page}");

    // A press for a file that has disappeared.
    fs::remove_file(web.share("open").join("file.txt")).unwrap();
    let page = web.browser().get(&open.public[0]).await.body;
    assert!(page.contains(&format!("try again later, or ask {SENDER}.")), "{page}");
    let pressed = web.browser().post(&open.public[0], &[("file", "0")]).await;
    assert_eq!(pressed.status, 404);
    assert!(pressed.body.contains(&format!("ask {SENDER} to check the link.")), "{}", pressed.body);
    assert!(pressed.body.contains("No download was counted"), "{}", pressed.body);
    web.stop().await;
}

#[actix_web::test]
async fn a_name_that_the_open_page_would_not_show_is_not_in_a_refusal() {
    let (web, mut ada) = stage().await;
    let made = make(&mut ada, &[]).await;
    assert!(web.browser().get(&made.public[0]).await.body.contains("Person"));
    let account = web.outside.accounts.by_email(&"ada@example.org".parse().unwrap()).await.unwrap().unwrap();
    web.outside.account_admin.set_disabled(&account, true, &Actor::operator(), START).await.unwrap();
    let page = told(&web, &made, 410).await;
    assert!(!page.contains("Person"), "{page}");
    assert!(page.contains("ask the person who sent you the link for a new link."), "{page}");
    // What leads nowhere has no sender.
    let nothing = web.browser().get("/l/0123456789abcdefghijkl").await;
    assert!(nothing.status == 404 && !nothing.body.contains("Person"), "{}", nothing.body);
    web.stop().await;
}

#[actix_web::test]
async fn a_visitor_who_is_refused_for_another_reason_is_led_back_to_the_link() {
    let (web, mut ada) = stage().await;
    let made = make(&mut ada, &[("uses", "9"), ("password", "a secret word")]).await;
    let back = format!("<a class=\"button primary\" href=\"{}\">Open the link again</a>", made.public[0]);
    let mut guest = web.browser();
    for _ in 0..3 {
        guest.fill(&made.public[0], &made.public[0], &[("file", "0"), ("password", "wrong")]).await;
    }
    let many = guest.fill(&made.public[0], &made.public[0], &[("file", "0")]).await;
    assert!(many.status == 429 && many.body.contains(&back), "{}", many.body);
    let foreign =
        [("sec-fetch-site", "cross-site".to_owned()), ("origin", "https://elsewhere.example".to_owned())];
    guest.headers.extend(foreign);
    let foreign = guest.post(&made.public[0], &[("file", "0"), ("csrf", "wrong")]).await;
    assert!(foreign.status == 403 && foreign.body.contains(&back), "{} {}", foreign.status, foreign.body);
    assert!(foreign.body.contains("open for too long"), "{}", foreign.body);
    assert!(!foreign.body.contains("/files/"), "{}", foreign.body);
    web.stop().await;
}
