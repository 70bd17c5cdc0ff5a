//! Receipts: what the download services tell of tokens that were taken through links, kept for the
//! links' owners, and made known to the counting of uses.
//!
//! [`intake`] records a report, [`log`] is the chained record of every step, [`nodes`] knows up to
//! which moment all is told, [`history`] reads it for the owner.

pub mod history;
pub mod intake;
pub mod log;
pub mod nodes;
pub(crate) mod notices;
mod receipts;

pub use receipts::{DeliveryStore, ReceiptRules};
