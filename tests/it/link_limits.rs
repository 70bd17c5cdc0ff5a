//! The operator's limits for links: every way to make or change one keeps them, and the forms say so beforehand.

use std::time::Duration;

use oncelink::config::Settings;

use crate::support::links::{fields, make, send};
use crate::support::requests::ask;
use crate::support::tus::{personal, writable};
use crate::support::web::{Browser, TestWeb};

const DAY: u64 = 24 * 60 * 60;

/// Nobody is logged out meanwhile.
fn patient(settings: &mut Settings) {
    settings.web.session_idle = Duration::from_secs(30 * DAY);
    settings.web.session_max = Duration::from_secs(30 * DAY);
}

/// Links last at most 3 days and allow at most 4 downloads.
fn limited(settings: &mut Settings) {
    writable(settings);
    settings.links.longest = Duration::from_secs(3 * DAY);
    settings.links.most_downloads = 4;
    patient(settings);
}

async fn ada(web: &TestWeb) -> Browser {
    web.account("ada@example.org", &[]).await;
    web.logged_in("ada@example.org").await
}

#[actix_web::test]
async fn a_new_link_keeps_the_limits_and_the_form_says_them_beforehand() {
    let web = TestWeb::spawn_with(limited).await;
    let mut browser = ada(&web).await;
    let page = browser.get("/links/new?file=/open/file.txt").await.body;
    assert!(page.contains("Per recipient, at most 4."), "{page}");
    assert!(page.contains("Counted from now, at most 3 days."), "{page}");
    assert!(page.contains("value=\"1d\" selected"), "the usual week is too long: {page}");
    assert!(!page.contains("<option value=\"7d\"") && !page.contains("<option value=\"never\""), "{page}");
    for (uses, expires, wrong) in [
        ("5", "1d", "from 1 to 4."),
        ("", "1d", "from 1 to 4."),
        ("4", "7d", "at most 3 days"),
        ("4", "never", "at most 3 days"),
    ] {
        let answer = send(&mut browser, &[("uses", uses), ("expires", expires)]).await;
        assert!(answer.status == 422 && answer.body.contains(wrong), "{uses} {expires}: {}", answer.body);
    }
    make(&mut browser, &[("uses", "4"), ("expires", "1d")]).await;
    web.stop().await;
}

#[actix_web::test]
async fn a_link_that_must_expire_may_do_so_at_any_time() {
    let web = TestWeb::spawn_with(|settings| settings.links.end_required = true).await;
    let mut browser = ada(&web).await;
    let endless = send(&mut browser, &[("expires", "never")]).await;
    assert!(endless.status == 422 && endless.body.contains("Links must expire here."), "{}", endless.body);
    make(&mut browser, &[("uses", ""), ("expires", "date"), ("ends", "2099-01-01T00:00")]).await;
    web.stop().await;
}

#[actix_web::test]
async fn a_change_an_extension_and_a_copy_stay_within_the_limits() {
    let web = TestWeb::spawn_with(limited).await;
    let mut browser = ada(&web).await;
    let made = make(&mut browser, &[("uses", "3"), ("expires", "1d")]).await;
    let change = fields(&[("uses", "5"), ("expires", "1d")]);
    let change: Vec<(&str, &str)> =
        change.into_iter().filter(|(name, _)| !matches!(*name, "files" | "recipients")).collect();
    let changed = browser.fill(&made.page, &made.page, &change).await;
    assert!(changed.status == 422 && changed.body.contains("from 1 to 4."), "{}", changed.body);
    let page = browser.get(&made.page).await.body;
    assert!(
        page.contains("Links last at most 3 days and allow at most 4 downloads per recipient."),
        "{page}"
    );
    let extend = format!("{}/extend", made.page);
    for (add, done) in [("5-downloads", true), ("1-download", false), ("30-days", true), ("7-days", false)] {
        assert_eq!(browser.fill(&made.page, &extend, &[("add", add)]).await.status, 303);
        let page = browser.get(&made.page).await.body;
        assert_eq!(!page.contains("as links may have here"), done, "{add}: {page}");
    }
    assert!(page_of(&mut browser, &made.page).await.contains("0 of 4 downloads used"));
    // A day later, the limit has moved with the clock.
    web.pass(DAY);
    browser.fill(&made.page, &extend, &[("add", "1-day")]).await;
    assert!(!page_of(&mut browser, &made.page).await.contains("as links may have here"));
    let copy = format!("{}/duplicate", made.page);
    let copied = browser.fill(&copy, &copy, &[("title", ""), ("ends", "2099-01-01T00:00")]).await;
    assert!(copied.status == 422 && copied.body.contains("at most 3 days"), "{}", copied.body);
    let copied = browser.fill(&copy, &copy, &[("title", ""), ("ends", "")]).await;
    assert!(copied.status == 422 && copied.body.contains("at most 3 days"), "{}", copied.body);
    web.stop().await;
}

