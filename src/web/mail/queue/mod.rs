//! The queue of mails in the database: what waits, what was sent, what was given up and why.

mod attempts;
mod review;
mod row;
mod store;

pub use attempts::Selection;
pub use row::{BOUNCED, Queued, State};
pub use store::{Queue, QueueError};
