//! Clients that hang up and processes that are killed in the middle of actions on files, links and accounts:
//! what was done is in the audit log, and what is in the audit log was done.
//!
//! The short loop runs with all other tests. The long one:
//! `ONCELINK_TEST_HANG_UPS=1000 ONCELINK_TEST_KILLS=100 cargo test --release changes_interrupted`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::needs::variable;
use crate::support::process::{Dice, PROGRAM, pause, say, wait_for};
use crate::support::tus::{Uploader, metadata};
use crate::support::web::form;
use crate::support::web_process::WebSite;

fn number(name: &str, otherwise: u64) -> u64 {
    variable(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// An action that a client begins; `n` makes it unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Folder,
    Upload,
    Rename,
    Trash,
    Link,
    Name,
}

const KINDS: [Kind; 6] = [Kind::Folder, Kind::Upload, Kind::Rename, Kind::Trash, Kind::Link, Kind::Name];

/// A request as it is sent over the wire.
fn request(ada: &Uploader, site: &WebSite, kind: Kind, n: u64) -> Vec<u8> {
    let post = |path: &str, fields: &[(&str, &str)]| {
        let body = form(&[fields, &[("csrf", ada.csrf.as_str())]].concat());
        format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nContent-Type: \
             application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            site.address,
            ada.cookie,
            body.len()
        )
        .into_bytes()
    };
    let (before, after) = (format!("/open/before {n}.txt"), format!("after {n}.txt"));
    match kind {
        Kind::Folder => post("/manage/make-folder", &[("folder", "/open"), ("name", &format!("folder {n}"))]),
        Kind::Rename => post("/manage/rename", &[("path", &before.replace(' ', "%20")), ("name", &after)]),
        Kind::Trash => post("/manage/delete", &[("path", &before.replace(' ', "%20"))]),
        Kind::Link => post(
            "/links",
            &[
                ("files", "/open/kept.txt"),
                ("title", &format!("link {n}")),
                ("note", ""),
                ("uses", "1"),
                ("ends", ""),
                ("password", ""),
                ("notify", "never"),
                ("recipients", ""),
            ],
        ),
        Kind::Name => post("/account/name", &[("name", &format!("Ada {n}"))]),
        Kind::Upload => {
            let metadata = metadata(&[("folder", "/open"), ("filename", &format!("upload {n}.txt"))]);
            let mut head = format!(
                "POST /uploads HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nX-CSRF-Token: {}\r\nTus-Resumable: \
                 1.0.0\r\nUpload-Length: 1000\r\nUpload-Metadata: {metadata}\r\nContent-Type: \
                 application/offset+octet-stream\r\nContent-Length: 1000\r\n\r\n",
                site.address, ada.cookie, ada.csrf
            )
            .into_bytes();
            head.extend(std::iter::repeat_n(b'x', 1000));
            head
        }
    }
}

