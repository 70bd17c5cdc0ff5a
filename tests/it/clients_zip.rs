//! ZIP files in a real browser: the page says how far one is, and downloads it by itself when it is ready.

use std::fs::{self, File};

use serde_json::json;

use crate::clients_drop_links::start;
use crate::support::browser::Browser;
use crate::support::deliveries::eventually;
use crate::web_link_downloads::Stage;

const MIB: u64 = 1024 * 1024;

/// A folder with files so large that their checksums are calculated in the background.
fn put_large(stage: &Stage) {
    let folder = stage.folder.path().join("open/large");
    fs::create_dir_all(&folder).unwrap();
    for name in ["one.bin", "two.bin"] {
        File::create(folder.join(name)).unwrap().set_len(40 * MIB).unwrap();
    }
}

/// Whether a ZIP file has all of its bytes, its directory included.
fn is_whole(path: &std::path::Path) -> bool {
    let bytes = fs::read(path).unwrap();
    bytes.len() as u64 > 80 * MIB && bytes.windows(4).rev().take(70_000).any(|end| end == b"PK\x05\x06")
}

#[actix_web::test]
async fn the_page_of_a_link_downloads_the_archive_by_itself_when_it_is_prepared() {
    let Some(browser) = Browser::start().await else { return };
    let mut stage = Stage::start_with(|_| {}).await;
    put_large(&stage);
    let made = stage.make(&[("files", "/open/large")]).await;
    browser.goto(&format!("{}{}", stage.base, made.public[0])).await;
    browser.find("button[value=zip]").await.click().await.unwrap();
    let files = browser.downloaded(1).await;
    assert!(is_whole(&files[0]));
    browser.says("Your download is complete.").await;
    let own = stage.ada.get(&made.page).await.body;
    assert!(own.contains("1 of 1 download used"), "{own}");
    browser.quit().await;
    stage.stop().await;
}

#[actix_web::test]
async fn a_selection_of_ones_own_is_downloaded_by_itself_and_without_scripts_by_another_press() {
    let Some(browser) = Browser::start().await else { return };
    let mut stage = Stage::start_with(|_| {}).await;
    put_large(&stage);
    start(&browser, &stage.base).await;
    let page = format!("{}/zip?file=%2Fopen%2Flarge", stage.base);
    browser.goto(&page).await;
    browser.inspect("zip").await;
    browser.look(1280, "light").await;

    // Without scripts, the page stays as it is, and the button works when the file is ready.
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    browser.goto(&page).await;
    browser.find("main button[type=submit]").await.click().await.unwrap();
    browser.says("Nothing has been downloaded yet.").await;
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": false })).await;
    browser.inspect("zip-preparing").await;
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    eventually("the archive is ready", async || {
        let fields = [("files", "/open/large")];
        stage.ada.fill("/account", "/zip", &fields).await.status == 303
    })
    .await;
    browser.find("main button[type=submit]").await.click().await.unwrap();
    browser.downloaded(1).await;
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": false })).await;

    // With scripts, one press is enough; what is prepared anew are other files.
    let folder = stage.folder.path().join("open/large");
    File::create(folder.join("three.bin")).unwrap().set_len(41 * MIB).unwrap();
    browser.goto(&page).await;
    browser.find("main button[type=submit]").await.click().await.unwrap();
    let files = browser.downloaded(2).await;
    assert!(files.iter().all(|file| is_whole(file)));
    browser.quit().await;
    stage.stop().await;
}
