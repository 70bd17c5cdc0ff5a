//! The queue of mails in the database: what waits, what was sent, what was given up and why.

mod attempts;
mod review;
mod row;
mod store;

pub use attempts::DueSelection;
pub use row::{BOUNCED, MailState, QueuedMail};
pub use store::{MailQueue, QueueError};
