//! What a receipt claims, whatever clients, restarts and tellings do.

mod claims;
mod reports;

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::download::ledger::{
    Delivery, DeliveryProgress, Entered, Ledger, RedeemerProof, Shortfall, Stream, StreamRequest, Take,
};
use crate::download::receipts::tally::Tally;
use crate::files::FileVersion;
use crate::id::Jti;
use crate::secret::Secret;
use crate::used_tokens::Lease;

pub(super) const T0: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(super) const LEASE: Duration = Duration::from_secs(3600);
pub(super) const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
pub(super) const KIB: u64 = 1024;

/// A download in progress, with the receipt that would be written for it.
pub(super) struct Sending {
    pub(super) ledger: Arc<Ledger>,
    pub(super) delivery: Arc<Delivery>,
    size: u64,
}

impl Sending {
    pub(super) fn redeemed(size: u64, range: Range<u64>) -> (Sending, Stream) {
        let ledger = Arc::new(Ledger::default());
        let version = FileVersion { len: size, modified_ns: 1 };
        let until = T0.plus(LEASE * 24);
        let make = || Delivery::new(jti(7), version, Some(HOME), Secret::presented("key"), until, T0);
        let Entered::Claiming(delivery) = ledger.enter(jti(7), make) else { panic!("not empty") };
        let stream = delivery.open(&ledger, range);
        (Sending { ledger, delivery, size }, stream)
    }

    /// The same file after a restart.
    pub(super) fn restarted(size: u64) -> Sending {
        let delivery = Delivery::recorded(jti(7), &lease_on(size), Some(Secret::presented("key")), T0);
        Sending { ledger: Arc::new(Ledger::default()), delivery: Arc::new(delivery), size }
    }

    pub(super) async fn resume(&self, range: Range<u64>) -> Stream {
        let wish = StreamRequest { range, plain: false, proof: RedeemerProof::Key };
        let stream = self.delivery.admit(&self.ledger, &wish, LEASE, T0).await.ok().unwrap();
        if let Shortfall::Reserve { bytes, .. } = self.delivery.shortfall(&stream) {
            self.delivery.add_reservation(bytes, bytes);
        }
        stream
    }

    pub(super) fn progress(&self) -> DeliveryProgress {
        self.delivery.progress(LEASE, T0)
    }

    pub(super) fn tally(&self) -> Tally {
        Tally::new(T0).plus(&self.progress(), self.size)
    }
}

pub(super) fn take(stream: &mut Stream, count: u64) {
    assert_eq!(stream.take(count, T0), Take::Send(count));
}

pub(super) fn jti(byte: u8) -> Jti {
    Jti::from_bytes([byte; 16])
}

pub(super) fn lease_on(len: u64) -> Lease {
    Lease {
        resume_key: Secret::presented("key").digest(),
        until: T0.plus(LEASE * 24),
        version: FileVersion { len, modified_ns: 1 },
        trace: None,
        reserved: 0,
        active_at: T0,
    }
}
