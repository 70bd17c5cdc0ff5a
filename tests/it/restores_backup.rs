//! `oncelink backup` and `oncelink restore`, rehearsed under load with the real program, and what they
//! refuse.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use crate::support::client::Client;
use crate::support::links::{Made, make};
use crate::support::process::{PROGRAM, run, signal};
use crate::support::serving::{Serving, put_in_place};

/// The number of links that are used once each while the backup is made, and again after it.
const ONCE: usize = 12;

async fn links(serving: &Serving, count: usize) -> Vec<Made> {
    let mut ada = serving.logged_in("ada@example.org").await;
    let mut made = Vec::new();
    for _ in 0..count {
        made.push(make(&mut ada, &[("uses", "1")]).await);
    }
    made
}

/// Changes the manifest, and its digest accordingly.
fn alter_manifest(backup: &Path, change: impl FnOnce(String) -> String) {
    let path = backup.join("manifest.json");
    let text = change(fs::read_to_string(&path).unwrap());
    fs::write(&path, text).unwrap();
    let sum = run("sha256sum", &[path.to_str().unwrap()]);
    let digest = sum.split(' ').next().unwrap();
    fs::write(backup.join("manifest.sha256"), format!("{digest}  manifest.json\n")).unwrap();
}

#[actix_web::test]
async fn a_backup_made_under_load_and_restored_serves_nothing_twice_and_loses_no_account_or_link() {
    let serving = Serving::new();
    serving.add("ada@example.org");
    let node = serving.start();
    let made = links(&serving, ONCE * 2).await;
    let mut ada = serving.logged_in("ada@example.org").await;
    let often = make(&mut ada, &[("uses", "")]).await;
    let (taken, minted) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let backup = serving.path("backup");

    let pressing = async {
        for (nth, link) in made.iter().take(ONCE).enumerate() {
            let answer = serving.take(&link.public[0]).await;
            taken.lock().unwrap().push(answer);
            serving.take(&often.public[0]).await;
            if nth % 3 == 0 {
                let address = serving.said(&["token", "mint", "/open/file.txt"]).trim().to_owned();
                assert_eq!(Client::default().get(&address).await.status, 200);
                minted.lock().unwrap().push(address);
            }
        }
    };
    let folder = serving.dir.path().to_owned();
    let backing_up = async {
        let run =
            move || Command::new(PROGRAM).args(["backup", "backup"]).current_dir(folder).output().unwrap();
        let output = actix_web::rt::task::spawn_blocking(run).await.unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    futures_util::future::join(pressing, backing_up).await;
    for file in ["manifest.json", "web/oncelink.sqlite", "keys/keys.json", "keys/link-key", "oncelink.toml"] {
        assert_eq!(fs::metadata(backup.join(file)).unwrap().mode() & 0o777, 0o600, "{file}");
    }
    assert!(!backup.join("download").exists());
    let whole =
        Command::new("sha256sum").args(["-c", "manifest.sha256"]).current_dir(&backup).output().unwrap();
    assert!(whole.status.success(), "{whole:?}");

    // After the backup: the other links, each once; one of them is pressed but not downloaded yet.
    for link in &made[ONCE..ONCE * 2 - 1] {
        let answer = serving.take(&link.public[0]).await;
        taken.lock().unwrap().push(answer);
    }
    assert!(serving.refused(&["restore", "backup", "--force"]).contains("services are running"));
    node.kill();
    assert!(serving.refused(&["restore", "backup"]).contains("--force"));
    serving.said(&["restore", "backup", "--force"]);
    let aside = fs::read_dir(serving.path("data")).unwrap().map(|entry| entry.unwrap().file_name());
    let aside = aside.filter(|name| name.to_str().unwrap().contains("before-restore")).count();
    assert_eq!(aside, 2, "the old accounts and keys are kept");

    let node = serving.start();
    for address in taken.into_inner().unwrap().iter().chain(&minted.into_inner().unwrap()) {
        assert_eq!(Client::default().get(address).await.status, 410);
    }
    for link in &made {
        let answer = serving.press(&link.public[0]).await;
        assert_eq!(answer.status, 403, "{}", answer.body);
    }
    serving.take(&often.public[0]).await;
    let mut ada = serving.logged_in("ada@example.org").await;
    assert_eq!(ada.get(&made[0].page).await.status, 200);
    let checked = String::from_utf8(serving.cli(&["check"]).stdout).unwrap();
    assert!(checked.contains("warning  accounts: the database was restored from a backup"), "{checked}");
    serving.said(&["links", "resume", "--restored"]);
    serving.take(&made[ONCE * 2 - 1].public[0]).await;
    drop(node);
}

#[actix_web::test]
async fn a_restore_onto_a_new_machine_is_noticed_too() {
    let serving = Serving::new();
    serving.add("ada@example.org");
    let node = serving.start();
    let made = links(&serving, 2).await;
    serving.said(&["backup", "backup"]);
    let address = serving.take(&made[0].public[0]).await;
    node.kill();
    // Nothing is left of the old database.
    fs::remove_dir_all(serving.path("data")).unwrap();
    serving.said(&["restore", "backup"]);
    let node = serving.start();
    assert_eq!(Client::default().get(&address).await.status, 410);
    for link in &made {
        assert_eq!(serving.press(&link.public[0]).await.status, 403);
    }
    assert!(serving.log().contains("the account database was restored from a backup"), "{}", serving.log());
    drop(node);
}

#[test]
fn anything_but_a_complete_backup_of_ours_is_refused_and_nothing_is_touched() {
    let serving = Serving::new();
    assert!(serving.refused(&["backup", "backup"]).contains("neither accounts nor keys"));
    serving.add("ada@example.org");
    serving.said(&["backup", "good"]);
    assert!(serving.refused(&["backup", "good"]).contains("is not empty"));
    assert!(serving.refused(&["backup", "share/inside"]).contains("is in the share"));
    assert!(!serving.path("share/inside").exists());
    assert!(serving.refused(&["restore", "nowhere"]).contains("is not a backup"));

    let before = fs::read(serving.path("data/web/oncelink.sqlite")).unwrap();
    let (good, bad) = (serving.path("good"), serving.path("bad"));
    let altered = |what: &str, alter: &dyn Fn()| {
        put_in_place(&good, &bad);
        alter();
        let refused = serving.refused(&["restore", "bad", "--force"]);
        assert!(refused.contains(what), "{refused}");
        assert_eq!(fs::read(serving.path("data/web/oncelink.sqlite")).unwrap(), before);
    };
    altered("manifest.json is damaged", &|| {
        let text = fs::read_to_string(bad.join("manifest.json")).unwrap();
        fs::write(bad.join("manifest.json"), text.replace("sqlite\"", "sqlitf\"")).unwrap();
    });
    altered("manifest.json is damaged", &|| fs::write(bad.join("manifest.sha256"), "").unwrap());
    altered("cannot read", &|| fs::remove_file(bad.join("manifest.sha256")).unwrap());
    altered("is unfinished: it has no manifest.json", &|| {
        fs::remove_file(bad.join("manifest.json")).unwrap()
    });
    altered("web/oncelink.sqlite in the backup is damaged", &|| {
        let mut bytes = fs::read(bad.join("web/oncelink.sqlite")).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(bad.join("web/oncelink.sqlite"), bytes).unwrap();
    });
    altered("cannot read keys/link-key", &|| fs::remove_file(bad.join("keys/link-key")).unwrap());
    altered("keys/link-key in the backup is damaged", &|| {
        fs::remove_file(bad.join("keys/link-key")).unwrap();
        std::os::unix::fs::symlink(good.join("keys/link-key"), bad.join("keys/link-key")).unwrap();
    });
    let version = format!("\"oncelink\": \"{}\"", env!("CARGO_PKG_VERSION"));
    let newer = |from: String, to: &str| {
        altered("created by a newer release", &|| {
            alter_manifest(&bad, |text| {
                assert!(text.contains(&from), "{text}");
                text.replace(&from, to)
            });
        });
    };
    newer("\"format\": 1".to_owned(), "\"format\": 2, \"more\": 1");
    newer(version, "\"oncelink\": \"99.0.0\"");
    newer("\"step\": ".to_owned(), "\"step\": 900");
    altered("manifest.json is damaged", &|| {
        alter_manifest(&bad, |text| text.replace("keys/link-key", "../keys/link-key"));
    });
    if rustix::process::geteuid().is_root() {
        altered("belongs to user 4711", &|| chown(&bad, Some(4711), None).unwrap());
        fs::create_dir(serving.path("theirs")).unwrap();
        chown(serving.path("theirs"), Some(4711), None).unwrap();
        assert!(serving.refused(&["backup", "theirs"]).contains("belongs to user 4711"));
    }
}

#[test]
fn a_backup_that_does_not_fit_leaves_nothing_behind() {
    let serving = Serving::new();
    serving.add("ada@example.org");
    let command = format!("trap '' XFSZ; ulimit -f 64; exec '{PROGRAM}' backup small");
    let output = Command::new("sh").args(["-c", &command]).current_dir(serving.dir.path()).output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && complaint.contains("is removed"), "{complaint}");
    assert!(!serving.path("small").exists());
    serving.said(&["backup", "small"]);
}

