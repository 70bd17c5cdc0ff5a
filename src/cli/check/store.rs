//! The used-token store, and the clock that it remembers.

use super::Findings;
use crate::clock::{Clock, Timestamp, WrongClock};
use crate::config::Settings;
use crate::used_tokens::UsedTokens;
use crate::used_tokens::sled::{OpenError, SledUsedTokens};
use crate::used_tokens::sql::SqlUsedTokens;

/// No clock that is right shows less: 2026-01-01.
const OLDEST_NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

/// Looks at the store first: opening it brings the clock to the latest moment that it kept. Returns whether
/// a running download service has the store.
pub(super) async fn look(
    settings: &Settings,
    may_enter: bool,
    clock: &Clock,
    findings: &mut Findings,
) -> bool {
    let in_use = look_at_store(settings, may_enter, clock, findings).await;
    look_at_clock(clock, settings, findings);
    in_use
}

async fn look_at_store(settings: &Settings, may_enter: bool, clock: &Clock, findings: &mut Findings) -> bool {
    let wall = clock.unguarded_now();
    let address = &settings.download.used_tokens;
    if address.is_postgres() {
        match SqlUsedTokens::connect(address, clock, None).await {
            Ok(store) => {
                look_at_fence(store.fence(), wall, findings);
                store.close().await;
            }
            Err(error) => findings.error("used tokens", &error),
        }
        return false;
    }
    let dir = settings.used_tokens_dir();
    if !may_enter || !dir.is_dir() {
        findings.ok("used tokens", "none yet; the download service makes the store when it starts");
        return false;
    }
    match SledUsedTokens::open(&dir, clock, None) {
        Ok(store) => {
            look_at_fence(store.fence(), wall, findings);
            store.close().await;
        }
        Err(OpenError::InUse { .. }) => {
            findings.ok("used tokens", "the running download service has them");
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

fn look_at_clock(clock: &Clock, settings: &Settings, findings: &mut Findings) {
    let wall = clock.unguarded_now();
    if wall < OLDEST_NOW {
        let text = format!("the wall clock shows {wall}, which is long past");
        findings.problem("clock", &text, "set it, by NTP if possible");
    } else if let Some(wrong) = clock.wrong(settings.token.leeway) {
        findings.problem("clock", &wrong.to_string(), WrongClock::REMEDY);
    } else {
        findings.ok("clock", &format!("it shows {wall}"));
    }
}
