//! The public page of a link in a real browser: what it shows before a download, during it, after a break and
//! at the end, with scripts and without; and the owner's pages at the same time.

use std::net::SocketAddr;

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::client::{Client, Partial};
use crate::support::pattern;
use crate::support::proxy::{Line, Proxy};
use crate::support::web::{Browser as Program, PASSWORD};
use crate::web_link_downloads::Stage;

const MIB: usize = 1024 * 1024;
const SIZE: usize = 24 * MIB;

/// Slow enough for a test to act during the transfer.
const SLOW: Line = Line { cuts: 0, cut_after: 0, speed: Some(6_000_000) };

async fn behind_a_slow_line(last: u8) -> (Stage, Proxy) {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let node = SocketAddr::from(([127, 80 + last, high, low], 18_085));
    let proxy = Proxy::start(node, SLOW).await;
    let public = format!("http://{}", proxy.address);
    let stage = Stage::start_with(|settings| {
        settings.download.listen = node.into();
        settings.download.public_url = public;
    });
    (stage.await, proxy)
}

async fn fill(browser: &Browser, css: &str, text: &str) {
    let field = browser.find(css).await;
    field.clear().await.unwrap();
    field.send_keys(text).await.unwrap();
}

async fn click(browser: &Browser, css: &str) {
    browser.find(css).await.click().await.unwrap();
}

#[actix_web::test]
async fn a_canceled_download_is_continued_from_the_page_which_shows_its_state() {
    let Some(browser) = Browser::start().await else { return };
    let (mut stage, _proxy) = behind_a_slow_line(0).await;
    let made = stage.make(&[("files", "/open/big.bin"), ("password", "the right word")]).await;
    let address = format!("{}{}", stage.base, made.public[0]);
    browser.goto(&address).await;
    browser.inspect("public-new").await;
    fill(&browser, "#password", "a wrong word").await;
    click(&browser, ".takes button").await;
    browser.says("This password is not correct.").await;
    browser.inspect("public-wrong-password").await;

    fill(&browser, "#password", "the right word").await;
    click(&browser, ".takes button").await;
    let said = browser.says("Your download has started.").await;
    assert!(!said.contains("This password is not correct."), "the earlier error is gone: {said}");
    assert!(browser.find("#password").await.attr("aria-invalid").await.unwrap().is_none());
    browser.find(".takes li[data-offer=running]").await;
    browser.says("% so far)").await;
    browser.inspect("public-running").await;
    browser.cancel_download().await;
    browser.find(".takes li[data-offer=interrupted]").await;
    let said = browser.says("Your download was interrupted. You can continue it.").await;
    assert!(said.contains("Continue (") && said.contains("None"), "{said}");
    browser.inspect("public-interrupted").await;
    // The same without scripts, after a reload.
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    browser.goto(&address).await;
    let said = browser.text().await;
    assert!(said.contains("Your download was interrupted") && said.contains("Continue ("), "{said}");
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": false })).await;

    browser.goto(&address).await;
    fill(&browser, "#password", "the right word").await;
    click(&browser, ".takes button").await;
    let files = browser.downloaded(1).await;
    assert!(std::fs::read(&files[0]).unwrap() == pattern(SIZE));
    browser.says("Your download is complete.").await;
    browser.find(".takes li[data-offer=downloaded]").await;
    browser.inspect("public-done").await;
    browser.goto(&address).await;
    let said = browser.text().await;
    assert!(said.contains("You have downloaded this file") && !said.contains("Continue"), "{said}");
    browser.inspect("public-done-reloaded").await;
    browser.devtools("Network.clearBrowserCookies", json!({})).await;
    browser.goto(&address).await;
    browser.says("The download limit has been reached").await;
    browser.inspect("public-used-up").await;
    let own = stage.ada.get(&made.page).await.body;
    assert!(own.contains("1 of 1 download used;"), "{own}");
    browser.quit().await;
    stage.stop().await;
}

#[actix_web::test]
async fn each_of_several_files_shows_its_state() {
    let Some(browser) = Browser::start().await else { return };
    let mut stage = Stage::start_with(|_| {}).await;
    std::fs::write(stage.folder.path().join("open/another.txt"), "another").unwrap();
    let files = ("files", "/open/file.txt /open/another.txt /open/big.bin");
    let made = stage.make(&[files, ("note", "All that you asked for.")]).await;
    let address = format!("{}{}", stage.base, made.public[0]);
    browser.goto(&address).await;
    browser.inspect("public-several-new").await;
    click(&browser, ".takes li:nth-child(3) button").await;
    browser.downloaded(1).await;
    browser.find(".takes li:nth-child(3)[data-offer=downloaded]").await;
    let first = browser.find(".takes li:nth-child(2)").await.text().await.unwrap();
    assert!(first.contains("Download") && !first.contains("downloaded"), "{first}");
    click(&browser, ".takes li:nth-child(2) button").await;
    browser.downloaded(2).await;
    browser.find(".takes li:nth-child(2)[data-offer=downloaded]").await;
    browser.inspect("public-several-some").await;
    // Another visitor comes too late, and the owner stops sharing while the page is open.
    assert_eq!(Program::at(&stage.base).get(&made.public[0]).await.status, 410);
    let csrf = stage.ada.get(&made.page).await.csrf();
    assert_eq!(stage.ada.post(&format!("{}/revoke", made.page), &[("csrf", &csrf)]).await.status, 303);
    browser.run("document.dispatchEvent(new Event('visibilitychange'))").await;
    browser.says("This link is no longer available.").await;
    browser.inspect("public-several-revoked").await;
    browser.quit().await;
    stage.stop().await;
}