async fn page_of(browser: &mut Browser, page: &str) -> String {
    browser.get(page).await.body
}

#[actix_web::test]
async fn a_drop_becomes_a_link_within_the_limits() {
    let web = TestWeb::spawn_with(|settings| {
        limited(settings);
        personal(settings);
    })
    .await;
    let mut browser = ada(&web).await;
    let drop = [("files", "1"), ("items", "1"), ("name", "a.txt"), ("drop", "one")];
    let made = browser.fill("/account", "/links/uploading", &drop).await;
    assert_eq!(made.status, 303, "{}", made.body);
    let (ends, uses): (i64, i64) =
        sqlx::query_as("SELECT ends_at, uses FROM links").fetch_one(web.outside.db.reader()).await.unwrap();
    assert_eq!((ends as u64, uses), (web.clock.now().secs() + DAY, 1));
    web.stop().await;
}

#[actix_web::test]
async fn a_file_request_is_open_no_longer_than_links() {
    let web = TestWeb::spawn_with(limited).await;
    let mut browser = ada(&web).await;
    let page = browser.get("/requests/new?folder=/open").await.body;
    assert!(page.contains("at most 3 days from now."), "{page}");
    ask(&mut browser, &[("ends", "2027-01-18T08:00")]).await;
    let late = [
        ("folder", "/open"),
        ("title", ""),
        ("note", ""),
        ("max_bytes", "1 MB"),
        ("max_files", "1"),
        ("ends", "2027-01-18T08:01"),
        ("password", ""),
    ];
    let refused = browser.fill("/account", "/requests", &late).await;
    assert!(refused.status == 422 && refused.body.contains("at most 3 days"), "{}", refused.body);
    web.stop().await;
}

#[actix_web::test]
async fn an_account_has_only_so_many_links_mailed_within_a_day() {
    let web = TestWeb::spawn_with(|settings| {
        settings.links.mails_per_day = 3;
        patient(settings);
    })
    .await;
    let mut browser = ada(&web).await;
    let mailed = |to: &'static str| [("recipients", to), ("mail", "yes")];
    make(&mut browser, &mailed("a@example.org, b@example.org")).await;
    let refused = send(&mut browser, &mailed("c@example.org, d@example.org")).await;
    assert!(
        refused.status == 422 && refused.body.contains("at most 3 links emailed within a day"),
        "{}",
        refused.body
    );
    let made = make(&mut browser, &mailed("c@example.org")).await;
    let add = format!("{}/recipients", made.page);
    let refused = browser.fill(&add, &add, &mailed("e@example.org")).await;
    assert!(refused.status == 422 && refused.body.contains("at most 3 links emailed"), "{}", refused.body);
    // Without mails there is no such limit.
    assert_eq!(browser.fill(&add, &add, &[("recipients", "e@example.org")]).await.status, 303);
    assert_eq!(web.mails().await.len(), 3);
    web.pass(DAY);
    make(&mut browser, &mailed("e@example.org, f@example.org, g@example.org")).await;
    web.stop().await;
}
