//! Actions on files that were interrupted between the disk and the database, at each step: the next start
//! completes or undoes them, so that the disk, the database and the audit log agree.

use std::fs;
use std::path::PathBuf;

use oncelink::web::audit;

use crate::support::tus::writable;
use crate::support::web::{START, TestWeb};

/// An id in the format of the trash.
const TRASHED: &str = "AAAAAAAAAAAAAAAAAAAAAA";

struct Change {
    action: &'static str,
    source: &'static str,
    target: &'static str,
    /// The file's place before and after the action, below the share; empty means that it does not exist.
    before: &'static str,
    after: &'static str,
    /// Whether the trash entry was written together with the intent, or before it.
    has_row: bool,
    /// The subject of its entry in the audit log.
    subject: &'static str,
    /// Whether the state of the disk can only mean that the action is completed.
    is_always_finished: bool,
}

const IN_TRASH: &str = ".oncelink/trash/AAAAAAAAAAAAAAAAAAAAAA";

const CHANGES: [Change; 6] = [
    Change {
        action: "file-renamed",
        source: "/open/a.txt",
        target: "/open/b.txt",
        before: "a.txt",
        after: "b.txt",
        has_row: false,
        subject: "/open/a.txt → /open/b.txt",
        is_always_finished: false,
    },
    Change {
        action: "file-moved",
        source: "/open/a.txt",
        target: "/open/sub/a.txt",
        before: "a.txt",
        after: "sub/a.txt",
        has_row: false,
        subject: "/open/a.txt → /open/sub/a.txt",
        is_always_finished: false,
    },
    Change {
        action: "file-trashed",
        source: "/open/a.txt",
        target: "",
        before: "a.txt",
        after: IN_TRASH,
        has_row: true,
        subject: "/open/a.txt",
        is_always_finished: false,
    },
    Change {
        action: "file-restored",
        source: "/open/a.txt",
        target: "/open/a (2).txt",
        before: IN_TRASH,
        after: "a (2).txt",
        has_row: true,
        subject: "/open/a (2).txt",
        is_always_finished: false,
    },
    Change {
        action: "file-forgotten",
        source: "/open/a.txt",
        target: "",
        before: IN_TRASH,
        after: "",
        has_row: true,
        subject: "/open/a.txt",
        is_always_finished: true,
    },
    Change {
        action: "folder-made",
        source: "/open/new",
        target: "/open/new",
        before: "",
        after: "new",
        has_row: false,
        subject: "/open/new",
        is_always_finished: false,
    },
];

/// An app whose process ended after it recorded an intent: before the action, or after it.
struct Cut {
    web: TestWeb,
    share: PathBuf,
}

impl Cut {
    async fn at(change: &Change, is_done: bool) -> Cut {
        let web = TestWeb::spawn_with(writable).await;
        let share = web.share("open").to_owned();
        for folder in ["sub", ".oncelink/trash"] {
            fs::create_dir_all(share.join(folder)).unwrap();
        }
        let cut = Cut { web, share };
        let mut inode = String::new();
        if !change.before.is_empty() {
            fs::write(cut.share.join(change.before), "content").unwrap();
            use std::os::unix::fs::MetadataExt;
            inode = fs::metadata(cut.share.join(change.before)).unwrap().ino().to_string();
            cut.sql(&format!(
                "INSERT INTO file_digests (path, share, version, sha256, account, size) \
                 VALUES ('/open/{}', 'open', 'v', 'digest', 'ada', 7)",
                change.before
            ))
            .await;
        }
        let trash = if change.has_row { TRASHED } else { "" };
        if change.has_row {
            cut.sql(&format!(
                "INSERT INTO trash (id, share, path, is_folder, account, trashed_at, forget_at) \
                 VALUES ('{TRASHED}', 'open', '{}', 0, 'ada', 1800000000, 1900000000)",
                change.source
            ))
            .await;
        }
        cut.sql(&format!(
            "INSERT INTO intents (id, deed, source, target, inode, trash, actor, who, address, at, undone) \
             VALUES ('one', '{}', '{}', '{}', '{inode}', '{trash}', 'ada-id', 'ada@example.org', '192.0.2.7', \
             1800000000, 0)",
            change.action, change.source, change.target
        ))
        .await;
        if is_done {
            match (change.before, change.after) {
                ("", after) => fs::create_dir(cut.share.join(after)).unwrap(),
                (before, "") => fs::remove_file(cut.share.join(before)).unwrap(),
                (before, after) => fs::rename(cut.share.join(before), cut.share.join(after)).unwrap(),
            }
        }
        cut
    }

    async fn sql(&self, statement: &str) {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        sqlx::query(statement).execute(self.web.outside.db.writer()).await.unwrap();
    }

