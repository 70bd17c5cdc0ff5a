//! A used-token store that other nodes share: what they put on record is asked for while bytes are sent.
//!
//! A revocation that another node took reaches what this one sends within a second, and what this one
//! sends keeps its lease alive for the others. A node that hears nothing from the store for a while does
//! not know what was revoked: it stops what it sends, and clients may go on once the store answers.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::download::state::DownloadState;
use crate::id::Jti;
use crate::telemetry::chain;
use crate::used_tokens::{ASKED_AT_ONCE, StoreError};

/// How often the store is asked what was revoked.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How often the store is told what is being sent.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long bytes are sent without a word from the store.
const SILENCE: Duration = Duration::from_secs(30);

/// Watches until dropped.
pub(crate) async fn watch(state: &DownloadState) {
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut heard, mut told, mut silent) = (Instant::now(), Instant::now(), false);
    loop {
        ticks.tick().await;
        let sending = state.ledger.sending();
        match timeout(PATIENCE, ask(state, &sending)).await {
            Ok(Ok(())) => {
                (heard, silent) = (Instant::now(), false);
                state.ledger.suspend(false);
            }
            failed => {
                if !silent {
                    let cause = failed.ok().and_then(Result::err).map(|e| chain(&e));
                    tracing::error!(cause, "the shared used-token store does not say what was revoked");
                }
                silent = true;
                state.ledger.suspend(heard.elapsed() > SILENCE);
                continue;
            }
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            if let Ok(Err(e)) = timeout(PATIENCE, tell(state, &sending)).await {
                tracing::warn!(
                    cause = chain(&e),
                    "the shared used-token store is not told what is being sent"
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

async fn tell(state: &DownloadState, sending: &[Jti]) -> Result<(), StoreError> {
    for jtis in sending.chunks(ASKED_AT_ONCE) {
        state.store.keep_open(jtis, state.clock.now()).await?;
    }
    Ok(())
}
