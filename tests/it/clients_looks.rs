//! How the pages look and behave in a real browser: one line of header on a phone, times in the viewer's zone and
//! language, a branded page in both color schemes, what is printed, and what Back shows after a log-out.

use std::collections::BTreeSet;

use oncelink::config::Settings;
use oncelink::web::audit::Actor;
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::links::make;
use crate::support::web::{PASSWORD, TestWeb};

struct Stage {
    web: TestWeb,
    browser: Browser,
}

impl Stage {
    /// Starts with an administrator who is logged in.
    async fn start(change: impl FnOnce(&mut Settings)) -> Option<Stage> {
        let browser = Browser::start().await?;
        let web = TestWeb::spawn_with(change).await;
        let ada = web.account("ada@example.org", &[]).await;
        let (none, operator, now) = (BTreeSet::new(), Actor::operator(), web.clock.now());
        web.outside.account_admin.set_rights(&ada, &none, true, &operator, now).await.unwrap();
        let stage = Stage { web, browser };
        stage.open("/login").await;
        stage.fill("#email", "ada@example.org").await;
        stage.fill("#password", PASSWORD).await;
        stage.browser.find("main button[type=submit]").await.click().await.unwrap();
        stage.browser.at(|url| url.ends_with("/files/")).await;
        Some(stage)
    }

    async fn open(&self, path: &str) {
        self.browser.goto(&format!("{}{path}", self.web.base)).await;
    }

    async fn fill(&self, css: &str, text: &str) {
        self.browser.find(css).await.send_keys(text).await.unwrap();
    }

    async fn stop(self) {
        self.browser.quit().await;
        self.web.stop().await;
    }
}

/// The texts in the page that are seen, joined by spaces.
const SEEN: &str = "return [...document.querySelectorAll('body *')]
  .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
  .filter((element) => element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length)
  .map((element) => element.textContent.trim()).join(' ')";

#[actix_web::test]
async fn the_header_is_one_line_on_a_phone_and_its_menu_has_the_rest() {
    let Some(stage) = Stage::start(|_| {}).await else { return };
    let browser = &stage.browser;
    for width in [320, 390, 700] {
        browser.look(width, "light").await;
        stage.open("/files/open").await;
        let height = browser.run("return document.querySelector('.bar').offsetHeight").await;
        assert!(height.as_u64().unwrap() <= 60, "{height} px at {width}");
        let tops = browser
            .run(
                "return [...document.querySelectorAll('.bar a, .bar summary')].filter((e) => e.checkVisibility())
                   .map((e) => { const r = e.getBoundingClientRect(); return Math.round(r.top + r.height / 2); })",
            )
            .await;
        let tops: Vec<i64> = tops.as_array().unwrap().iter().filter_map(serde_json::Value::as_i64).collect();
        assert!(tops.len() >= 4 && tops.iter().all(|top| (top - tops[0]).abs() <= 2), "{tops:?} at {width}");
    }
    browser.look(390, "light").await;
    browser.find(".menu > summary").await.click().await.unwrap();
    browser.inspect("menu").await;
    browser.look(390, "light").await;
    let items = browser.run("return document.querySelector('.menu-items').innerText").await;
    for item in ["Test <b>Person</b>", "Account", "Administration", "Log out"] {
        assert!(items.as_str().unwrap().contains(item), "{items}");
    }
    browser.find(".menu-items button").await.click().await.unwrap();
    browser.at(|url| url.ends_with("/login")).await;
    stage.stop().await;
}

#[actix_web::test]
async fn times_are_in_the_viewers_zone_and_language_and_in_utc_without_scripts() {
    let Some(stage) = Stage::start(|_| {}).await else { return };
    let mut ada = stage.web.logged_in("ada@example.org").await;
    let made = make(&mut ada, &[("ends", "2027-01-20T12:00"), ("ends_zone", "0")]).await;
    let browser = &stage.browser;
    browser.devtools("Emulation.setTimezoneOverride", json!({ "timezoneId": "Asia/Tokyo" })).await;
    for path in [made.page.as_str(), made.public[0].as_str(), "/links"] {
        stage.open(path).await;
        browser.says("9:00").await;
        let times = browser
            .run("return [...document.querySelectorAll('time')].map((e) => [e.textContent, e.title, e.lang])")
            .await;
        for time in times.as_array().unwrap() {
            assert!(!time[0].as_str().unwrap().contains("UTC"), "{path}: {time}");
            assert!(time[1].as_str().unwrap().contains("UTC"), "{path}: {time}");
            assert_ne!(time[2], "", "{path}: {time}");
        }
    }
    let plain = ada.get(&made.page).await.body;
    assert!(plain.contains(">20 Jan 2027, 12:00 UTC</time>"), "{plain}");
    for path in ["/files/open", "/account", "/account/sessions", "/links", "/admin/accounts", "/admin/audit"]
    {
        stage.open(path).await;
        let left = browser
            .run("return [...document.querySelectorAll('time')].filter((e) => e.textContent.includes('UTC')).length")
            .await;
        assert_eq!(left, json!(0), "{path}");
    }
    stage.stop().await;
}

