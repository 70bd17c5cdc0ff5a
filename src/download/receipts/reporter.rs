//! Reports the content of the outbox to the web app, and retries until it is accepted.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::download::receipts::outbox::OutboxError;
use crate::download::receipts::service::Receipts;
use crate::receipt::{NotAccepted, Report};
use crate::tasks::Backoff;
use crate::used_tokens::StoreError;

/// How long to wait for something to report before looking anyway.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The watermark is reported at least this often, so that unredeemed uses are released soon.
const WATERMARK_EVERY: Duration = Duration::from_secs(5);
/// The wait after a failure doubles from the first to the second.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Delivering receipts failed, possibly partway.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReportError {
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error(transparent)]
    NotTaken(#[from] NotAccepted),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Receipts {
    /// Reports to the web app. Never returns; ends when it is dropped.
    pub async fn run(&self) {
        let (mut last, mut backoff) = (None, Backoff::new(FIRST_WAIT, LONGEST_WAIT));
        loop {
            match backoff.wait() {
                None => {
                    let _woken_or_not = tokio::time::timeout(LOOK_EVERY, self.unreported.notified()).await;
                }
                Some(wait) => tokio::time::sleep(wait).await,
            }
            match self.report(last).await {
                Ok(reported_until) => {
                    if backoff.succeeded() {
                        tracing::info!("receipts are delivered again");
                    }
                    last = reported_until;
                }
                Err(error) => {
                    // Logged once, not at every attempt.
                    if backoff.wait().is_none() {
                        let cause = crate::telemetry::chain(&error);
                        tracing::warn!(cause, "receipts can't be delivered; retrying");
                    }
                    backoff.failed();
                }
            }
        }
    }

    /// Reports once before anything is served, so that a restored database or store is noticed before it does
    /// harm. Doesn't wait for a web app that doesn't answer.
    pub async fn report_at_start(&self, patience: Duration) {
        match tokio::time::timeout(patience, self.report(None)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::debug!(cause = crate::telemetry::chain(&error), "the first report failed")
            }
            Err(_) => tracing::debug!("the web app is slow to accept the first report"),
        }
    }

    /// Reports everything, and returns the time up to which it did. Sends nothing if that time is hardly
    /// later than `last` and there is nothing else to report.
    pub(super) async fn report(&self, last: Option<Timestamp>) -> Result<Option<Timestamp>, ReportError> {
        let Some(to) = self.sink.get() else { return Ok(last) };
        let mut last = last;
        loop {
            // Read before the outbox: later redemptions are not older, and those that have ended are in the
            // outbox.
            let watermark = self.active.watermark(&self.clock);
            let batch = self.outbox.batch().await?;
            let reported_until = batch.oldest_unreported.map_or(watermark, |oldest| oldest.min(watermark));
            let news = last.is_none_or(|last| reported_until >= last.plus(WATERMARK_EVERY));
            if batch.receipts.is_empty() && !news {
                return Ok(last);
            }
            let receipts = batch.receipts.clone();
            let report = Report {
                node: self.node.clone(),
                reported_since: self.outbox.made_at,
                reported_until,
                receipts: batch.receipts,
                store: self.remembered.get().and_then(|remembered| remembered.standing()),
                database: self.remembered.get().and_then(|remembered| remembered.database()),
            };
            let taken = to.accept(report).await?;
            // Done before anything counts as reported: a restore of the web app's database is detected by
            // what is remembered here.
            if let Some(remembered) = self.remembered.get() {
                remembered.record_reply(&taken).await?;
            }
            last = Some(reported_until);
            if receipts.is_empty() {
                return Ok(last);
            }
            self.outbox.mark_reported(&receipts).await?;
        }
    }
}
