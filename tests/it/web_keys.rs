//! The keys that web apps on one database must share, what happens when they are lost, and how to remove a
//! key that may have leaked.

use std::process::{Command, Output};

use oncelink::clock::Clock;
use oncelink::config::Settings;
use oncelink::web::services::Services;
use tempfile::TempDir;

use crate::support::postgres;

fn settings(folder: &TempDir, data: &str) -> Settings {
    Settings { data_dir: folder.path().join(data), ..Settings::default() }
}

/// The error with which an app fails to open; empty if it opens.
async fn refusal(settings: &Settings) -> String {
    match Services::open(settings, Clock::wall()).await {
        Ok(desk) => {
            desk.db.close().await;
            String::new()
        }
        Err(error) => oncelink::telemetry::chain(&error),
    }
}

#[actix_web::test]
async fn a_second_web_app_with_other_keys_is_refused_and_one_with_the_same_is_not() {
    let Some(database) = postgres::empty_schema().await else { return };
    let folder = TempDir::new().unwrap();
    let (mut first, mut second) = (settings(&folder, "one"), settings(&folder, "two"));
    first.web.database = database.clone().into();
    second.web.database = database.into();
    assert_eq!(refusal(&first).await, "");
    let said = refusal(&second).await;
    assert!(said.contains("which signs for this database") && said.contains("copy it here"), "{said}");
    assert!(!second.keys_dir().exists(), "no new keys are created");
    let check = Command::new(env!("CARGO_BIN_EXE_oncelink"))
        .arg("check")
        .current_dir(folder.path())
        .env_clear()
        .env("ONCELINK_DATA_DIR", &second.data_dir)
        .env("ONCELINK_WEB__DATABASE", second.web.database.as_str())
        .output()
        .unwrap();
    assert!(text(&check.stdout).contains("which signs for this database"), "{check:?}");
    assert!(!second.keys_dir().exists(), "not by `check` either");
    // An app that had its own keys before: one matching key of the two is not enough.
    let third = settings(&folder, "three");
    assert_eq!(refusal(&third).await, "");
    copy_folder(&third.keys_dir(), &second.keys_dir());
    let said = refusal(&second).await;
    assert!(said.contains("not the one that the links in this database were created with"), "{said}");
    std::fs::copy(first.keys_dir().join("link-key"), second.keys_dir().join("link-key")).unwrap();
    let said = refusal(&second).await;
    assert!(said.contains("which signs for this database"), "{said}");
    std::fs::remove_dir_all(second.keys_dir()).unwrap();
    copy_folder(&first.keys_dir(), &second.keys_dir());
    assert_eq!(refusal(&second).await, "");
    assert_eq!(refusal(&first).await, "");
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Runs the program on a data directory of its own.
fn oncelink(folder: &TempDir, words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncelink"));
    command.args(words.split(' ')).current_dir(folder.path()).env_clear().output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[actix_web::test]
async fn a_lost_link_key_is_reported_and_not_replaced_until_an_operator_says_so() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir_all(folder.path().join("storage/books")).unwrap();
    let own = settings(&folder, "data");
    assert_eq!(refusal(&own).await, "");
    let key = own.keys_dir().join("link-key");
    std::fs::remove_file(&key).unwrap();
    for words in ["web", "serve", "user list", "check"] {
        let said = oncelink(&folder, words);
        assert_ne!(said.status.code(), Some(0), "{words}");
        let all = format!("{}{}", text(&said.stdout), text(&said.stderr));
        assert!(all.contains("is lost: existing links still work"), "{words}: {all}");
        assert!(!key.exists(), "{words} creates no new key");
    }
    assert!(oncelink(&folder, "keys adopt").status.success());
    assert_eq!(refusal(&own).await, "");
    let audit = text(&oncelink(&folder, "audit list").stdout);
    assert!(audit.contains("keys-adopted"), "{audit}");
}

#[actix_web::test]
async fn keys_that_were_rotated_in_between_are_recognized() {
    let folder = TempDir::new().unwrap();
    let own = settings(&folder, "data");
    assert_eq!(refusal(&own).await, "");
    for _ in 0..3 {
        assert!(oncelink(&folder, "keys rotate").status.success());
    }
    assert_eq!(refusal(&own).await, "");
    let listed: serde_json::Value =
        serde_json::from_slice(&oncelink(&folder, "keys list --json").stdout).unwrap();
    let active = listed[0]["kid"].as_str().unwrap().to_owned();
    let made = oncelink(&folder, &format!("keys remove {active}"));
    assert!(text(&made.stderr).contains("within a minute"), "{}", text(&made.stderr));
    let made = text(&made.stdout);
    assert_eq!(refusal(&own).await, "");
    let listed = text(&oncelink(&folder, "keys list").stdout);
    assert!(!listed.contains(&active) && listed.contains(made.trim()), "{listed}");
    assert!(!own.keys_dir().join(format!("{active}.pem")).exists());
    let unknown = oncelink(&folder, &format!("keys remove {active}"));
    assert!(text(&unknown.stderr).contains("there is no key"), "{}", text(&unknown.stderr));
    let audit = text(&oncelink(&folder, "audit list").stdout);
    assert!(audit.contains("key-removed") && audit.contains(&active), "{audit}");
}

#[actix_web::test]
async fn a_key_whose_file_is_gone_can_be_removed_and_the_next_start_works() {
    let folder = TempDir::new().unwrap();
    let own = settings(&folder, "data");
    assert_eq!(refusal(&own).await, "");
    let listed: serde_json::Value =
        serde_json::from_slice(&oncelink(&folder, "keys list --json").stdout).unwrap();
    let active = listed[0]["kid"].as_str().unwrap().to_owned();
    std::fs::remove_file(own.keys_dir().join(format!("{active}.pem"))).unwrap();
    assert_ne!(refusal(&own).await, "");
    assert!(oncelink(&folder, &format!("keys remove {active}")).status.success());
    assert_eq!(refusal(&own).await, "");
}

#[test]
fn a_command_run_by_root_leaves_nothing_that_the_service_can_t_read() {
    if !rustix::process::geteuid().is_root() {
        crate::needs::skip("root, to run as another user");
        return;
    }
    use std::os::unix::fs::{MetadataExt, chown};
    let folder = TempDir::new().unwrap();
    for share in ["home", "books"] {
        std::fs::create_dir_all(folder.path().join("storage").join(share)).unwrap();
    }
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let (uid, gid) = (65_534, 65_534);
    std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    chown(&data, Some(uid), Some(gid)).unwrap();
    // The other user must be able to enter the folder.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for words in [
        "user add ann@example.org",
        "keys rotate",
        "token mint /books/a.pdf",
        "keys list",
        "audit verify",
        "check",
    ] {
        let said = oncelink(&folder, words);
        assert!(matches!(said.status.code(), Some(0 | 1)), "{words}: {said:?}");
    }
    let mut folders = vec![data];
    let mut files = 0;
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            let found = entry.metadata().unwrap();
            assert_eq!((found.uid(), found.gid()), (uid, gid), "{}", entry.path().display());
            files += 1;
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    assert!(files > 5, "{files} files");
}