#[actix_web::test]
async fn a_brand_of_any_color_is_readable_in_both_schemes() {
    let Some(stage) = Stage::start(|settings| {
        settings.brand.name = "Wattle & Daub".to_owned();
        settings.brand.color = "#ffd400".to_owned();
        settings.brand.support = "help@example.org".to_owned();
    })
    .await
    else {
        return;
    };
    for (page, path) in
        [("brand-files", "/files/"), ("brand-folder", "/files/open"), ("brand-admin", "/admin/accounts")]
    {
        stage.open(path).await;
        stage.browser.inspect(page).await;
    }
    stage.browser.devtools("Network.clearBrowserCookies", json!({})).await;
    for (page, path) in [("brand-landing", "/"), ("brand-login", "/login"), ("brand-refusal", "/l/nothing")] {
        stage.open(path).await;
        stage.browser.inspect(page).await;
    }
    stage.stop().await;
}

#[actix_web::test]
async fn a_link_in_the_list_is_a_low_row_on_a_phone() {
    let Some(stage) = Stage::start(|_| {}).await else { return };
    let mut ada = stage.web.logged_in("ada@example.org").await;
    let long = "The minutes of the meeting about the new building, final version 12";
    make(&mut ada, &[("title", long), ("ends", "2027-01-20T12:00"), ("ends_zone", "0")]).await;
    make(&mut ada, &[("title", "Holiday"), ("uses", "3")]).await;
    let browser = &stage.browser;
    for width in [320, 390] {
        browser.look(width, "light").await;
        stage.open("/links").await;
        browser.find(".links").await;
        let rows = "return [...document.querySelectorAll('.links > li')].map((row) => [row.offsetHeight,
                      row.querySelector('.tag').getBoundingClientRect().right <= row.getBoundingClientRect().right])";
        let rows = browser.run(rows).await;
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), 2);
        for row in rows {
            assert!(row[0].as_u64().unwrap() <= 72, "{rows:?} at {width}");
            assert_eq!(row[1], json!(true), "the state is in sight at {width}");
        }
        let wide = browser.run("return document.documentElement.scrollWidth").await;
        assert!(wide.as_u64().unwrap() <= width.into(), "{wide} px at {width}");
    }
    stage.stop().await;
}

#[actix_web::test]
async fn a_printed_link_is_what_it_is_its_address_and_its_qr_code_and_nothing_else() {
    let Some(stage) = Stage::start(|_| {}).await else { return };
    let mut ada = stage.web.logged_in("ada@example.org").await;
    let made = make(&mut ada, &[("title", "Holiday pictures")]).await;
    let browser = &stage.browser;
    stage.open(&made.page).await;
    browser.devtools("Emulation.setEmulatedMedia", json!({ "media": "print" })).await;
    let seen = browser.run(SEEN).await;
    let seen = seen.as_str().unwrap();
    for wanted in ["Holiday pictures", "/open/file.txt", made.public[0].as_str(), "Expires"] {
        assert!(seen.contains(wanted), "{wanted}: {seen}");
    }
    for other in
        ["Log out", "Your links", "Activity", "Settings", "Pause", "Copy", "Preview", "opened", "Save"]
    {
        assert!(!seen.contains(other), "{other}: {seen}");
    }
    let code = browser.run("return document.querySelector('.qr').getBoundingClientRect().width").await;
    assert!(code.as_f64().unwrap() > 100.0, "{code}");
    stage.open("/links").await;
    let seen = browser.run(SEEN).await;
    for wanted in ["Your links", "Holiday pictures", "0 of 1 download"] {
        assert!(seen.as_str().unwrap().contains(wanted), "{wanted}: {seen}");
    }
    stage.stop().await;
}

#[actix_web::test]
async fn back_after_a_log_out_shows_nothing_of_the_pages_before() {
    let Some(stage) = Stage::start(|_| {}).await else { return };
    let browser = &stage.browser;
    for path in ["/files/open", "/account", "/links"] {
        stage.open(path).await;
    }
    browser.look(1280, "light").await;
    browser.named("Log out").await.click().await.unwrap();
    browser.at(|url| url.ends_with("/login")).await;
    for before in ["%2Flinks", "%2Faccount", "%2Ffiles%2Fopen"] {
        browser.run("history.back(); return 0").await;
        browser.at(|url| url.contains("/login?next=") && url.ends_with(before)).await;
        let shown = browser.text().await;
        assert!(!shown.contains("file.txt") && !shown.contains("Test <b>"), "{shown}");
        let kept = browser.run("return Object.keys(localStorage).length").await;
        assert_eq!(kept, json!(0), "nothing of the uploads stays");
    }
    stage.stop().await;
}
