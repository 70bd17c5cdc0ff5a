//! A used-token store that is missing, rolled back or damaged while the node is down: used tokens stay
//! refused, new tokens work, and the log says what happened and what to do.
//!
//! Kill, damage, start and replay follow each other as fast as they can, within one second: a fence with the
//! second of the start would let the second download through.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oncelink::clock::Clock;

use crate::support::process::{Process, Site, Ticket, run, say, wait_for};

/// The problems that a used token may meet when the store can't remember everything.
const REFUSALS: [&str; 2] = ["used-token", "expired-token"];
const NOT_TRUSTED: &str = "the used-token store cannot be trusted";

/// Starts the node, replays used tokens as soon as it answers at all, and checks that new tokens work.
fn start_and_replay(site: &Site, used: &[Ticket]) -> Process {
    let mut node = site.launch(site.command(&[]));
    // Any of them may be the one that a store without a memory accepts right after the start.
    let mut first = None;
    wait_for("a first answer", || {
        first = site.get(&used[0]).ok();
        first.is_some()
    });
    let first = first.unwrap();
    assert!(first.status == 410 && REFUSALS.contains(&first.slug().as_str()), "{first:?}");
    site.assert_refused(used, &REFUSALS);
    node.wait_until_ready();
    site.assert_refused(used, &REFUSALS);
    site.redeem(1);
    node
}

/// Redeems, kills, damages the store, starts and replays; returns what was logged since.
fn damaged_by(damage: impl FnOnce(&Site)) -> String {
    let site = Site::new();
    let node = site.start();
    let used = site.redeem(5);
    let before = site.log().len();
    node.kill();
    damage(&site);
    start_and_replay(&site, &used).kill();
    // And once more: the next start does not forget what was noticed.
    start_and_replay(&site, &used).kill();
    site.log().split_off(before)
}

fn assert_logged(log: &str, what: &str) {
    let is_logged =
        log.lines().any(|line| line.contains(NOT_TRUSTED) && line.contains(what) && line.contains(" ERROR "));
    assert!(is_logged, "{log}");
    assert!(log.contains("links issued before") && log.contains("issue new links"), "{log}");
}

#[test]
fn a_deleted_store_lets_nothing_in_twice() {
    let log = damaged_by(|site| fs::remove_dir_all(site.store()).unwrap());
    assert_logged(&log, "the database is missing");
}

#[test]
fn a_token_from_a_clock_that_is_ahead_is_refused_by_the_fence_of_a_new_store() {
    let site = Site::new();
    let node = site.start();
    // Within the leeway, as if the web app's clock were ahead of this node's.
    let ahead = site.ticket_at(
        "small.bin",
        Clock::wall().now().plus(Duration::from_secs(4)),
        Duration::from_secs(60),
    );
    assert_eq!(site.get(&ahead).unwrap().status, 200);
    node.kill();
    fs::remove_dir_all(&site.data).unwrap();
    start_and_replay(&site, &[ahead]).kill();
}

#[test]
fn a_store_deleted_with_everything_around_it_lets_nothing_in_twice() {
    let log = damaged_by(|site| fs::remove_dir_all(&site.data).unwrap());
    assert!(log.contains("created a new used-token store; links issued before"), "{log}");
}

#[test]
fn a_partly_deleted_store_lets_nothing_in_twice() {
    for (part, message) in [
        ("journal.0", "journal 0: it is missing"),
        ("journal.1", "journal 1: it is missing"),
        ("sled", "the database is missing"),
        ("sled/db", "database"),
        ("../used-tokens.witness", "the witness next to the folder is missing"),
    ] {
        let log = damaged_by(|site| {
            let path = site.store().join(part);
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        });
        assert_logged(&log, message);
    }
}

#[test]
fn a_snapshot_that_a_kill_cut_off_at_the_start_costs_nothing() {
    let site = Site::new();
    let node = site.start();
    let (used, unused) = (site.redeem(3), site.ticket("small.bin"));
    node.kill();
    let snapshot = site.store().join("sled/snap.0000000000FFFFFF.generating");
    for cut_off in [&b""[..], b"twelve bytes", b"all but its checksum, and of another length"] {
        fs::write(&snapshot, cut_off).unwrap();
        let node = site.start();
        site.assert_used(&used);
        node.kill();
    }
    let node = site.start();
    assert_eq!(site.get(&unused).unwrap().status, 200, "no fence was set");
    assert!(!site.log().contains(NOT_TRUSTED), "{}", site.log());
    node.kill();
}

