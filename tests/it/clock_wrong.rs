//! A clock that was wrong for a while: the log, `check` and `/readyz` report it, and `oncelink clock reset`
//! corrects the time without accepting anything twice.

use std::collections::BTreeSet;
use std::fs;

use oncelink::clock::Clock;
use oncelink::config::Settings;
use oncelink::web::db::Database;
use oncelink::web::time_reset::{PAST, ends_looked_after};
use sqlx::Row;

use crate::support::client::Client;
use crate::support::faketime;
use crate::support::links::make;
use crate::support::process::wait_for;
use crate::support::serving::Serving;

/// Both services with a clock that the test sets.
fn with_fake_clock() -> Option<Serving> {
    let library = faketime::library()?;
    let mut serving = Serving::new();
    let file = serving.path("wall").display().to_string();
    serving.environment = vec![
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", file),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("NO_FAKE_STAT", "1".to_owned()),
    ];
    set(&serving, "+0s");
    Some(serving)
}

/// Sets the clock to an offset from the true time, such as `+400d`; running services follow.
fn set(serving: &Serving, offset: &str) {
    let fresh = serving.path("wall.new");
    fs::write(&fresh, format!("{offset}\n")).unwrap();
    fs::rename(fresh, serving.path("wall")).unwrap();
}

/// The line of `check` about the clock.
fn checked(serving: &Serving) -> String {
    let said = String::from_utf8(serving.cli(&["check"]).stdout).unwrap();
    said.lines().find(|line| line.contains("clock: ")).unwrap_or_else(|| panic!("{said}")).to_owned()
}

const WARNING: &str = "time stands still";

#[actix_web::test]
async fn a_clock_that_was_ahead_is_reported_and_a_reset_corrects_time_without_accepting_anything_twice() {
    let Some(serving) = with_fake_clock() else { return };
    set(&serving, "+400d");
    serving.add("ada@example.org");
    let node = serving.start();
    let mut ada = serving.logged_in("ada@example.org").await;
    let once = make(&mut ada, &[("uses", "1")]).await;
    let pressed = make(&mut ada, &[("uses", "1")]).await;
    let used = serving.take(&once.public[0]).await;
    let unused = serving.press(&pressed.public[0]).await.location.unwrap();
    assert!(checked(&serving).starts_with("ok "));
    node.kill();

    set(&serving, "+0s");
    let node = serving.start();
    assert!(serving.readiness().await.contains(WARNING));
    assert!(serving.browser().get("/readyz").await.body.contains(WARNING));
    assert!(serving.log().contains(WARNING) && serving.log().contains("oncelink clock reset"));
    for _running_or_not in 0..2 {
        assert!(checked(&serving).starts_with("problem") && checked(&serving).contains(WARNING));
    }
    assert!(serving.refused(&["clock", "reset"]).contains("services are running"));
    node.kill();
    assert!(checked(&serving).contains(WARNING));
    let said = serving.said(&["clock", "reset"]);
    assert!(said.contains("used tokens: reset") && said.contains("accounts: reset"), "{said}");

    let node = serving.start();
    assert!(!serving.readiness().await.contains(WARNING));
    assert!(checked(&serving).starts_with("ok "), "{}", checked(&serving));
    for address in [&used, &unused] {
        let status = Client::default().get(address).await.status.as_u16();
        assert!([403, 410].contains(&status), "{status}");
    }
    assert_eq!(ada.get("/account").await.status, 303, "sessions from the later time have ended");
    let mut ada = serving.logged_in("ada@example.org").await;
    // Expiry dates, links and commands use true time again.
    let tomorrow = Clock::wall().now().plus(std::time::Duration::from_secs(86_400)).to_string();
    let end = tomorrow.get(..16).unwrap();
    let ending = make(&mut ada, &[("uses", "1"), ("ends", end)]).await;
    serving.take(&ending.public[0]).await;
    assert_eq!(serving.press(&once.public[0]).await.status, 410, "what was used stays used");
    let minted = serving.said(&["token", "mint", "/open/file.txt"]);
    assert_eq!(Client::default().get(minted.trim()).await.status, 200);
    node.kill();
    assert!(serving.said(&["clock", "reset"]).is_empty(), "there is nothing left to reset");
    // When the wrong time is reached, what was signed under it is still refused.
    set(&serving, "+400d");
    let node = serving.start();
    for address in [&used, &unused] {
        let status = Client::default().get(address).await.status.as_u16();
        assert!([403, 410].contains(&status), "{status}");
    }
    drop(node);
}