#[test]
fn a_backup_belongs_to_the_owner_of_the_data() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let serving = Serving::new();
    serving.add("ada@example.org");
    run("chown", &["-R", "4711:4712", serving.path("data").to_str().unwrap()]);
    serving.said(&["backup", "backup"]);
    for file in ["", "manifest.json", "web", "web/oncelink.sqlite", "keys/keys.json"] {
        let found = fs::metadata(serving.path("backup").join(file)).unwrap();
        assert_eq!((found.uid(), found.gid()), (4711, 4712), "{file}");
    }
    serving.said(&["restore", "backup", "--force"]);
    let restored = fs::metadata(serving.path("data/web/oncelink.sqlite")).unwrap();
    assert_eq!((restored.uid(), restored.mode() & 0o777), (4711, 0o600));
}

#[test]
fn an_interrupted_restore_is_not_served() {
    let serving = Serving::new();
    serving.add("ada@example.org");
    serving.said(&["backup", "backup"]);
    fs::write(serving.path("data/restore-under-way"), "").unwrap();
    assert!(serving.refused(&["serve"]).contains("was interrupted"));
    serving.said(&["restore", "backup", "--force"]);
    drop(serving.start());
}

#[test]
fn a_data_directory_that_others_may_change_is_not_served() {
    let serving = Serving::new();
    serving.add("ada@example.org");
    let data = serving.path("data");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = serving.refused(&["serve"]);
    assert!(refused.contains("mode 777") && refused.contains("chmod 700"), "{refused}");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(data.join("web"), fs::Permissions::from_mode(0o755)).unwrap();
    let node = serving.start();
    assert!(serving.log().contains("other users can read the data directory"), "{}", serving.log());
    signal(node.id(), rustix::process::Signal::KILL);
    for (path, mode) in [
        ("web", 0o700),
        ("download", 0o700),
        ("download/used-tokens", 0o700),
        ("download/used-tokens/lock", 0o600),
        ("download/used-tokens/journal.0", 0o600),
        ("download/used-tokens.witness", 0o600),
        ("download/receipts.sqlite", 0o600),
        ("download/remembered", 0o600),
        ("web.witness", 0o600),
        ("clock", 0o600),
    ] {
        assert_eq!(fs::metadata(data.join(path)).unwrap().mode() & 0o777, mode, "{path}");
    }
}