/// The entries of the audit log, by action and subject, as the command line shows them.
fn audited(site: &WebSite) -> BTreeSet<(String, String)> {
    let output = Command::new(PROGRAM)
        .args(["audit", "list", "--json"])
        .current_dir(site.dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let part = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    let all: Vec<_> = lines.iter().map(|line| (part(line, "action"), part(line, "subject"))).collect();
    let set: BTreeSet<_> = all.iter().filter(|(action, _)| !action.starts_with("logged")).cloned().collect();
    let without_log_ins = all.iter().filter(|(action, _)| !action.starts_with("logged")).count();
    assert_eq!(set.len(), without_log_ins, "nothing is logged twice: {all:?}");
    set
}

/// What was done with `n`, as the disk and the pages show it, in the words of the audit log.
fn done(site: &WebSite, kind: Kind, n: u64) -> Option<(&'static str, String)> {
    let there = |name: &str| site.share.join(name).exists();
    match kind {
        Kind::Folder => there(&format!("folder {n}")).then(|| ("folder-made", format!("/open/folder {n}"))),
        Kind::Upload => {
            there(&format!("upload {n}.txt")).then(|| ("file-uploaded", format!("/open/upload {n}.txt")))
        }
        Kind::Rename => there(&format!("after {n}.txt"))
            .then(|| ("file-renamed", format!("/open/before {n}.txt → /open/after {n}.txt"))),
        Kind::Trash => {
            (!there(&format!("before {n}.txt"))).then(|| ("file-trashed", format!("/open/before {n}.txt")))
        }
        Kind::Link | Kind::Name => None,
    }
}

/// Checks that an action is logged if and only if it is on the disk, and that every link was logged.
fn agrees(site: &WebSite, acts: &[(Kind, u64)]) -> Result<usize, String> {
    let logged = audited(site);
    let mut count = 0;
    for (kind, n) in acts {
        let words = ["folder-made", "file-uploaded", "file-renamed", "file-trashed"];
        let mine = |(action, subject): &&(String, String)| {
            let path = match kind {
                Kind::Folder => format!("/open/folder {n}"),
                Kind::Upload => format!("/open/upload {n}.txt"),
                _ => format!("/open/before {n}.txt"),
            };
            words.contains(&action.as_str())
                && (*subject == path || subject.starts_with(&format!("{path} →")))
        };
        let logged: Vec<_> = logged.iter().filter(mine).collect();
        let done = done(site, *kind, *n);
        let is_right = match (&done, logged.as_slice()) {
            (None, []) => true,
            (Some((action, subject)), [(said, of)]) => action == said && subject == of,
            _ => false,
        };
        if matches!(kind, Kind::Link | Kind::Name) {
            continue;
        }
        if !is_right {
            return Err(format!("{kind:?} {n}: on the disk {done:?}, in the log {logged:?}"));
        }
        count += usize::from(done.is_some());
    }
    Ok(count)
}

fn prepare(site: &WebSite, kind: Kind, n: u64) {
    if matches!(kind, Kind::Rename | Kind::Trash) {
        fs::write(site.share.join(format!("before {n}.txt")), "content").unwrap();
    }
}

/// Links that exist but are not logged, or are logged but don't exist.
async fn links_agree(ada: &Uploader, site: &WebSite) {
    let logged = audited(site).into_iter().filter(|(action, _)| action == "link-made").count();
    let mut there = 0;
    for page in 1.. {
        let answer = ada.bare("GET", &format!("/links?page={page}"), &[], Vec::new()).await;
        assert_eq!(answer.status, 200);
        let rows: BTreeSet<&str> =
            answer.body.split("href=\"/links/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let rows = rows.iter().filter(|id| id.len() == 22).count();
        there += rows;
        if rows == 0 || !answer.body.contains(&format!("/links?page={}", page + 1)) {
            break;
        }
    }
    assert_eq!(logged, there, "links in the log, and links that exist");
}

#[actix_web::test]
async fn a_client_that_hangs_up_leaves_nothing_half_done() {
    let site = WebSite::new(None, "");
    fs::write(site.share.join("kept.txt"), "kept").unwrap();
    let process = site.start();
    let ada = site.ada().await;
    let mut dice = Dice::new(number("ONCELINK_TEST_SEED", 1));
    let acts: Vec<(Kind, u64)> = (0..number("ONCELINK_TEST_HANG_UPS", 60))
        .map(|n| (KINDS[usize::try_from(n % 6).unwrap()], n))
        .collect();
    for (kind, n) in &acts {
        prepare(&site, *kind, *n);
        let mut stream = TcpStream::connect(site.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(&request(&ada, &site, *kind, *n)).unwrap();
        pause(Duration::from_micros(dice.below(4_000)));
        // A close that leaves bytes unread makes the system reset the connection.
        if dice.below(2) == 0 {
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
        drop(stream);
    }
    // An action that began is completed, although no client waits for it.
    let mut last = Err(String::new());
    wait_for("the disk and the log to agree", || {
        last = agrees(&site, &acts);
        last.is_ok()
    });
    let count = last.unwrap();
    links_agree(&ada, &site).await;
    assert!(count > 0, "some actions were carried out");
    let verified =
        Command::new(PROGRAM).args(["audit", "verify"]).current_dir(site.dir.path()).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
    assert!(!site.log().contains("panicked"), "{}", site.log());
    say(&format!("{} hang-ups, {count} file actions carried out, each logged once", acts.len()));
    process.kill();
}

#[actix_web::test]
async fn a_process_that_is_killed_leaves_nothing_that_its_next_start_does_not_settle() {
    let site = WebSite::new(None, "");
    fs::write(site.share.join("kept.txt"), "kept").unwrap();
    let mut dice = Dice::new(number("ONCELINK_TEST_SEED", 1));
    let (mut acts, mut n) = (Vec::new(), 0);
    let kills = number("ONCELINK_TEST_KILLS", 8);
    for _ in 0..kills {
        let process = site.start();
        let ada = site.ada().await;
        let begun = 10 + dice.below(20);
        let mut streams = Vec::new();
        for _ in 0..begun {
            let kind = KINDS[usize::try_from(dice.below(6)).unwrap()];
            prepare(&site, kind, n);
            let mut stream = TcpStream::connect(site.address).unwrap();
            stream.write_all(&request(&ada, &site, kind, n)).unwrap();
            acts.push((kind, n));
            streams.push(stream);
            n += 1;
        }
        pause(Duration::from_millis(dice.below(60)));
        process.kill();
        for mut stream in streams {
            // The response doesn't matter: below, the disk and the log are compared for every action.
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
        }
    }
    let process = site.start();
    let ada = site.ada().await;
    let count = agrees(&site, &acts).unwrap_or_else(|wrong| panic!("{wrong}\n{}", site.log()));
    links_agree(&ada, &site).await;
    let verified =
        Command::new(PROGRAM).args(["audit", "verify"]).current_dir(site.dir.path()).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
    say(&format!("{kills} kills among {} actions, {count} carried out, each logged once", acts.len()));
    process.kill();
}
