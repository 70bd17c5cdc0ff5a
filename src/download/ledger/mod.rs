//! The ledger: which bytes of a redeemed file were sent, in memory, on the node that sends them.
//!
//! It decides who may get which bytes after a jti is redeemed (the rule "once, only once, and never lost"),
//! and it limits what is sent: every portion is recorded here *before* it is read and sent. It knows nothing
//! about HTTP or the disk, and never reads the time.

mod admission;
mod bound;
mod breaks;
mod deliveries;
mod delivery;
mod limits;
mod portion_writer;
mod progress;
mod proof;
mod ranges;
mod reserved;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod whole;

pub(crate) use self::admission::{StreamRefusal, StreamRequest};
pub(crate) use self::bound::Shortfall;
pub(crate) use self::deliveries::{Entered, Ledger};
pub(crate) use self::delivery::Delivery;
pub(crate) use self::limits::{PATIENCE, TWO_SEGMENTS};
pub(crate) use self::portion_writer::PortionWriter;
pub(crate) use self::progress::DeliveryProgress;
pub(crate) use self::proof::{RedeemerProof, second_key};
pub(crate) use self::ranges::RangeSet;
pub(crate) use self::stream::{Stream, Take};
