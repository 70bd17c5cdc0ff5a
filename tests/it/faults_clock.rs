//! A clock that is set forward and back, with the real program: what was used or has expired stays refused,
//! even though the record was purged in between.

use std::fs;
use std::time::Duration;

use oncelink::clock::Clock;

use crate::support::faketime;
use crate::support::process::{Process, Site, wait_for};

const MINUTE: Duration = Duration::from_secs(60);
const TWO_DAYS: Duration = Duration::from_secs(2 * 86_400);

/// A node whose wall clock the test sets.
struct FakeClockNode {
    site: Site,
    library: String,
}

impl FakeClockNode {
    fn new() -> Option<FakeClockNode> {
        let library = faketime::library()?;
        Some(FakeClockNode { site: Site::new(), library })
    }

    /// Sets the clock to an offset from the true time, such as `+2d`; a running node follows.
    fn set(&self, offset: &str) {
        let fresh = self.site.path().join("clock.new");
        fs::write(&fresh, format!("{offset}\n")).unwrap();
        fs::rename(fresh, self.site.path().join("clock")).unwrap();
    }

    fn start(&self) -> Process {
        let mut command = self.site.command(&[]);
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", self.site.path().join("clock"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1")
            .env("ONCELINK_LOG__LEVEL", "info,oncelink::download::chores=debug");
        let mut node = self.site.launch(command);
        node.wait_until_ready();
        node
    }
}

#[test]
fn a_clock_set_back_makes_nothing_valid_again() {
    let Some(faked) = FakeClockNode::new() else { return };
    let site = &faked.site;
    let refused = ["used-token", "expired-token"];
    faked.set("+0s");
    let node = faked.start();
    // On a busy machine, the purge of a start may come after the first requests.
    wait_for("the purge of the start", || site.log().contains("no used tokens to purge"));
    // Not earlier: a new store refuses tokens that were issued before it was created.
    let now = Clock::wall().now();
    let used = site.ticket_at("small.bin", now, MINUTE);
    assert_eq!(site.get(&used).unwrap().status, 200);
    let unused = site.ticket_at("small.bin", now, MINUTE);

    // Forward, past every end: unused tokens have expired.
    faked.set("+2d");
    site.assert_refused([&unused], &["expired-token"]);
    site.assert_refused([&used], &refused);
    let of_then = site.ticket_at("small.bin", now.plus(TWO_DAYS), MINUTE * 10);
    assert_eq!(site.get(&of_then).unwrap().status, 200);

    // Back, while the node runs.
    faked.set("+0s");
    site.assert_refused([&unused], &["expired-token"]);
    site.assert_refused([&used, &of_then], &refused);
    assert!(!site.log().contains("purged used tokens"));

    // Back, and a restart, which purges by the clock mark: the record is deleted, and the token stays
    // refused.
    node.kill();
    let node = faked.start();
    wait_for("the purge", || site.log().contains("purged used tokens"));
    site.assert_refused([&used, &unused], &["expired-token"]);
    site.assert_used([&of_then]);
    assert!(site.log().contains("correct the clock"), "{}", site.log());

    // Further back, and once more.
    node.kill();
    faked.set("-3d");
    let node = faked.start();
    site.assert_refused([&used, &unused], &["expired-token"]);
    site.assert_used([&of_then]);
    // Time stands still at the mark: a token issued at that time still works, once.
    let late = site.ticket_at("small.bin", now.plus(TWO_DAYS), MINUTE * 10);
    assert_eq!(site.get(&late).unwrap().status, 200);
    site.assert_used([&late]);
    node.kill();

    // A purge while the clock is ahead doesn't let anything in either.
    faked.set("+4d");
    let node = faked.start();
    wait_for("the second purge", || site.log().matches("purged used tokens").count() >= 2);
    node.kill();
    faked.set("+0s");
    let node = faked.start();
    site.assert_refused([&used, &unused, &of_then, &late], &["expired-token"]);
    node.kill();
}
