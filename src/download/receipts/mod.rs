//! Receipts: reports the outcome of links' tokens to the web app.
//!
//! Before the first byte of such a token is sent, the intention to redeem it is durable in the [`outbox`]. So
//! whatever happens, a delivery that may have begun is reported, and the watermark `told_until` never passes
//! an unreported one. A ticker reads the progress of deliveries from the ledger; portions don't report
//! anything. Tokens without a link cost nothing here.

mod active;
mod claim;
mod opening;
mod outbox;
mod over_http;
mod reporter;
mod service;
mod tally;
#[cfg(test)]
mod tests;
mod way;

pub(crate) use self::claim::PendingRedemption;
pub use self::opening::{ReceiptSettings, ReceiptsError, reset_time};
pub use self::outbox::OutboxError;
pub(crate) use self::over_http::read_key as node_key;
pub use self::over_http::{HttpReceiptSink, HttpReceiptSinkError};
pub use self::service::Receipts;