/// Makes a copy with `copy`, redeems more, and puts the copy back with `put_back`, as if it were a day old.
fn put_back(copy: impl FnOnce(&Site), put_back: impl FnOnce(&Site)) -> String {
    let site = Site::new();
    let node = site.start();
    let mut used = site.redeem(3);
    node.kill();
    copy(&site);
    let node = site.start();
    used.extend(site.redeem(3));
    let before = site.log().len();
    node.kill();
    put_back(&site);
    start_and_replay(&site, &used).kill();
    start_and_replay(&site, &used).kill();
    site.log().split_off(before)
}

fn copy(from: &Path, to: &Path) {
    run("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]);
}

#[test]
fn yesterdays_restored_store_lets_nothing_in_twice() {
    let backup = |site: &Site| site.path().join("backup");
    let log = put_back(
        |site| copy(&site.store(), &backup(site)),
        |site| {
            fs::remove_dir_all(site.store()).unwrap();
            fs::rename(backup(site), site.store()).unwrap();
        },
    );
    assert_logged(&log, "older than its witness");
}

#[test]
fn yesterdays_restored_data_folder_lets_nothing_in_twice() {
    let backup = |site: &Site| site.path().join("backup");
    let log = put_back(
        |site| copy(&site.data, &backup(site)),
        |site| {
            fs::remove_dir_all(&site.data).unwrap();
            fs::rename(backup(site), &site.data).unwrap();
        },
    );
    assert_logged(&log, "restored from a copy");
}

#[test]
fn yesterdays_original_restored_over_a_copy_lets_nothing_in_twice() {
    let backup = |site: &Site| site.path().join("backup");
    let log = put_back(
        |site| {
            fs::rename(site.store(), backup(site)).unwrap();
            copy(&backup(site), &site.store());
        },
        |site| {
            fs::remove_dir_all(site.store()).unwrap();
            fs::rename(backup(site), site.store()).unwrap();
        },
    );
    assert_logged(&log, "older than its witness");
}

/// All files of the store, and the witness beside it.
fn files(site: &Site) -> Vec<PathBuf> {
    let mut folders = vec![site.store()];
    let mut files = vec![site.store().with_extension("witness")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.to_str().unwrap().contains(".damaged-") {
                continue;
            }
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// Flips a byte in place, as a failing disk would: the inode stays the same.
fn flip(path: &Path, offset: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

#[test]
fn a_flipped_byte_in_any_file_lets_nothing_in_twice() {
    let site = Site::new();
    let mut node = site.start();
    let mut used = site.redeem(3);
    let (mut flips, mut unnoticed) = (0, Vec::new());
    let names: Vec<PathBuf> = files(&site);
    for name in names {
        // The magic, the header, the first record, the middle, the end.
        for place in [0_u64, 30, 4096 + 50, u64::MAX / 2, u64::MAX] {
            used.extend(site.redeem(2));
            let before = site.log().len();
            node.kill();
            // After damage files are replaced, and sled renames its snapshots: a missing file can't be
            // damaged.
            let len = fs::metadata(&name).map_or(0, |data| data.len());
            let offset = if place > len { (place / (u64::MAX / 2)).max(1) * (len / 2) } else { place };
            if len > 0 {
                flip(&name, offset.min(len - 1));
                flips += 1;
            }
            node = start_and_replay(&site, &used);
            if len > 0 && !site.log().split_off(before).contains(NOT_TRUSTED) {
                unnoticed.push(format!("{}:{offset}", name.file_name().unwrap().display()));
            }
        }
    }
    say(&format!("{flips} bytes flipped; not noticed, because nothing depends on them: {unnoticed:?}"));
    assert!(flips >= 15 && unnoticed.len() * 2 < flips, "{unnoticed:?} of {flips}");
}
