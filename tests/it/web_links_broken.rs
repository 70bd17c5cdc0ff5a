//! Links follow files that are renamed and moved in the app. Where a file is gone, the owner is told, and so is
//! the person who is about to delete it.

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
async fn deleting_asks_first_and_says_how_many_links_break() {
    for web in TestWeb::on_each_database(writable).await {
        web.account("ada@example.org", &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        let folder = web.share("open").join("a_b");
        fs::create_dir(&folder).unwrap();
        fs::create_dir(web.share("open").join("aXb")).unwrap();
        fs::write(folder.join("in.txt"), "x").unwrap();
        let manage = async |ada: &mut crate::support::web::Browser, path: &str| {
            ada.get(&format!("/manage/entry?path={path}")).await.body
        };
        assert!(!manage(&mut ada, "/open/file.txt").await.contains("stop working"));
        make(&mut ada, &[]).await;
        make(&mut ada, &[("files", "/open/a_b/in.txt")]).await;
        let ended = make(&mut ada, &[("files", "/open/a_b")]).await;
        assert!(manage(&mut ada, "/open/file.txt").await.contains("1 link leads to this file."));
        assert!(manage(&mut ada, "/open/a_b").await.contains("2 links lead to this folder or files in it."));
        assert!(!manage(&mut ada, "/open/aXb").await.contains("lead to"), "another folder");
        let page = manage(&mut ada, "/open/a_b").await;
        let asks = page.find("<details class=\"confirm\">").unwrap();
        assert!(page[asks..].contains("2 links will stop working."), "{page}");
        assert!(asks < page.find("action=\"/manage/delete\"").unwrap(), "asks before it deletes");
        assert!(
            !manage(&mut ada, "/open/aXb").await.contains("<details class=\"confirm\""),
            "nothing breaks"
        );
        let stopped = ada.fill(&ended.page, &format!("{}/revoke", ended.page), &[]).await;
        assert_eq!(stopped.status, 303);
        assert!(
            manage(&mut ada, "/open/a_b").await.contains("1 link leads to"),
            "an ended link does not count"
        );
        web.stop().await;
    }
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

/// The paths of a link, as its owner sees them.
async fn paths(ada: &mut crate::support::web::Browser, page: &str) -> String {
    let page = ada.get(page).await.body;
    let list = page.split("<ul class=\"paths\">").nth(1).unwrap_or_else(|| panic!("{page}"));
    list.split("</ul>").next().unwrap().to_owned()
}

#[actix_web::test]
async fn links_follow_what_is_renamed_and_moved() {
    for web in TestWeb::on_each_database(writable).await {
        web.account("ada@example.org", &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        let open = web.share("open");
        for folder in ["我 50%_", "我 50%_x", "else"] {
            fs::create_dir(open.join(folder)).unwrap();
            fs::write(open.join(folder).join("in.txt"), folder).unwrap();
        }
        let file = make(&mut ada, &[]).await;
        let folder_path = "/open/%E6%88%91%2050%25_";
        let folder = make(&mut ada, &[("files", folder_path)]).await;
        let inside = make(&mut ada, &[("files", &format!("{folder_path}/in.txt /open/else"))]).await;
        let beside = make(&mut ada, &[("files", &format!("{folder_path}x"))]).await;
        let ended = make(&mut ada, &[("files", folder_path)]).await;
        ada.fill(&ended.page, &format!("{}/revoke", ended.page), &[]).await;
        let renamed = ada
            .fill("/account", "/manage/rename", &[("path", "/open/file.txt"), ("name", "new name.txt")])
            .await;
        assert_eq!(renamed.status, 303, "{}", renamed.body);
        let moved = [("path", folder_path), ("to", "/open/else")];
        assert_eq!(ada.fill("/account", "/manage/move", &moved).await.status, 303);
        assert!(paths(&mut ada, &file.page).await.contains(">/open/new name.txt</bdi>"));
        assert!(paths(&mut ada, &folder.page).await.contains(">/open/else/我 50%_</bdi>"));
        let both = paths(&mut ada, &inside.page).await;
        assert!(
            both.contains(">/open/else/我 50%_/in.txt</bdi>") && both.contains(">/open/else</bdi>"),
            "{both}"
        );
        assert!(paths(&mut ada, &beside.page).await.contains(">/open/我 50%_x</bdi>"), "another folder");
        assert!(!ada.get("/links").await.body.contains("file missing"));
        let page = web.browser().get(&file.public[0]).await.body;
        assert!(page.contains("new name.txt"), "{page}");
        let taken = web.browser().fill(&file.public[0], &file.public[0], &[("file", "0")]).await;
        assert_eq!(taken.status, 303, "{}", taken.body);
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_rename_opens_no_second_download_in_a_use() {
    for web in TestWeb::on_each_database(writable).await {
        web.account("ada@example.org", &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        let link = make(&mut ada, &[]).await;
        let mut guest = web.browser();
        let press = [("file", "0")];
        let first = guest.fill(&link.public[0], &link.public[0], &press).await;
        assert_eq!(first.status, 303, "{}", first.body);
        for name in ["b.txt", "c.txt"] {
            let from = if name == "b.txt" { "/open/file.txt" } else { "/open/b.txt" };
            let renamed = ada.fill("/account", "/manage/rename", &[("path", from), ("name", name)]).await;
            assert_eq!(renamed.status, 303, "{}", renamed.body);
        }
        let uses: (i64, i64) = sqlx::query_as(
            "SELECT COUNT(*), COUNT(DISTINCT path) FROM link_tokens WHERE path = '/open/c.txt'",
        )
        .fetch_one(web.outside.db.reader())
        .await
        .unwrap();
        assert_eq!(uses, (1, 1), "the token belongs to the renamed file");
        let page = ada.get(&link.page).await.body;
        assert!(page.contains("1 of 1 download"), "{page}");
        assert_eq!(web.browser().get(&link.public[0]).await.status, 410, "nobody else gets it");
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_link_does_not_follow_its_file_to_where_its_owner_may_not_read() {
    for web in TestWeb::on_each_database(writable).await {
        web.account("ada@example.org", &[]).await;
        web.account("bob@example.org", &[]).await;
        let mut bob = web.logged_in("bob@example.org").await;
        let link = make(&mut bob, &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        fs::remove_file(web.share("private").join("file.txt")).unwrap();
        let moved =
            ada.fill("/account", "/manage/move", &[("path", "/open/file.txt"), ("to", "/private")]).await;
        assert_eq!(moved.status, 303, "{}", moved.body);
        assert!(bob.get("/links").await.body.contains("file missing"));
        let page = bob.get(&link.page).await.body;
        assert!(page.contains("The file of this link is missing") && !page.contains("private"), "{page}");
        // Moved back, it works again.
        let back =
            ada.fill("/account", "/manage/move", &[("path", "/private/file.txt"), ("to", "/open")]).await;
        assert_eq!(back.status, 303, "{}", back.body);
        assert!(!bob.get("/links").await.body.contains("file missing"));
        web.stop().await;
    }
}
