//! *My files*: each account's own folder in a personal share.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use oncelink::files::ShareFolders;
use oncelink::web::shares::disk::WritableShares;
use oncelink::web::shares::rights::Rights;

use crate::support::links::make;
use crate::support::process::{PROGRAM, Process};
use crate::support::tus::{Uploader, metadata, personal};
use crate::support::unused_address;
use crate::support::web::{Answer, Browser, PASSWORD, TestWeb};

struct Person {
    browser: Browser,
    uploader: Uploader,
    /// Their own folder as a file path.
    home: String,
}

async fn person(web: &TestWeb, email: &str) -> Person {
    let id = web.account(email, &[]).await.id;
    let browser = web.logged_in(email).await;
    Person { uploader: Uploader::of(browser.clone()).await, browser, home: format!("/home/{id}") }
}

/// Where a file path leads on disk.
fn on_disk(web: &TestWeb, path: &str) -> PathBuf {
    let (share, within) = path.trim_start_matches('/').split_once('/').unwrap();
    web.share(share).join(within)
}

async fn manage(browser: &mut Browser, action: &str, fields: &[(&str, &str)]) -> Answer {
    browser.fill("/account", &format!("/manage/{action}"), fields).await
}

#[actix_web::test]
async fn everyone_has_a_folder_that_the_start_page_shows_and_takes_uploads() {
    let web = TestWeb::spawn_with(personal).await;
    let mut ada = person(&web, "ada@example.org").await;
    let start = ada.browser.get("/files/").await.body;
    assert!(start.contains("<bdi>My files</bdi>") && start.contains(&ada.home), "{start}");
    assert!(start.find("My files").unwrap() < start.find("<bdi>open</bdi>").unwrap(), "the first one");
    assert!(start.contains("id=\"upload-form\""), "files can be dropped right here");
    assert!(!start.contains("<bdi>home</bdi>"), "the share itself is not shown");

    // Nothing is created by looking at it.
    let address = format!("/files{}", ada.home);
    let empty = ada.browser.get(&address).await;
    assert!(empty.status == 200 && empty.body.contains("You have no files yet"), "{}", empty.body);
    assert!(empty.body.contains("<title>My files"), "{}", empty.body);
    assert!(!on_disk(&web, &ada.home).exists());

    let put = ada.uploader.put(&ada.home, "report.pdf", b"pages").await;
    assert_eq!(put.status, 204, "{put:?}");
    assert_eq!(fs::read(on_disk(&web, &ada.home).join("report.pdf")).unwrap(), b"pages");
    let folder = format!("{}/sub", ada.home);
    let made = manage(&mut ada.browser, "make-folder", &[("folder", &ada.home), ("name", "sub")]).await;
    assert_eq!(made.status, 303, "{}", made.body);
    ada.uploader.put(&folder, "deep.txt", b"deep").await;

    let page = ada.browser.get(&format!("/files{folder}")).await.body;
    assert!(page.contains("<bdi>My files</bdi>") && !page.contains("<bdi>home</bdi>"), "{page}");
    let found = ada.browser.get("/files/?q=deep").await.body;
    assert!(found.contains(">My files / sub</bdi>"), "{found}");
    let file = format!("{}/report.pdf", ada.home);
    let link = make(&mut ada.browser, &[("files", &file)]).await;
    let owners = ada.browser.get(&link.page).await.body;
    assert!(owners.contains(">My files/report.pdf</bdi>"), "{owners}");
    let taken = web.browser().get(&link.public[0]).await.body;
    assert!(taken.contains("report.pdf") && !taken.contains(&ada.home), "{taken}");
    let download = press(&mut ada.browser, "/download", &[("file", &file)]).await;
    assert_eq!(download.status, 303, "{}", download.body);
    web.stop().await;
}

async fn press(browser: &mut Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
    browser.fill("/account", path, fields).await
}

