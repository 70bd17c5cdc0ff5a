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
use crate::id::Jti;
use crate::receipt::{DeliveryState, TakeReports};
use crate::secret::{RandomError, Secret};
use crate::used_tokens::{Mark, StoreError, UsedTokens};

pub use self::outbox::OutboxError;
pub(crate) use self::over_http::read_key as node_key;
pub use self::over_http::{OverHttp, OverHttpError};

/// The outbox's file in the folder of the download service.
const FILE: &str = "receipts.sqlite";

/// How often running deliveries are looked at …
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// … and the least time between two looks, however much happens.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How often what is done with is taken out of the outbox.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// The receipts can't be kept.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Their file is no outbox or can't be written.
    #[error(
        "cannot open the receipts' outbox; check the disk and its permissions, or move the file away, \
         whereby what is not told yet is lost"
    )]
    Outbox(#[from] OutboxError),
    /// The used-token store does not say what became of redemptions that a crash cut off.
    #[error("the used-token store does not say what was redeemed")]
    Store(#[from] StoreError),
    /// No random bytes for its id.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Resets the times of the receipts in `folder`, which no service uses meanwhile, to `now`.
///
/// # Errors
/// When their file can't be written.
pub async fn reset_time(folder: &Path, now: Timestamp) -> Result<(), OutboxError> {
    let path = folder.join(FILE);
    if path.exists() { outbox::reset_time(&path, now).await } else { Ok(()) }
}

/// How receipts are kept.
pub struct Rules {
    /// What this download service is called.
    pub node: String,
    /// Whether others of that name may redeem the same tokens.
    pub shared: bool,
    /// How long after the last byte a client may come back.
    pub lease: Duration,
    /// And how long after the redemption at most.
    pub lease_max: Duration,
    /// Told when what writes them is down.
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
    /// Woken when there is something to tell.
    to_tell: Notify,
    way: teller::Way,
    /// What reports bring to the web app beside receipts.
    remembered: OnceLock<Arc<Remembered>>,
}

/// A redemption under way. Until it is dropped, the watermark does not pass its moment.
pub(crate) struct Claim {
    receipts: Arc<Receipts>,
    kept: Kept,
}

impl Receipts {
    /// Opens the outbox in `folder`, and finds out from `store` what became of redemptions that a crash
    /// cut off.
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
                // A first byte may have left between the last look and a crash: unsure means used.
                let unsure = kept.tally.started_at.is_none() && !outbox.was_closed;
                let started_at = kept.tally.started_at.or(unsure.then_some(kept.redeemed_at));
                let tally = Tally { started_at, ..kept.tally.clone() };
                left_behind.push((kept, tally));
                continue;
            }
            match store.find(kept.jti).await? {
                // The claim was not durable, so no byte left.
                None => cancelled.push(kept.jti),
                // It may have been cut off before or after the first byte: unsure means used.
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

    /// Says once and for all how the web app is told. Until then nothing is, and nothing is lost.
    pub fn tell_by(&self, to: Arc<dyn TakeReports>) {
        self.way.set(to);
        self.to_tell.notify_one();
    }

    /// Says once and for all what is remembered; reports then bring it to the web app and back.
    pub fn remember_by(&self, remembered: Arc<Remembered>) {
        let _only_the_first_counts = self.remembered.set(remembered);
    }

    /// Looks after the deliveries, for ever. Ends when it is dropped.
    pub async fn watch(&self) {
        let mut forget = tokio::time::interval(FORGET_EVERY);
        loop {
            let _changed_or_not = tokio::time::timeout(LOOK_EVERY, self.changed.notified()).await;
            self.look().await;
            tokio::select! {
                biased;
                _ = forget.tick() => {
                    // What is not forgotten now is next time; the outbox logs why.
                    let _failed = self.outbox.forget(self.clock.now()).await;
                }
                () = std::future::ready(()) => {}
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    /// Puts down what changed. Answers whether that is durable.
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

    /// Puts down how all stands, and tries once to tell it. For an orderly stop, after the last byte.
    pub async fn finish(&self) {
        if self.look().await {
            // What is not known to be closed counts as cut off; the outbox logs why.
            let _failed = self.outbox.close().await;
        }
        if let Err(error) = self.tell(None).await {
            let cause = crate::telemetry::chain(&error);
            tracing::info!(cause, "receipts wait to be told at the next start");
        }
    }

    /// Begins a redemption: from now on the watermark does not pass this moment.
    pub(crate) fn begin(self: &Arc<Self>, jti: Jti, link: &str, size: u64, address: Option<IpAddr>) -> Claim {
        let redeemed_at = self.book.begin(jti, &self.clock);
        let kept = Kept {
            jti,
            link: link.to_owned(),
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

    /// The client of a delivery came back, and may have found it opened anew.
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
            // It was told whole and forgotten.
            Ok(None) => return,
            Err(error) => {
                let (jti, cause) = (delivery.jti, crate::telemetry::chain(&error));
                tracing::error!(%jti, cause, "what this client takes from now on can't be told");
                return;
            }
        }
        delivery.tell(self.changed.clone());
        self.changed.notify_one();
    }

    /// A token was revoked: nothing more leaves for it.
    pub(crate) fn revoked(&self, jti: Jti) {
        self.book.revoked(jti);
        self.changed.notify_one();
    }
}

impl Claim {
    /// The moment at which it began, which the watermark does not pass.
    pub(crate) const fn at(&self) -> Timestamp {
        self.kept.redeemed_at
    }

    /// Whether putting it down will probably fail.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.receipts.outbox.is_failing()
    }

    /// Puts the intention down, durably. Answers whether nothing stood there before.
    ///
    /// # Errors
    /// When it may not be durable; then no byte may leave.
    pub(crate) async fn intend(&self) -> Result<bool, OutboxError> {
        self.receipts.outbox.intend(self.kept.clone()).await
    }

    /// The token was redeemed, and its delivery may begin.
    pub(crate) fn redeemed(self, delivery: &Arc<Delivery>) {
        delivery.tell(self.receipts.changed.clone());
        self.receipts.book.add(self.kept.clone(), delivery.clone());
        self.receipts.changed.notify_one();
    }

    /// The token was not redeemed by this; what was put down, if it was new, is taken out.
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
