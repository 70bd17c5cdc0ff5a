//! Receipts: what the download services report about tokens that were issued through links. They are kept for
//! the links' owners, and settle the uses of links.
//!
//! [`intake`] records a report, [`log`] is the chained log of every step, [`nodes`] knows up to which time
//! everything has been reported, [`overview`] lists all download services, [`history`] reads the log for the owner,
//! and [`everybody`] for administrators.

pub mod everybody;
pub mod history;
pub mod intake;
pub mod log;
pub mod nodes;
pub(crate) mod notices;
pub mod overview;
mod receipts;

pub use receipts::{DeliveryStore, ReceiptRules};
