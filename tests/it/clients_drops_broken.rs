//! Drops on the start page that don't go smoothly, in a real browser: the server is killed in the middle, and two
//! tabs send files at once.

use std::fs;

use serde_json::json;

use crate::clients_drop_links::{drop, start};
use crate::support::browser::Browser;
use crate::support::tus::personal;
use crate::support::web::{Browser as Program, TestWeb};
use crate::support::web_process::WebSite;

/// Keeps back what is larger than five bytes until the page may go on.
const HOLD: &str = "const send = XMLHttpRequest.prototype.send; window.held = []; \
    XMLHttpRequest.prototype.send = function (body) { \
    if (!(body?.size > 5) || window.mayGo) send.call(this, body); else window.held.push(() => send.call(this, body)); }";

#[actix_web::test]
async fn a_drop_goes_on_for_the_same_link_after_the_server_was_killed() {
    let Some(browser) = Browser::start().await else { return };
    let home = "[[share]]\nname = 'home'\npath = 'home'\npersonal = true\nread = ['everyone']\n";
    let site = WebSite::new(None, home);
    fs::create_dir(site.dir.path().join("home")).unwrap();
    let node = site.start();
    let base = format!("http://{}", site.address);
    start(&browser, &base).await;
    browser.run(HOLD).await;
    let files = "for (const [name, text] of [['a.txt', 'abc'], ['b.txt', 'b'.repeat(9)], ['c.txt', 'c'.repeat(9)]]) \
        all.items.add(new File([text], name))";
    browser.run(&drop(files, "main")).await;
    let address = browser.find(".sheet #address").await.prop("value").await.unwrap().unwrap();
    browser.says("Uploading, 1 of 3 files").await;

    node.kill();
    browser.run("window.mayGo = true; for (const go of window.held) go(); return 0").await;
    browser.says("Trying again in").await;
    let node = site.start();
    browser.says("Ready to download").await;
    let public = address.strip_prefix(&base).unwrap();
    let mut visitor = Program::at(&base);
    let page = visitor.get(public).await.body;
    assert!(["a.txt", "b.txt", "c.txt"].iter().all(|name| page.contains(name)), "{page}");
    let mut ada = Program::at(&base);
    ada.log_in("ada@example.org", crate::support::web::PASSWORD).await;
    assert_eq!(
        ada.get("/links").await.body.matches("<a href=\"/links/").count(),
        1,
        "no other link was made"
    );
    browser.quit().await;
    node.kill();
}

#[actix_web::test]
async fn two_tabs_that_drop_at_once_make_two_links_and_mix_nothing() {
    let Some(browser) = Browser::start().await else { return };
    let web = TestWeb::spawn_with(personal).await;
    let id = web.account("ada@example.org", &[]).await.id;
    start(&browser, &web.base).await;
    let first = browser.driver.window().await.unwrap();
    let second = browser.driver.new_tab().await.unwrap();
    browser.driver.switch_to_window(second.clone()).await.unwrap();
    browser.goto(&format!("{}/files/", web.base)).await;
    // Both begin; then both send.
    for (tab, text) in [(&first, "one"), (&second, "two")] {
        browser.driver.switch_to_window(tab.clone()).await.unwrap();
        browser.run(HOLD).await;
        let files = format!(
            "for (const name of ['a.txt', 'b.txt']) all.items.add(new File(['{text} '.repeat(9)], name))"
        );
        browser.run(&drop(&files, "main")).await;
        browser.says("Uploading, 0 of 2 files").await;
    }
    let mut addresses = Vec::new();
    for tab in [&first, &second] {
        browser.driver.switch_to_window(tab.clone()).await.unwrap();
        browser.run("window.mayGo = true; for (const go of window.held) go(); return 0").await;
        addresses.push(browser.find(".sheet #address").await.prop("value").await.unwrap());
        let sheets = browser.run("return document.querySelectorAll('.sheet').length").await;
        assert_eq!(sheets, json!(1), "each tab has its own link");
    }
    for tab in [&first, &second] {
        browser.driver.switch_to_window(tab.clone()).await.unwrap();
        browser.says("Ready to download").await;
    }
    assert_ne!(addresses[0], addresses[1]);
    let mut contents: Vec<Vec<String>> = fs::read_dir(web.share("home").join(id.as_str()))
        .unwrap()
        .map(|folder| folder.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("Shared "))
        .map(|folder| ["a.txt", "b.txt"].map(|name| fs::read_to_string(folder.join(name)).unwrap()).to_vec())
        .collect();
    contents.sort();
    assert_eq!(contents, [vec!["one ".repeat(9); 2], vec!["two ".repeat(9); 2]]);
    browser.quit().await;
    web.stop().await;
}
