//! *My files* in a real browser: from an empty start page to a copied link, and deleting what links lead to.

use std::fs;

use crate::support::browser::Browser;
use crate::support::tus::personal;
use crate::support::web::{PASSWORD, TestWeb};

#[actix_web::test]
async fn a_file_chosen_on_the_start_page_becomes_a_link_with_one_more_click() {
    let Some(browser) = Browser::start().await else { return };
    let web = TestWeb::spawn_with(personal).await;
    let id = web.account("ada@example.org", &[]).await.id;
    browser.goto(&format!("{}/login", web.base)).await;
    for (css, text) in [("#email", "ada@example.org"), ("#password", PASSWORD)] {
        browser.find(css).await.send_keys(text).await.unwrap();
    }
    browser.leave_by("main button[type=submit]").await;
    browser.inspect("start").await;

    let own = tempfile::tempdir().unwrap();
    let file = own.path().join("yearly report.pdf");
    fs::write(&file, "pages").unwrap();
    browser.find("#pick-files").await.send_keys(file.to_str().unwrap()).await.unwrap();
    browser.find("#uploads li[data-state=done] button[data-act=link]").await.click().await.unwrap();
    let address = browser.find("#uploads .made:not([hidden]) code").await.text().await.unwrap();
    assert!(address.starts_with(&format!("{}/l/", web.base)), "{address}");
    browser.says("1 download, expires ").await;
    browser.inspect("start-link-copied").await;
    assert_eq!(fs::read(web.share("home").join(id.as_str()).join("yearly report.pdf")).unwrap(), b"pages");
    // Pressing the button again copies the same link.
    browser.find("#uploads button[data-act=link]").await.click().await.unwrap();
    let mut ada = web.logged_in("ada@example.org").await;
    let links = ada.get("/links").await.body;
    assert_eq!(links.matches("<bdi>yearly report.pdf</bdi>").count(), 1, "{links}");
    let page = web.browser().get(address.strip_prefix(&web.base).unwrap()).await.body;
    assert!(page.contains("yearly report.pdf"), "{page}");

    let home = format!("{}/files/home/{id}", web.base);
    browser.goto(&home).await;
    browser.inspect("my-files").await;
    browser.leave_by("a.more").await;
    browser.find("details.confirm summary").await.click().await.unwrap();
    browser.says("1 link will stop working.").await;
    browser.inspect("delete-with-links").await;
    browser.leave_by("details.confirm button[type=submit]").await;
    browser.says("You have no files yet").await;
    browser.inspect("my-files-empty").await;
    browser.quit().await;
    web.stop().await;
}
