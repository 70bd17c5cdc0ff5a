//! The rule: once, only once, and never lost.
//!
//! Open and check the file → durably record the jti → only then send. After a redemption, the
//! [`ledger`](crate::download::ledger) decides about resuming, retrying and replays; after a restart, the
//! durable record alone.

mod claim;
mod head;
mod prepared;
mod request;
mod resume;
mod rule;

pub(crate) use self::head::{head, resumable_size};
pub(crate) use self::prepared::{Prepared, byte_range, prepare};
pub(crate) use self::request::{HeadOutcome, RedeemOutcome, Request};
pub(crate) use self::rule::redeem;