#[actix_web::test]
async fn nobody_else_reaches_it_by_any_address_not_even_an_administrator() {
    let web = TestWeb::spawn_with(personal).await;
    let ada = person(&web, "ada@example.org").await;
    let secret = format!("{}/secret.txt", ada.home);
    assert_eq!(ada.uploader.put(&ada.home, "secret.txt", b"hers").await.status, 204);
    let mut bob = person(&web, "bob@example.org").await;
    let account = web.outside.accounts.by_email(&"bob@example.org".parse().unwrap()).await.unwrap().unwrap();
    promote(&web, account.id.as_str()).await;
    let mut bob_browser = web.logged_in("bob@example.org").await;
    assert_eq!(bob_browser.get("/admin/accounts").await.status, 200, "an administrator");
    for browser in [&mut bob.browser, &mut bob_browser] {
        for address in [
            "/files/home".to_owned(),
            "/files/home/".to_owned(),
            format!("/files{}", ada.home),
            format!("/files{secret}"),
            format!("/files{}?q=secret", ada.home),
            format!("/links/new?file={secret}"),
            format!("/links/new?file={}", ada.home),
            "/links/new?file=/home".to_owned(),
            format!("/manage/entry?path={secret}"),
            format!("/manage/to?path={secret}"),
            "/manage/to?path=/open/file.txt&to=/home".to_owned(),
            format!("/manage/to?path=/open/file.txt&to={}", ada.home),
            format!("/manage/new-folder?folder={}", ada.home),
            "/manage/new-folder?folder=/home".to_owned(),
            format!("/manage/trash?share={}", ada.home),
            "/manage/trash?share=/home".to_owned(),
        ] {
            assert_eq!(browser.get(&address).await.status, 404, "{address}");
        }
        for (action, fields) in [
            ("make-folder", vec![("folder", ada.home.as_str()), ("name", "x")]),
            ("make-folder", vec![("folder", "/home"), ("name", "x")]),
            ("rename", vec![("path", &secret), ("name", "x")]),
            ("rename", vec![("path", &ada.home), ("name", "x")]),
            ("delete", vec![("path", &secret)]),
            ("move", vec![("path", &secret), ("to", "/open")]),
            ("move", vec![("path", "/open/file.txt"), ("to", &ada.home)]),
            ("move", vec![("path", "/open/file.txt"), ("to", "/home")]),
        ] {
            assert_eq!(manage(browser, action, &fields).await.status, 404, "{action} {fields:?}");
        }
        assert_eq!(press(browser, "/download", &[("file", &secret)]).await.status, 404);
        let link = crate::support::links::send(browser, &[("files", &secret)]).await;
        assert_eq!(link.status, 422, "{}", link.body);
        let found = browser.get("/files/?q=secret").await.body;
        assert!(found.contains("Nothing found"), "{found}");
    }
    let uploads = Uploader::of(bob_browser).await;
    for folder in [ada.home.as_str(), "/home", "/home/nobody"] {
        assert_eq!(uploads.try_begin(folder, "x", 1).await.status, 404, "{folder}");
    }
    let names: Vec<_> =
        fs::read_dir(web.share("home")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name == "x"), "{names:?}");
    assert!(on_disk(&web, &secret).exists());
    web.stop().await;
}

/// Makes the account an administrator.
async fn promote(web: &TestWeb, id: &str) {
    sqlx::query("UPDATE accounts SET admin = 1 WHERE id = $1")
        .bind(id)
        .execute(web.outside.db.writer())
        .await
        .unwrap();
}

#[actix_web::test]
async fn files_move_between_it_and_shares_and_count_for_its_owner_there() {
    let web = TestWeb::spawn_with(personal).await;
    let mut ada = person(&web, "ada@example.org").await;
    let bob = person(&web, "bob@example.org").await;
    bob.uploader.put("/open", "from-bob.txt", b"12345").await;
    // The own folder doesn't exist yet, and is created by the move.
    let page = ada.browser.get(&format!("/manage/to?path=/open/from-bob.txt&to={}", ada.home)).await;
    assert!(page.status == 200 && page.body.contains("Move to <bdi>My files</bdi>"), "{}", page.body);
    let moved = manage(&mut ada.browser, "move", &[("path", "/open/from-bob.txt"), ("to", &ada.home)]).await;
    assert_eq!(moved.status, 303, "{}", moved.body);
    let mine = format!("{}/from-bob.txt", ada.home);
    assert!(on_disk(&web, &mine).exists());
    let owner = |path: String| {
        let db = web.outside.db.clone();
        async move {
            let mut transaction = db.begin().await.unwrap();
            let owner: String = sqlx::query_scalar("SELECT account FROM file_digests WHERE path = $1")
                .bind(path)
                .fetch_one(&mut *transaction)
                .await
                .unwrap();
            owner
        }
    };
    assert!(ada.home.ends_with(&owner(mine.clone()).await), "Bob can't delete it any more");
    let renamed = manage(&mut ada.browser, "rename", &[("path", &mine), ("name", "new.txt")]).await;
    assert_eq!(renamed.status, 303, "{}", renamed.body);
    let mine = format!("{}/new.txt", ada.home);
    let page = ada.browser.get(&format!("/manage/to?path={mine}")).await.body;
    assert!(page.contains("<bdi>open</bdi>") && !page.contains("<bdi>home</bdi>"), "{page}");
    let moved = manage(&mut ada.browser, "move", &[("path", &mine), ("to", "/open")]).await;
    assert_eq!(moved.status, 303, "{}", moved.body);
    assert!(on_disk(&web, "/open/new.txt").exists());
    assert!(ada.home.ends_with(&owner("/open/new.txt".to_owned()).await));
    // The folder as a whole stays where it is.
    for (action, fields) in [
        ("rename", vec![("path", ada.home.as_str()), ("name", "x")]),
        ("delete", vec![("path", &ada.home)]),
        ("move", vec![("path", &ada.home), ("to", "/open")]),
    ] {
        assert_eq!(manage(&mut ada.browser, action, &fields).await.status, 404, "{action}");
    }
    web.stop().await;
}

