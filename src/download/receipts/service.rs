//! The receipts of a download service: opened, kept up to date, and finished.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::download::ledger::Delivery;
use crate::download::receipts::active::ActiveDeliveries;
use crate::download::receipts::opening::{FILE, ReceiptSettings, ReceiptsError};
use crate::download::receipts::outbox::{Outbox, OutboxError};
use crate::download::receipts::tally::Tally;
use crate::download::receipts::way::SinkSlot;
use crate::download::remembered::Remembered;
use crate::id::Jti;
use crate::receipt::{DeliveryState, ReceiptSink};
use crate::secret::Secret;
use crate::used_tokens::{Mark, UsedTokens};

/// How often running deliveries are checked …
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// … and the minimum time between two checks, however much happens.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How often finished entries are removed from the outbox.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// The receipts of one download service.
pub struct Receipts {
    pub(super) outbox: Outbox,
    pub(super) active: ActiveDeliveries,
    pub(super) node: String,
    pub(super) clock: Clock,
    pub(super) lease_max: Duration,
    /// Woken when a delivery begins or ends.
    pub(super) changed: Arc<Notify>,
    /// Woken when there is something to report.
    pub(super) unreported: Notify,
    pub(super) sink: SinkSlot,
    /// What reports contain in addition to receipts.
    pub(super) remembered: OnceLock<Arc<Remembered>>,
}

impl Receipts {
    /// Opens the outbox in `folder`, and queries `store` for the outcome of redemptions that a crash
    /// interrupted.
    ///
    /// # Errors
    /// See [`ReceiptsError`].
    pub async fn open(
        folder: &Path,
        store: &dyn UsedTokens,
        clock: Clock,
        settings: ReceiptSettings,
    ) -> Result<Receipts, ReceiptsError> {
        let (now, id) = (clock.now(), Secret::random::<8>()?);
        let outbox = Outbox::open(&folder.join(FILE), id.reveal(), now, &settings.health).await?;
        let node = if settings.shared { format!("{}#{}", settings.node, outbox.id) } else { settings.node };
        let active = ActiveDeliveries::new(settings.lease, now);
        let (mut left_behind, mut cancelled) = (Vec::new(), Vec::new());
        for kept in outbox.unfinished().await? {
            if kept.settled {
                // A first byte may have been sent between the last check and a crash: if in doubt, it counts
                // as used.
                let unsure = kept.tally.started_at.is_none() && !outbox.was_closed;
                let started_at = kept.tally.started_at.or(unsure.then_some(kept.redeemed_at));
                let tally = Tally { started_at, ..kept.tally.clone() };
                left_behind.push((kept, tally));
                continue;
            }
            match store.find(kept.jti).await? {
                // The claim wasn't durable, so no byte was sent.
                None => cancelled.push(kept.jti),
                // It may have been interrupted before or after the first byte: if in doubt, it counts as
                // used.
                Some(used) => {
                    let over = used.mark == Mark::Revoked;
                    let state = if over { DeliveryState::Ended } else { DeliveryState::Interrupted };
                    let tally = Tally { started_at: Some(kept.redeemed_at), state, ..kept.tally.clone() };
                    left_behind.push((kept, tally));
                }
            }
        }
        outbox.save(Vec::new(), cancelled).await?;
        active.restore(left_behind);
        Ok(Receipts {
            outbox,
            active,
            node,
            clock,
            lease_max: settings.lease_max,
            changed: Arc::default(),
            unreported: Notify::new(),
            sink: SinkSlot::default(),
            remembered: OnceLock::new(),
        })
    }

    /// Sets once how to reach the web app. Until then nothing is reported, and nothing is lost.
    pub fn set_sink(&self, to: Arc<dyn ReceiptSink>) {
        self.sink.set(to);
        self.unreported.notify_one();
    }

    /// Sets once what is remembered; reports then exchange it with the web app.
    pub fn set_remembered(&self, remembered: Arc<Remembered>) {
        let _only_the_first_counts = self.remembered.set(remembered);
    }

    /// Maintains the deliveries. Never returns; ends when it is dropped.
    pub async fn watch(&self) {
        let mut forget = tokio::time::interval(FORGET_EVERY);
        loop {
            let _changed_or_not = tokio::time::timeout(LOOK_EVERY, self.changed.notified()).await;
            self.record_changes().await;
            tokio::select! {
                biased;
                _ = forget.tick() => {
                    // What isn't removed now is removed next time; the outbox logs why.
                    let _failed = self.outbox.forget(self.clock.now()).await;
                }
                () = std::future::ready(()) => {}
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    /// Records what changed. Returns whether that is durable.
    pub(super) async fn record_changes(&self) -> bool {
        let changes = self.active.changes(self.clock.now());
        if changes.is_empty() {
            return true;
        }
        let kept = self.outbox.save(changes.kept.clone(), changes.cancelled.clone()).await.is_ok();
        self.active.settle(changes, kept);
        self.unreported.notify_one();
        kept
    }

    /// Records the final states, and tries once to report them. For a proper stop, after the last byte.
    pub async fn finish(&self) {
        if self.record_changes().await {
            // If closing fails, the next start treats it as interrupted; the outbox logs why.
            let _failed = self.outbox.close().await;
        }
        if let Err(error) = self.report(None).await {
            let cause = crate::telemetry::chain(&error);
            tracing::info!(cause, "undelivered receipts are kept for the next start");
        }
    }

    /// Returns how many deliveries have changed since the web app was last told about them.
    ///
    /// # Errors
    /// If the outbox can't be read.
    pub(crate) async fn waiting(&self) -> Result<i64, OutboxError> {
        self.outbox.waiting().await
    }

    /// Records that the client of a delivery resumed, possibly after it was reopened.
    pub(crate) async fn resumed(&self, delivery: &Arc<Delivery>) {
        if self.active.attach(delivery) {
            return;
        }
        match self.outbox.find(delivery.jti).await {
            Ok(Some(kept)) => {
                let tally = kept.tally.clone();
                self.active.restore(vec![(kept, tally)]);
                self.active.attach(delivery);
            }
            // It was reported as complete and then removed.
            Ok(None) => return,
            Err(error) => {
                let (jti, cause) = (delivery.jti, crate::telemetry::chain(&error));
                tracing::error!(%jti, cause, "the rest of this client's download can't be reported");
                return;
            }
        }
        delivery.notify_on_change(self.changed.clone());
        self.changed.notify_one();
    }

    /// Records that a token was revoked, so that nothing more is sent for it.
    pub(crate) fn revoked(&self, jti: Jti) {
        self.active.revoked(jti);
        self.changed.notify_one();
    }
}
