//! A share whose folder is missing is unavailable, affects nothing else, and comes back by itself.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use oncelink::config::ShareSettings;
use oncelink::files::{FileError, ShareFolders, Shares};
use oncelink::id::FilePath;
use oncelink::web::shares::disk::WritableShares;

use crate::needs::has_program;
use crate::support::client::Client;
use crate::support::process::{PROGRAM, run};
use crate::support::volume::can_mount;
use crate::support::web::{Browser, PASSWORD, TestWeb};
use crate::support::web_process::WebSite;
use crate::support::{Node, pattern};

fn folders_at(path: &Path) -> ShareFolders {
    let share = ShareSettings { name: "nas".to_owned(), path: path.to_owned(), ..ShareSettings::default() };
    ShareFolders::open(&[share]).unwrap()
}

fn shares_at(path: &Path) -> Shares {
    Shares::new(folders_at(path))
}

fn file() -> FilePath {
    "/nas/file.txt".parse().unwrap()
}

fn is_away(shares: &Shares) -> bool {
    matches!(shares.file(&file()), Err(FileError::ShareGone)) && !shares.is_available("nas")
}

#[test]
fn a_share_that_is_missing_at_the_start_becomes_available_with_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nas");
    let shares = shares_at(&path);
    assert!(is_away(&shares));
    assert!(shares.file_if_cached(&file()).is_none(), "only a thread that may block can check");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("file.txt"), "here").unwrap();
    assert_eq!(shares.file(&file()).unwrap().version().len, 4);
}

#[test]
fn a_share_that_disappears_comes_back_and_an_empty_folder_in_its_place_is_not_the_share() {
    let dir = tempfile::tempdir().unwrap();
    let (path, aside) = (dir.path().join("nas"), dir.path().join("aside"));
    fs::create_dir(&path).unwrap();
    fs::write(path.join("file.txt"), "here").unwrap();
    let shares = shares_at(&path);
    assert!(shares.is_available("nas"));
    fs::rename(&path, &aside).unwrap();
    assert!(is_away(&shares));
    fs::create_dir(&path).unwrap();
    assert!(is_away(&shares), "an empty folder looks like an unmounted disk");
    assert!(shares.why_unavailable("nas").unwrap().contains("empty folder"));
    fs::remove_dir(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    assert_eq!(shares.file(&file()).unwrap().version().len, 4);
    // A folder with something else in it is taken for what the operator wants.
    fs::rename(&path, &aside).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("file.txt"), "another").unwrap();
    assert_eq!(shares.file(&file()).unwrap().version().len, 7);
}

#[test]
fn a_disk_is_unmounted_and_mounted_again_while_the_service_runs() {
    if !can_mount() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nas");
    fs::create_dir(&path).unwrap();
    // What is below the mount point is not the share, even if it has a file of the same name.
    fs::write(path.join("file.txt"), "below").unwrap();
    let at = path.to_str().unwrap();
    run("mount", &["-t", "tmpfs", "oncelink-test", at]);
    fs::write(path.join("file.txt"), "on the disk").unwrap();
    let writable = WritableShares::new(folders_at(&path));
    let shares = writable.readable();
    assert_eq!(shares.file(&file()).unwrap().version().len, 11);
    run("umount", &[at]);
    assert!(is_away(shares));
    assert!(shares.why_unavailable("nas").unwrap().contains("no longer mounted"));
    assert!(writable.make_folder(&"/nas/new".parse().unwrap()).is_err());
    assert!(!path.join("new").exists(), "nothing is written below the mount point");
    run("mount", &["-t", "tmpfs", "oncelink-test", at]);
    fs::write(path.join("file.txt"), "back").unwrap();
    let found = shares.file(&file()).map(|file| file.version().len);
    run("umount", &["--lazy", at]);
    assert_eq!(found.unwrap(), 4);
}

#[actix_web::test]
async fn a_token_for_an_unavailable_share_is_not_spent() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(1000));
    let link = node.link("a.bin");
    let (share, aside) = (node.dir.path().join("share"), node.dir.path().join("aside"));
    fs::rename(&share, &aside).unwrap();
    let reply = Client::default().get(&link).await;
    assert_eq!((reply.status.as_u16(), reply.slug().as_str()), (503, "file-unavailable"));
    assert!(reply.header("retry-after").is_some());
    fs::rename(&aside, &share).unwrap();
    assert_eq!(Client::default().get(&link).await.body, pattern(1000));
    node.stop().await;
}

#[actix_web::test]
async fn the_pages_say_which_share_is_unavailable_and_the_others_keep_working() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let aside = web.share("open").with_file_name("aside");
    fs::rename(web.share("open"), &aside).unwrap();
    let list = ada.get("/files/").await;
    assert_eq!((list.status, list.body.matches("unavailable").count()), (200, 1), "{}", list.body);
    let page = ada.get("/files/open").await;
    assert_eq!(page.status, 503);
    assert!(
        page.body.contains("comes back by itself") && page.body.contains("href=\"/account\""),
        "{}",
        page.body
    );
    assert_eq!(ada.get("/files/private").await.status, 200);
    assert_eq!(ada.get("/readyz").await.status, 200);
    let pressed = ada.fill("/account", "/download", &[("file", "/open/file.txt")]).await;
    assert_eq!(pressed.status, 503);
    fs::rename(&aside, web.share("open")).unwrap();
    assert_eq!(ada.get("/files/open").await.status, 200);
    assert!(!ada.get("/files/").await.body.contains("unavailable"));
    web.stop().await;
}

#[actix_web::test]
async fn a_file_that_the_service_may_not_read_is_reported_as_such_and_named_in_the_log() {
    if !has_program("setpriv") {
        return;
    }
    let site = WebSite::new(None, "");
    let secret = site.share.join("secret.txt");
    fs::write(&secret, "x").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    // Root can read everything, so the service runs as another user.
    let is_root = fs::metadata(&secret).unwrap().uid() == 0;
    let other = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    if is_root {
        run("chown", &["-R", "65534:65534", site.dir.path().to_str().unwrap()]);
    }
    let process = site.start_within(if is_root { &other } else { &[] });
    let mut browser = Browser::at(&format!("http://{}", site.address));
    assert_eq!(browser.log_in("ada@example.org", PASSWORD).await.status, 303);
    let pressed = browser.fill("/account", "/download", &[("file", "/open/secret.txt")]).await;
    assert_eq!(pressed.status, 403, "{}", pressed.body);
    assert!(pressed.body.contains("not allowed to read"), "{}", pressed.body);
    assert!(site.log().contains("/open/secret.txt"), "{}", site.log());
    process.kill();
    let mut words: Vec<&str> = if is_root { other.to_vec() } else { Vec::new() };
    words.extend([PROGRAM, "check"]);
    let checked = Command::new(words[0]).args(&words[1..]).current_dir(site.dir.path()).output().unwrap();
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(said.contains("this user cannot read /open/secret.txt"), "{said}");
}
