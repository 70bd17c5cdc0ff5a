//! Tells the web app what stands in the outbox, again and again until it is taken.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::download::receipts::{OutboxError, Receipts};
use crate::receipt::{NotTaken, Report, TakeReports};
use crate::used_tokens::StoreError;

/// How long the teller waits when nobody wakes it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The watermark is told at least this often, so that what nobody redeemed is released soon.
const WATERMARK_EVERY: Duration = Duration::from_secs(5);
/// The wait after a failure doubles from the one to the other.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How the web app is told, once somebody has said so.
#[derive(Default)]
pub(super) struct Way(OnceLock<Arc<dyn TakeReports>>);

impl Way {
    pub(super) fn set(&self, to: Arc<dyn TakeReports>) {
        let _only_the_first_counts = self.0.set(to);
    }
}

/// Nothing, or not all, was told.
#[derive(Debug, thiserror::Error)]
pub(super) enum TellError {
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Receipts {
    /// Tells the web app, for ever. Ends when it is dropped.
    pub async fn tell_for_ever(&self) {
        let (mut last, mut wait) = (None, None);
        loop {
            match wait {
                None => {
                    let _woken_or_not = tokio::time::timeout(LOOK_EVERY, self.to_tell.notified()).await;
                }
                Some(wait) => tokio::time::sleep(wait).await,
            }
            match self.tell(last).await {
                Ok(told_until) => {
                    if wait.take().is_some() {
                        tracing::info!("receipts are told again");
                    }
                    last = told_until;
                }
                Err(error) => {
                    // Once, not at every attempt.
                    if wait.is_none() {
                        let cause = crate::telemetry::chain(&error);
                        tracing::warn!(cause, "receipts wait to be told; trying on");
                    }
                    wait = Some(wait.map_or(FIRST_WAIT, |wait: Duration| (wait * 2).min(LONGEST_WAIT)));
                }
            }
        }
    }

    /// Tells once, before anything is served: then a database or a store that was put back is noticed
    /// before it does harm. No answer is no reason to wait.
    pub async fn greet(&self, patience: Duration) {
        match tokio::time::timeout(patience, self.tell(None)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(cause = crate::telemetry::chain(&error), "no first report"),
            Err(_) => tracing::debug!("the web app is slow to take the first report"),
        }
    }

    /// Tells all that is to be told, and answers up to which moment; nothing where that moment is
    /// hardly later than `last` and there is nothing else.
    pub(super) async fn tell(&self, last: Option<Timestamp>) -> Result<Option<Timestamp>, TellError> {
        let Some(to) = self.way.0.get() else { return Ok(last) };
        let mut last = last;
        loop {
            // Read before the outbox: what is begun later is not older, and what has ended by now is
            // in the outbox.
            let watermark = self.book.watermark(&self.clock);
            let batch = self.outbox.batch().await?;
            let told_until = batch.oldest_untold.map_or(watermark, |oldest| oldest.min(watermark));
            let news = last.is_none_or(|last| told_until >= last.plus(WATERMARK_EVERY));
            if batch.receipts.is_empty() && !news {
                return Ok(last);
            }
            let receipts = batch.receipts.clone();
            let report = Report {
                node: self.node.clone(),
                told_since: self.outbox.made_at,
                told_until,
                receipts: batch.receipts,
                store: self.remembered.get().and_then(|remembered| remembered.standing()),
                database: self.remembered.get().and_then(|remembered| remembered.database()),
            };
            let taken = to.take(report).await?;
            // Before anything of it is called told: whoever puts the web app's database back is found out
            // by what is remembered here.
            if let Some(remembered) = self.remembered.get() {
                remembered.heard(&taken).await?;
            }
            last = Some(told_until);
            if receipts.is_empty() {
                return Ok(last);
            }
            self.outbox.told(&receipts).await?;
        }
    }
}
