//! The used-token store, and the clock that it remembers.

use std::time::Duration;

use super::Findings;
use crate::clock::{Clock, Timestamp};
use crate::config::Settings;
use crate::used_tokens::UsedTokens;
use crate::used_tokens::sled::{OpenError, SledUsedTokens};
use crate::used_tokens::sql::SqlUsedTokens;

/// No clock that is right shows less: 2026-01-01.
const OLDEST_NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

/// A wall clock this far behind the store's mark is wrong; less is NTP's daily work.
const TOLERANCE: Duration = Duration::from_secs(60);

/// Looks at both; returns whether a running download service has the store.
pub(super) async fn look(
    settings: &Settings,
    may_enter: bool,
    clock: &Clock,
    findings: &mut Findings,
) -> bool {
    let wall = clock.unguarded_now();
    if wall < OLDEST_NOW {
        let text = format!("the wall clock shows {wall}, which is long past");
        findings.problem("clock", &text, "set it, by NTP if possible");
    }
    let address = &settings.download.used_tokens;
    if address.is_postgres() {
        match SqlUsedTokens::connect(address, clock, None).await {
            Ok(store) => {
                look_at_fence(store.fence(), wall, findings);
                look_at_clock(store.opened_mark(), wall, findings);
                store.close().await;
            }
            Err(error) => findings.error("used tokens", &error),
        }
        return false;
    }
    let dir = settings.used_tokens_dir();
    if !may_enter || !dir.is_dir() {
        findings.ok("used tokens", "none yet; the download service makes the store when it starts");
        findings.ok("clock", &format!("it shows {wall}"));
        return false;
    }
    match SledUsedTokens::open(&dir, clock, None) {
        Ok(store) => {
            look_at_fence(store.fence(), wall, findings);
            look_at_clock(store.opened_mark(), wall, findings);
            store.close().await;
        }
        Err(OpenError::InUse { .. }) => {
            findings.ok("used tokens", "the running download service has them");
            findings.ok("clock", &format!("it shows {wall}"));
            return true;
        }
        Err(error) => findings.error("used tokens", &error),
    }
    false
}

fn look_at_fence(fence: Timestamp, wall: Timestamp, findings: &mut Findings) {
    if fence > wall {
        findings.warning(
            "used tokens",
            &format!(
                "the store was damaged, restored or lost records, and refuses all tokens issued before {fence}"
            ),
            "nothing is to be done: give out new links, and look after the disk",
        );
    } else {
        findings
            .ok("used tokens", &format!("the store opens and speaks for all tokens issued since {fence}"));
    }
}

fn look_at_clock(mark: Timestamp, wall: Timestamp, findings: &mut Findings) {
    let behind = mark.since(wall);
    if behind > TOLERANCE {
        findings.problem(
            "clock",
            &format!("it shows {wall}, {} s before the latest record ({mark})", behind.as_secs()),
            "set it, by NTP if possible; until then time stands still and new tokens may be refused",
        );
    } else {
        findings.ok("clock", &format!("it shows {wall}"));
    }
}