    async fn texts(&self, query: &'static str) -> Vec<String> {
        sqlx::query_scalar(query).fetch_all(self.web.outside.db.reader()).await.unwrap()
    }
}

#[actix_web::test]
async fn an_interrupted_change_is_finished_or_undone_by_the_next_start() {
    for change in &CHANGES {
        for is_done in [false, true] {
            let case = format!("{}, {is_done}", change.action);
            let mut cut = Cut::at(change, is_done).await;
            // Another process starts with what this one left.
            cut.web.twin().await;
            let is_finished = is_done || change.is_always_finished;
            let place_now = if is_finished { change.after } else { change.before };
            for place in [change.before, change.after].into_iter().filter(|place| !place.is_empty()) {
                assert_eq!(cut.share.join(place).exists(), place == place_now, "{case}: {place}");
            }
            let digests = cut.texts("SELECT path FROM file_digests").await;
            let wanted: Vec<String> = Some(place_now)
                .filter(|place| !place.is_empty())
                .map(|place| format!("/open/{place}"))
                .into_iter()
                .collect();
            assert_eq!(digests, wanted, "{case}");
            let lines = audit::list(&cut.web.outside.db, "", 0, 10).await.unwrap().0;
            let logged: Vec<_> = lines
                .iter()
                .map(|line| {
                    (line.action.as_str(), line.subject.as_str(), line.who.as_str(), line.address.as_str())
                })
                .collect();
            let line = (change.action, change.subject, "ada@example.org", "192.0.2.7");
            assert_eq!(logged, if is_finished { vec![line] } else { Vec::new() }, "{case}");
            let rows = cut.texts("SELECT id FROM trash").await;
            let is_in_trash = place_now == IN_TRASH;
            assert_eq!(rows, if is_in_trash { vec![TRASHED.to_owned()] } else { Vec::new() }, "{case}");
            assert!(cut.texts("SELECT id FROM intents WHERE undone = 0").await.is_empty(), "{case}");
            // The third start has nothing left to do.
            cut.web.twin().await;
            assert_eq!(
                audit::list(&cut.web.outside.db, "", 0, 10).await.unwrap().0.len(),
                lines.len(),
                "{case}"
            );
            cut.web.stop().await;
        }
    }
}

#[actix_web::test]
async fn a_change_in_an_unavailable_share_waits_for_it() {
    let change = &CHANGES[0];
    let mut cut = Cut::at(change, true).await;
    let aside = cut.share.with_extension("aside");
    fs::rename(&cut.share, &aside).unwrap();
    fs::create_dir(&cut.share).unwrap();
    // The share folder that this process opened is not the one at its path now.
    cut.web.app.upkeep().prune().await;
    assert_eq!(cut.texts("SELECT id FROM intents").await, ["one"]);
    fs::remove_dir(&cut.share).unwrap();
    fs::rename(&aside, &cut.share).unwrap();
    cut.web.twin().await;
    assert!(cut.texts("SELECT id FROM intents").await.is_empty());
    assert_eq!(cut.texts("SELECT action FROM audit").await, ["file-renamed"]);
    cut.web.stop().await;
}

#[actix_web::test]
async fn trash_entries_without_a_row_are_removed_but_not_before_their_time() {
    // The entry was deleted at true time, and the tests' clock is ahead.
    let real = oncelink::clock::Clock::wall().now();
    let web = TestWeb::spawn_with(|settings| {
        writable(settings);
        settings.web.trash_keep = START.since(real) + std::time::Duration::from_secs(1000);
    })
    .await;
    let trash = web.share("open").join(".oncelink/trash");
    fs::create_dir_all(trash.join(TRASHED)).unwrap();
    fs::write(trash.join(TRASHED).join("deep.txt"), "x").unwrap();
    fs::write(trash.join(format!("{TRASHED}.1")), "x").unwrap();
    fs::write(trash.join("somebody-elses"), "x").unwrap();
    let known = "BBBBBBBBBBBBBBBBBBBBBB";
    fs::write(trash.join(known), "x").unwrap();
    let insert = format!(
        "INSERT INTO trash (id, share, path, is_folder, account, trashed_at, forget_at) \
         VALUES ('{known}', 'open', '/open/b.txt', 0, 'ada', 1800000000, 1900000000)"
    );
    sqlx::query(sqlx::AssertSqlSafe(insert)).execute(web.outside.db.writer()).await.unwrap();
    let names = || {
        let mut names: Vec<String> = fs::read_dir(&trash)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    web.app.upkeep().prune().await;
    assert_eq!(names().len(), 4, "not before the retention ends");
    web.pass(2000);
    web.app.upkeep().prune().await;
    assert_eq!(names(), [known, "somebody-elses"]);
    web.stop().await;
}