#[actix_web::test]
async fn a_browser_that_blocks_cookies_is_told_what_that_costs() {
    let Some(browser) = Browser::start_without_cookies().await else { return };
    let mut stage = Stage::start_with(|_| {}).await;
    std::fs::write(stage.folder.path().join("open/another.txt"), "another").unwrap();
    let made = stage.make(&[("files", "/open/file.txt /open/another.txt"), ("uses", "2")]).await;
    let address = format!("{}{}", stage.base, made.public[0]);
    browser.goto(&address).await;
    browser.says("Your browser blocks cookies from this site.").await;
    browser.inspect("public-no-cookies").await;
    for number in 1..=2 {
        // The first row is all files in one ZIP.
        click(&browser, &format!(".takes li:nth-child({}) button", number + 1)).await;
        browser.downloaded(number).await;
    }
    // The download service reports it within a second or two.
    let mut own = String::new();
    for _ in 0..200 {
        own = stage.ada.get(&made.page).await.body;
        if own.contains("2 of 2 downloads used") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(own.contains("2 of 2 downloads used"), "as reported: {own}");
    browser.quit().await;
    stage.stop().await;
}

#[actix_web::test]
async fn all_parts_of_the_owners_pages_update_together() {
    let Some(browser) = Browser::start().await else { return };
    let mut stage = Stage::start_with(|_| {}).await;
    std::fs::write(stage.folder.path().join("open/tiny.txt"), "tiny").unwrap();
    let made = stage.make(&[("files", "/open/tiny.txt"), ("title", "A tiny one")]).await;
    let big = stage.make(&[("files", "/open/big.bin")]).await;
    browser.goto(&format!("{}/login?next={}", stage.base, made.page)).await;
    for (css, text) in [("#email", "ada@example.org"), ("#password", PASSWORD)] {
        fill(&browser, css, text).await;
    }
    click(&browser, "main button[type=submit]").await;
    let own = format!("{}{}", stage.base, made.page);
    browser.at(|url| url == own).await;
    let said = browser.text().await;
    assert!(
        said.contains("0 of 1 download used; not viewed yet") && said.contains("No downloads yet."),
        "{said}"
    );
    browser.run("window.sameDocument = true").await;
    browser.inspect("own-new").await;
    let mut program = Program::at(&stage.base);
    let token = program.post(&made.public[0], &[]).await.location.unwrap();
    browser.says("1 of 1 download used, 1 not started yet").await;
    assert_eq!(Client::at(1).get(&token).await.body, b"tiny");
    browser.find("#deliveries li[data-state=complete]").await;
    let said = browser.text().await;
    assert!(
        said.contains("1 of 1 download used;") && said.contains("used up"),
        "the summary and the list update together: {said}"
    );
    assert!(!said.contains(" %"), "no percentage for four bytes: {said}");
    browser.inspect("own-complete").await;
    assert_eq!(browser.run("return window.sameDocument === true").await, true, "the page was not reloaded");

    browser.goto(&format!("{}/links", stage.base)).await;
    browser.run("window.sameDocument = true").await;
    browser.inspect("own-list").await;
    assert!(browser.text().await.contains("0 of 1 download,"));
    let token = program.post(&big.public[0], &[]).await.location.unwrap();
    let _partial = Partial::open(1, &token, "", MIB).await;
    browser.find("ul.entries li:first-child .tag.off").await;
    browser.no_longer_says("0 of 1 download,").await;
    assert_eq!(browser.run("return window.sameDocument === true").await, true);
    browser.quit().await;
    stage.stop().await;
}

#[actix_web::test]
async fn choosing_nothing_says_so_in_place() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start_with(|_| {}).await;
    browser.goto(&format!("{}/login?next=%2Ffiles%2Fopen", stage.base)).await;
    for (css, text) in [("#email", "ada@example.org"), ("#password", PASSWORD)] {
        fill(&browser, css, text).await;
    }
    click(&browser, "main button[type=submit]").await;
    browser.at(|url| url.ends_with("/files/open")).await;
    // With its script, the button is disabled as long as nothing is selected.
    browser.find("[formaction='/links/new']:disabled").await;
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    browser.goto(&format!("{}/files/open", stage.base)).await;
    browser.named("Create link").await.click().await.unwrap();
    browser.find(".notice.failed").await;
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": false })).await;
    browser.says("Choose at least one file or folder first").await;
    assert!(browser.url().await.ends_with("/files/open"));
    browser.inspect("folder-nothing-chosen").await;
    browser.quit().await;
    stage.stop().await;
}
