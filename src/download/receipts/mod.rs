//! Receipts: reports the outcome of links' tokens to the web app.
//!
//! Before the first byte of such a token is sent, the intention to redeem it is durable in the [`outbox`]. So
//! whatever happens, a delivery that may have begun is reported, and the watermark `told_until` never passes
//! an unreported one. A ticker reads the progress of deliveries from the ledger; portions don't report
//! anything. Tokens without a link cost nothing here.

mod book;
mod outbox;
mod over_http;
mod tally;
mod teller;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Clock, Timestamp};
use crate::download::ledger::Delivery;
use crate::download::receipts::book::Book;
use crate::download::receipts::outbox::{Kept, Outbox};
use crate::download::receipts::tally::Tally;
use crate::download::remembered::Remembered;
use crate::health::Health;
use crate::id::{Jti, LinkId};
use crate::receipt::{DeliveryState, TakeReports};
use crate::secret::{RandomError, Secret};
use crate::used_tokens::{Mark, StoreError, UsedTokens};

pub use self::outbox::OutboxError;
pub(crate) use self::over_http::read_key as node_key;
pub use self::over_http::{OverHttp, OverHttpError};

/// The name of the outbox's file in the download service's folder.
const FILE: &str = "receipts.sqlite";

/// How often running deliveries are checked …
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// … and the minimum time between two checks, however much happens.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How often finished entries are removed from the outbox.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// The receipts can't be stored.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Their file isn't an outbox, or can't be written.
    #[error(
        "cannot open the receipts' outbox; check the disk and its permissions, or move the file away, \
         whereby what is not told yet is lost"
    )]
    Outbox(#[from] OutboxError),
    /// The used-token store doesn't report the outcome of redemptions that a crash interrupted.
    #[error("the used-token store does not report what was redeemed")]
    Store(#[from] StoreError),
    /// The system provides no random bytes for its id.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Resets the times of the receipts in `folder`, which must not be in use, to `now`.
///
/// # Errors
/// If their file can't be written.
pub async fn reset_time(folder: &Path, now: Timestamp) -> Result<(), OutboxError> {
    let path = folder.join(FILE);
    if path.exists() { outbox::reset_time(&path, now).await } else { Ok(()) }
}

/// The settings for receipts.
pub struct Rules {
    /// The name of this download service.
    pub node: String,
    /// Whether others with this name may redeem the same tokens.
    pub shared: bool,
    /// How long after the last byte a client may resume.
    pub lease: Duration,
    /// How long after the redemption a client may resume at most.
    pub lease_max: Duration,
    /// Notified when the writer is down.
    pub health: Health,
}

/// The receipts of one download service.
pub struct Receipts {
    outbox: Outbox,
    book: Book,
    node: String,
    clock: Clock,
    lease_max: Duration,
    /// Woken when a delivery begins or ends.
    changed: Arc<Notify>,
    /// Woken when there is something to report.
    to_tell: Notify,
    way: teller::Way,
    /// What reports contain in addition to receipts.
    remembered: OnceLock<Arc<Remembered>>,
}

/// A redemption in progress. Until it is dropped, the watermark doesn't pass its start.
pub(crate) struct Claim {
    receipts: Arc<Receipts>,
    kept: Kept,
}

impl Receipts {
    /// Opens the outbox in `folder`, and queries `store` for the outcome of redemptions that a crash
    /// interrupted.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(
        folder: &Path,
        store: &dyn UsedTokens,
        clock: Clock,
        rules: Rules,
    ) -> Result<Receipts, OpenError> {
        let (now, id) = (clock.now(), Secret::random::<8>()?);
        let outbox = Outbox::open(&folder.join(FILE), id.reveal(), now, &rules.health).await?;
        let node = if rules.shared { format!("{}#{}", rules.node, outbox.id) } else { rules.node };
        let book = Book::new(rules.lease, now);
        let (mut left_behind, mut cancelled) = (Vec::new(), Vec::new());
        for kept in outbox.open_ones().await? {
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
                    let state = if over { DeliveryState::Over } else { DeliveryState::Broken };
                    let tally = Tally { started_at: Some(kept.redeemed_at), state, ..kept.tally.clone() };
                    left_behind.push((kept, tally));
                }
            }
        }
        outbox.keep(Vec::new(), cancelled).await?;
        book.take_up(left_behind);
        Ok(Receipts {
            outbox,
            book,
            node,
            clock,
            lease_max: rules.lease_max,
            changed: Arc::default(),
            to_tell: Notify::new(),
            way: teller::Way::default(),
            remembered: OnceLock::new(),
        })
    }

    /// Sets once how to reach the web app. Until then nothing is reported, and nothing is lost.
    pub fn tell_by(&self, to: Arc<dyn TakeReports>) {
        self.way.set(to);
        self.to_tell.notify_one();
    }

    /// Sets once what is remembered; reports then exchange it with the web app.
    pub fn remember_by(&self, remembered: Arc<Remembered>) {
        let _only_the_first_counts = self.remembered.set(remembered);
    }

    /// Maintains the deliveries. Never returns; ends when it is dropped.
    pub async fn watch(&self) {
        let mut forget = tokio::time::interval(FORGET_EVERY);
        loop {
            let _changed_or_not = tokio::time::timeout(LOOK_EVERY, self.changed.notified()).await;
            self.look().await;
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
    async fn look(&self) -> bool {
        let changes = self.book.changes(self.clock.now());
        if changes.is_empty() {
            return true;
        }
        let kept = self.outbox.keep(changes.kept.clone(), changes.cancelled.clone()).await.is_ok();
        self.book.settle(changes, kept);
        self.to_tell.notify_one();
        kept
    }

    /// Records the final states, and tries once to report them. For a proper stop, after the last byte.
    pub async fn finish(&self) {
        if self.look().await {
            // If closing fails, the next start treats it as interrupted; the outbox logs why.
            let _failed = self.outbox.close().await;
        }
        if let Err(error) = self.tell(None).await {
            let cause = crate::telemetry::chain(&error);
            tracing::info!(cause, "undelivered receipts are kept for the next start");
        }
    }

    /// Begins a redemption: from now on the watermark doesn't pass this time.
    pub(crate) fn begin(
        self: &Arc<Self>,
        jti: Jti,
        link: &LinkId,
        size: u64,
        address: Option<IpAddr>,
    ) -> Claim {
        let redeemed_at = self.book.begin(jti, &self.clock);
        let kept = Kept {
            jti,
            link: link.clone(),
            sequence: 1,
            settled: false,
            redeemed_at,
            size,
            address,
            until: redeemed_at.plus(self.lease_max),
            tally: Tally::new(redeemed_at),
        };
        Claim { receipts: self.clone(), kept }
    }

    /// Records that the client of a delivery resumed, possibly after it was reopened.
    pub(crate) async fn resumed(&self, delivery: &Arc<Delivery>) {
        if self.book.follow(delivery) {
            return;
        }
        match self.outbox.find(delivery.jti).await {
            Ok(Some(kept)) => {
                let tally = kept.tally.clone();
                self.book.take_up(vec![(kept, tally)]);
                self.book.follow(delivery);
            }
            // It was reported as complete and then removed.
            Ok(None) => return,
            Err(error) => {
                let (jti, cause) = (delivery.jti, crate::telemetry::chain(&error));
                tracing::error!(%jti, cause, "the rest of this client's download can't be reported");
                return;
            }
        }
        delivery.tell(self.changed.clone());
        self.changed.notify_one();
    }

    /// Records that a token was revoked, so that nothing more is sent for it.
    pub(crate) fn revoked(&self, jti: Jti) {
        self.book.revoked(jti);
        self.changed.notify_one();
    }
}

impl Claim {
    /// Returns its start, which the watermark doesn't pass.
    pub(crate) const fn at(&self) -> Timestamp {
        self.kept.redeemed_at
    }

    /// Returns whether recording it would probably fail.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.receipts.outbox.is_failing()
    }

    /// Durably records the intention. Returns whether there was no record before.
    ///
    /// # Errors
    /// If it may not be durable; then no byte may be sent.
    pub(crate) async fn intend(&self) -> Result<bool, OutboxError> {
        self.receipts.outbox.intend(self.kept.clone()).await
    }

    /// Records that the token was redeemed, so that its delivery may begin.
    pub(crate) fn redeemed(self, delivery: &Arc<Delivery>) {
        delivery.tell(self.receipts.changed.clone());
        self.receipts.book.add(self.kept.clone(), delivery.clone());
        self.receipts.changed.notify_one();
    }

    /// Records that this didn't redeem the token; removes the record if it was new.
    pub(crate) fn cancelled(self, new: bool) {
        if new {
            self.receipts.book.cancel(self.kept.jti);
            self.receipts.changed.notify_one();
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.receipts.book.end(self.kept.jti);
    }
}
