//! Slows down guessing, and limits what strangers and accounts may cause to be written or mailed.
//!
//! Attempts count per account (whether or not it exists) and per address. An IPv6 address counts as its /64,
//! and its /48 may do four times as much. Delays have a maximum, so nobody is locked out permanently; and an
//! address or browser that has succeeded before is not slowed down by what strangers do.

mod budgets;
mod counter;
mod guesses;
mod keys;
mod limits;
mod mails;
mod table;

pub use counter::Throttled;
pub use guesses::Attempt;
pub use keys::{KeyLookUp, RequestQuota};
pub use limits::Throttle;
pub use mails::{MailCause, MailsRefused};