#[actix_web::test]
async fn services_and_commands_agree_on_the_time_after_the_clock_was_a_year_ahead() {
    let Some(serving) = with_fake_clock() else { return };
    serving.add("ada@example.org");
    let node = serving.start();
    set(&serving, "+365d");
    // The services see it, and keep it for every process that starts later.
    let ahead = Clock::wall().now().plus(std::time::Duration::from_secs(364 * 86_400)).secs();
    wait_for("the later time to be stored", || {
        let kept = fs::read_to_string(serving.path("data/clock")).unwrap_or_default();
        kept.split(' ').next().unwrap().parse::<u64>().is_ok_and(|kept| kept > ahead)
    });
    set(&serving, "+0s");
    wait_for("the wrong clock to be reported", || serving.log().contains(WARNING));
    assert!(serving.readiness().await.contains(WARNING));
    assert!(checked(&serving).starts_with("problem"));
    // The command line issues tokens on the services' own time.
    let minted = serving.said(&["token", "mint", "/open/file.txt"]);
    assert_eq!(Client::default().get(minted.trim()).await.status, 200);
    let mut ada = serving.logged_in("ada@example.org").await;
    let link = make(&mut ada, &[("uses", "1")]).await;
    serving.take(&link.public[0]).await;
    node.kill();
    serving.said(&["clock", "reset"]);
    let node = serving.start();
    assert!(!serving.readiness().await.contains(WARNING));
    assert_eq!(Client::default().get(minted.trim()).await.status, 403);
    drop(node);
}

#[actix_web::test]
async fn steps_of_seconds_raise_no_alarm() {
    let Some(serving) = with_fake_clock() else { return };
    serving.add("ada@example.org");
    set(&serving, "+20s");
    let node = serving.start();
    set(&serving, "+0s");
    assert_eq!(serving.readiness().await, "ok\n");
    assert!(checked(&serving).starts_with("ok "));
    node.kill();
    assert!(serving.said(&["clock", "reset"]).is_empty());
    assert!(!serving.log().contains(WARNING));
}

/// Columns with times that a reset does not change.
const LEFT: [(&str, &str); 6] = [
    // The owner has chosen it.
    ("links", "ends_at"),
    ("file_requests", "ends_at"),
    ("api_keys", "ends_at"),
    // Each is set together with the record's own time.
    ("used_tokens", "marked_at"),
    ("used_tokens", "forget_at"),
    ("used_tokens", "active_at"),
];

#[actix_web::test]
async fn a_reset_handles_every_column_that_holds_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { data_dir: folder.path().join("data"), ..Settings::default() };
    let db = Database::open(&settings).await.unwrap();
    let columns = sqlx::query(
        "SELECT tables.name AS name, columns.name AS column_name FROM sqlite_master AS tables, \
         pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'",
    )
    .fetch_all(db.reader())
    .await
    .unwrap();
    let looked_after: BTreeSet<(&str, &str)> =
        PAST.into_iter().chain(ends_looked_after()).chain(LEFT).collect();
    for row in &columns {
        let (table, column): (String, String) = (row.get("name"), row.get("column_name"));
        if column.ends_with("_at") || column.ends_with("_until") || column.ends_with("_since") {
            let known = looked_after.contains(&(table.as_str(), column.as_str()));
            assert!(known, "{table}.{column} is missing from the lists of `web::time_reset`");
        }
    }
    db.close().await;
}
