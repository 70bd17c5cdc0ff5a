//! A redemption in progress, as far as its receipt is concerned.

use std::net::IpAddr;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::download::ledger::Delivery;
use crate::download::receipts::outbox::{OutboxEntry, OutboxError};
use crate::download::receipts::service::Receipts;
use crate::download::receipts::tally::Tally;
use crate::id::{Jti, LinkId};

/// A redemption in progress. Until it is dropped, the watermark doesn't pass its start.
pub(crate) struct PendingRedemption {
    receipts: Arc<Receipts>,
    kept: OutboxEntry,
}

impl Receipts {
    /// Begins a redemption: from now on the watermark doesn't pass this time.
    pub(crate) fn begin(
        self: &Arc<Self>,
        jti: Jti,
        link: &LinkId,
        size: u64,
        address: Option<IpAddr>,
    ) -> PendingRedemption {
        let redeemed_at = self.active.begin_claim(jti, &self.clock);
        let kept = OutboxEntry {
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
        PendingRedemption { receipts: self.clone(), kept }
    }
}

impl PendingRedemption {
    /// Returns its start, which the watermark doesn't pass.
    pub(crate) const fn at(&self) -> Timestamp {
        self.kept.redeemed_at
    }

    /// Returns whether recording it would probably fail.
    pub(crate) fn may_fail(&self) -> bool {
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
        delivery.notify_on_change(self.receipts.changed.clone());
        self.receipts.active.add(self.kept.clone(), delivery.clone());
        self.receipts.changed.notify_one();
    }

    /// Records that this didn't redeem the token; removes the record if it was new.
    pub(crate) fn cancelled(self, new: bool) {
        if new {
            self.receipts.active.cancel(self.kept.jti);
            self.receipts.changed.notify_one();
        }
    }
}

impl Drop for PendingRedemption {
    fn drop(&mut self) {
        self.receipts.active.end_claim(self.kept.jti);
    }
}
