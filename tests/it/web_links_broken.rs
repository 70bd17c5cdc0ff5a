//! Links whose files are gone: the owner is told, and so is the person who is about to break them.

use std::fs;

use crate::support::links::make;
use crate::support::tus::writable;
use crate::support::web::TestWeb;

#[actix_web::test]
async fn the_owner_of_a_link_is_told_that_its_file_is_missing() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let made = make(&mut ada, &[]).await;
    assert!(!ada.get("/links").await.body.contains("file missing"));
    let file = web.share("open").join("file.txt");
    fs::rename(&file, file.with_file_name("renamed.txt")).unwrap();
    assert!(ada.get("/links").await.body.contains("file missing"));
    let page = ada.get(&made.page).await.body;
    assert!(page.contains("The file of this link is missing"), "{page}");
    fs::rename(file.with_file_name("renamed.txt"), &file).unwrap();
    assert!(!ada.get(&made.page).await.body.contains("is missing"));
    web.stop().await;
}

#[actix_web::test]
async fn renaming_and_deleting_say_how_many_links_break() {
    let web = TestWeb::spawn_with(writable).await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let folder = web.share("open").join("a_b");
    fs::create_dir(&folder).unwrap();
    fs::create_dir(web.share("open").join("aXb")).unwrap();
    fs::write(folder.join("in.txt"), "x").unwrap();
    let manage = async |ada: &mut crate::support::web::Browser, path: &str| {
        ada.get(&format!("/manage/entry?path={path}")).await.body
    };
    assert!(!manage(&mut ada, "/open/file.txt").await.contains("stops working"));
    make(&mut ada, &[]).await;
    make(&mut ada, &[("files", "/open/a_b/in.txt")]).await;
    let ended = make(&mut ada, &[("files", "/open/a_b")]).await;
    assert!(manage(&mut ada, "/open/file.txt").await.contains("1 link leads to this file."));
    assert!(manage(&mut ada, "/open/a_b").await.contains("2 links lead to this folder or files in it."));
    assert!(!manage(&mut ada, "/open/aXb").await.contains("lead to"), "another folder");
    let stopped = ada.fill(&ended.page, &format!("{}/revoke", ended.page), &[]).await;
    assert_eq!(stopped.status, 303);
    assert!(manage(&mut ada, "/open/a_b").await.contains("1 link leads to"), "an ended link does not count");
    web.stop().await;
}

#[actix_web::test]
async fn the_form_for_a_link_warns_of_an_empty_folder() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    fs::create_dir(web.share("open").join("empty")).unwrap();
    assert!(ada.get("/links/new?file=%2Fopen%2Fempty").await.body.contains("This folder is empty"));
    assert!(!ada.get("/links/new?file=%2Fopen").await.body.contains("This folder is empty"));
    web.stop().await;
}