#[actix_web::test]
async fn its_trash_has_only_its_owners_files() {
    let web = TestWeb::spawn_with(personal).await;
    let mut ada = person(&web, "ada@example.org").await;
    let mut bob = person(&web, "bob@example.org").await;
    for person in [&mut ada, &mut bob] {
        person.uploader.put(&person.home, "gone.txt", b"x").await;
        let path = format!("{}/gone.txt", person.home);
        assert_eq!(manage(&mut person.browser, "delete", &[("path", &path)]).await.status, 303);
    }
    let trash = format!("/manage/trash?share={}", ada.home);
    let page = ada.browser.get(&trash).await.body;
    assert_eq!(page.matches("action=\"/manage/restore\"").count(), 1, "{page}");
    assert!(page.contains("<bdi dir=\"ltr\">My files</bdi>"), "{page}");
    let id = page.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for action in ["restore", "forget"] {
        assert_eq!(manage(&mut bob.browser, action, &[("id", &id)]).await.status, 404, "{action}");
    }
    let restored = manage(&mut ada.browser, "restore", &[("id", &id)]).await;
    assert_eq!(restored.location, Some(format!("/files{}", ada.home)), "{}", restored.body);
    assert!(on_disk(&web, &ada.home).join("gone.txt").exists());
    web.stop().await;
}

#[actix_web::test]
async fn it_is_limited_by_the_quota_and_an_upload_that_names_no_folder_goes_there() {
    let web = TestWeb::spawn_with(|settings| {
        personal(settings);
        settings.web.account_quota = 10;
    })
    .await;
    let ada = person(&web, "ada@example.org").await;
    let unnamed = metadata(&[("filename", "a.txt")]);
    let headers = [("upload-length", "6"), ("upload-metadata", unnamed.as_str())];
    let begun = ada.uploader.send("POST", "/uploads", &headers, Vec::new()).await;
    assert_eq!(begun.status, 201, "{begun:?}");
    assert_eq!(ada.uploader.patch(begun.header("location").unwrap(), 0, b"123456").await.status, 204);
    assert!(on_disk(&web, &ada.home).join("a.txt").exists());
    assert_eq!(ada.uploader.try_begin(&ada.home, "b.txt", 5).await.status, 413);
    web.stop().await;
}

#[actix_web::test]
async fn a_deleted_accounts_files_go_to_the_trash() {
    let web = TestWeb::spawn_with(personal).await;
    let mut ada = person(&web, "ada@example.org").await;
    let bob = person(&web, "bob@example.org").await;
    ada.uploader.put(&ada.home, "a.txt", b"hers").await;
    bob.uploader.put(&bob.home, "b.txt", b"his").await;
    let gone = ada.browser.fill("/account", "/account/delete", &[("current_password", PASSWORD)]).await;
    assert_eq!(gone.status, 303, "{}", gone.body);
    assert!(on_disk(&web, &ada.home).exists(), "not in the request");
    web.app.upkeep().prune().await;
    assert!(!on_disk(&web, &ada.home).exists());
    let trash = web.share("home").join(".oncelink/trash");
    let entry = fs::read_dir(&trash).unwrap().next().unwrap().unwrap();
    assert_eq!(fs::read(entry.path().join("a.txt")).unwrap(), b"hers");
    assert!(on_disk(&web, &bob.home).join("b.txt").exists());
    web.pass(web.settings.web.trash_keep.as_secs() + 1);
    web.app.upkeep().prune().await;
    assert!(!entry.path().exists());
    web.stop().await;
}

#[actix_web::test]
async fn the_list_of_readers_says_who_has_a_folder() {
    let web = TestWeb::spawn_with(|settings| {
        personal(settings);
        settings.shares.last_mut().unwrap().read = vec!["staff".to_owned()];
    })
    .await;
    let mut ada = person(&web, "ada@example.org").await;
    assert!(!ada.browser.get("/files/").await.body.contains("My files"));
    assert_eq!(ada.browser.get(&format!("/files{}", ada.home)).await.status, 404);
    let staff = web.account("kim@example.org", &["staff"]).await;
    let rights = Rights::new(&web.settings.shares);
    assert!(rights.home(&staff).is_some());
    let shares = WritableShares::new(ShareFolders::open(&web.settings.shares).unwrap());
    assert_eq!(shares.personal().as_deref(), Some("home"));
    web.stop().await;
}

#[test]
fn the_program_alone_starts_in_an_empty_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (web, download) = (unused_address(), unused_address());
    let command = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(dir.path()).env_clear().stdin(Stdio::null());
        command.env("ONCELINK_WEB__LISTEN", web.to_string());
        command.env("ONCELINK_DOWNLOAD__LISTEN", download.to_string());
        command
    };
    let checked = command(&["check"]).output().unwrap();
    let checked = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.contains("storage/home does not exist yet; the first start creates it"), "{checked}");
    assert!(!dir.path().join("storage").exists(), "a check creates nothing");
    let log = dir.path().join("log");
    let file = fs::File::create(&log).unwrap();
    let child = command(&["serve"]).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
    let mut process = Process::of(child, download, log.clone());
    process.wait_until_ready();
    for folder in ["storage/home", "storage/books"] {
        assert!(dir.path().join(folder).is_dir(), "{folder}");
    }
    drop(process);
    let log = fs::read_to_string(&log).unwrap();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}
