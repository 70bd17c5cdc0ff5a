//! Watches a used-token store that other nodes share: their records are queried while bytes are sent.
//!
//! A revocation that another node recorded stops transfers here within a second, and transfers here extend
//! the lease for the other nodes. A node that gets no answer from the store for a while doesn't know what was
//! revoked. It stops its transfers, and clients may resume when the store answers.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::download::state::DownloadState;
use crate::id::Jti;
use crate::telemetry::chain;
use crate::used_tokens::{ASKED_AT_ONCE, StoreError};

/// How often the store is queried for revocations.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How often running transfers are reported to the store.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// Maximum time for one query.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long bytes are sent without an answer from the store.
const SILENCE: Duration = Duration::from_secs(30);

/// Watches the store until dropped.
pub(crate) async fn watch(state: &DownloadState) {
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut heard, mut reported, mut silent) = (Instant::now(), Instant::now(), false);
    loop {
        ticks.tick().await;
        let sending = state.ledger.sending();
        let watched = [sending.as_slice(), &state.views.sending()].concat();
        match timeout(PATIENCE, ask(state, &watched)).await {
            Ok(Ok(())) => {
                (heard, silent) = (Instant::now(), false);
                state.ledger.suspend(false);
            }
            failed => {
                if !silent {
                    let cause = failed.ok().and_then(Result::err).map(|e| chain(&e));
                    tracing::error!(cause, "the shared used-token store does not report revocations");
                }
                silent = true;
                state.ledger.suspend(heard.elapsed() > SILENCE);
                continue;
            }
        }
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            if let Ok(Err(e)) = timeout(PATIENCE, report(state, &sending)).await {
                tracing::warn!(
                    cause = chain(&e),
                    "cannot report running transfers to the shared used-token store"
                );
            }
        }
    }
}

async fn ask(state: &DownloadState, sending: &[Jti]) -> Result<(), StoreError> {
    for jtis in sending.chunks(ASKED_AT_ONCE) {
        for jti in state.store.revoked_among(jtis).await? {
            state.revoked_elsewhere(jti);
        }
    }
    Ok(())
}

async fn report(state: &DownloadState, sending: &[Jti]) -> Result<(), StoreError> {
    for jtis in sending.chunks(ASKED_AT_ONCE) {
        state.store.record_activity(jtis, state.clock.now()).await?;
    }
    Ok(())
}
