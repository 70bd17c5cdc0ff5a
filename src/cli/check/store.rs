//! Checks the used-token store and the clock.

use crate::cli::check::findings::Findings;
use crate::clock::{Clock, Timestamp, WrongClock};
use crate::config::{Settings, StoreKind};
use crate::used_tokens::redis::RedisUsedTokens;
use crate::used_tokens::sled::{SledUsedTokens, StoreOpenError};
use crate::used_tokens::sql::SqlUsedTokens;
use crate::used_tokens::{StoreError, UsedTokens};

/// No correct clock shows an earlier time: 2026-01-01.
const OLDEST_NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

/// Checks the store first, because opening it advances the clock to the latest time that the store recorded.
/// Returns whether a running download service has the store open.
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
    match address.kind() {
        StoreKind::Postgres => {
            look_at_shared(SqlUsedTokens::connect(address, clock, None).await, wall, findings).await;
            return false;
        }
        StoreKind::Redis => {
            look_at_shared(RedisUsedTokens::connect(address, clock, None).await, wall, findings).await;
            return false;
        }
        StoreKind::Embedded => {}
    }
    let dir = settings.used_tokens_dir();
    if !may_enter || !dir.is_dir() {
        findings.ok("used tokens", "none yet; the download service creates the store when it starts");
        return false;
    }
    match SledUsedTokens::open(&dir, clock, None) {
        Ok(store) => {
            look_at_fence(store.fence(), wall, findings);
            store.close().await;
        }
        Err(StoreOpenError::InUse { .. }) => {
            findings.ok("used tokens", "the store is open in the running download service");
            return true;
        }
        Err(error) => findings.error("used tokens", &error),
    }
    false
}

async fn look_at_shared(
    opened: Result<impl UsedTokens, StoreError>,
    wall: Timestamp,
    findings: &mut Findings,
) {
    match opened {
        Ok(store) => {
            look_at_fence(store.fence(), wall, findings);
            store.close().await;
        }
        Err(error) => findings.error("used tokens", &error),
    }
}

fn look_at_fence(fence: Timestamp, wall: Timestamp, findings: &mut Findings) {
    if fence > wall {
        findings.warning(
            "used tokens",
            &format!(
                "the store was damaged or restored, or lost records; it refuses all tokens issued before {fence}"
            ),
            "no action is needed, except for issuing new links; check the disk",
        );
    } else {
        findings.ok("used tokens", &format!("the store opens and knows all tokens issued since {fence}"));
    }
}

fn look_at_clock(clock: &Clock, settings: &Settings, findings: &mut Findings) {
    let wall = clock.unguarded_now();
    if wall < OLDEST_NOW {
        let text = format!("the system clock shows {wall}, which is in the past");
        findings.problem("clock", &text, "set it, preferably with NTP");
    } else if let Some(wrong) = clock.wrong(settings.token.leeway) {
        findings.problem("clock", &wrong.to_string(), WrongClock::REMEDY);
    } else {
        findings.ok("clock", &format!("the system clock shows {wall}"));
    }
}
