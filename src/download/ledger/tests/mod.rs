//! The rule on its own, and the bounds that no order of events may break.

mod bounds;
mod rule;

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::admission::Obstacle;
use super::*;
use crate::clock::Timestamp;
use crate::files::FileVersion;
use crate::id::Jti;
use crate::secret::Secret;
use crate::used_tokens::Lease;

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(super) const LEASE: Duration = Duration::from_secs(3600);
pub(super) const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
pub(super) const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
pub(super) const MIB: u64 = 1024 * 1024;

pub(super) fn redeemed(ledger: &Arc<Ledger>, size: u64, range: Range<u64>) -> (Arc<Delivery>, Stream) {
    let jti = Jti::from_bytes([7; 16]);
    let version = FileVersion { len: size, modified_ns: 1 };
    let make =
        || Delivery::new(jti, version, Some(HOME), Secret::presented("key"), NOW.plus(LEASE * 24), NOW);
    let Entered::Claiming(delivery) = ledger.enter(jti, make) else { panic!("the ledger was not empty") };
    let stream = delivery.open(ledger, range);
    (delivery, stream)
}

pub(super) fn admit(
    delivery: &Arc<Delivery>,
    ledger: &Arc<Ledger>,
    range: Range<u64>,
    proof: RedeemerProof,
) -> Result<Stream, Obstacle> {
    let plain = range == (0..delivery.size);
    let stream = delivery.try_admit(ledger, &StreamRequest { range, plain, proof }, LEASE, NOW)?;
    if let Shortfall::Reserve { bytes, .. } = delivery.shortfall(&stream)
        && proof.is_keyed()
    {
        let total = delivery.state().reserved.total + bytes;
        delivery.add_reservation(bytes, total);
    }
    Ok(stream)
}

/// Returns the lease that the store has, with `reserved` bytes reserved.
pub(super) fn lease(delivery: &Delivery, reserved: u64) -> Lease {
    Lease {
        resume_key: *delivery.resume_digest(),
        until: NOW.plus(LEASE * 24),
        version: delivery.version,
        trace: None,
        reserved,
        active_at: NOW,
    }
}

pub(super) fn drain(stream: &mut Stream) -> u64 {
    let mut sent = 0;
    while let Take::Send(count) = stream.take(MIB, NOW) {
        sent += count;
    }
    sent
}

/// The end of a stream whose client has read everything.
pub(super) fn arrive(mut stream: Stream) {
    stream.finish();
}
