//! Slows down guessing, and bounds what strangers and accounts can have written or mailed.
//!
//! Attempts count per account (whether or not it exists) and per address; an IPv6 address counts as its
//! /64, and four times as much is allowed to its /48. The delays have an end, so nobody is locked out for
//! good; and an address or browser that has succeeded before is not slowed down by what strangers do.

mod budgets;
mod counter;
mod guesses;
mod limits;
mod mails;
mod table;

pub use counter::Throttled;
pub use guesses::Attempt;
pub use limits::Throttle;
pub use mails::MailCause;
