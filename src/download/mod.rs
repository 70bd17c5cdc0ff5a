//! The download service: verifies a signed token with public keys only, durably records its jti as used, and
//! streams the file. It knows no accounts, sessions or private keys.
//!
//! `handlers` parses a request, `redeem` applies the rule, `same_file` compares the file with what was
//! redeemed, `archives` does it for the files of an archive, the `ledger` and the `reservation` in the store limit what
//! is sent, and `body` sends it. `view` sends what is shown in a browser, which uses nothing up. `problem` is the edge
//! where refusals become HTTP.

pub mod archives;
mod body;
mod browser;
mod buffer_budget;
mod chores;
mod conditions;
mod content;
mod content_disposition;
mod handlers;
pub mod key_source;
mod ledger;
mod metrics;
mod outgoing;
pub mod pages;
mod permission;
mod portion;
mod problem;
mod publish;
mod readiness;
pub mod receipts;
mod redeem;
pub mod remembered;
mod reservation;
mod response;
mod same_file;
mod shared_store;
mod state;
mod unacknowledged;
mod verified;
mod view;
mod write_tracker;

pub use handlers::handle;
pub(crate) use outgoing::NextBytes;
pub use state::{DownloadRules, DownloadState};
pub use unacknowledged::{OrphanedStreams, Undelivered};
pub use write_tracker::WriteTracker;
