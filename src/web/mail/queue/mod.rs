//! The queue of mails in the database: mails to send, mails that were sent, and mails that were given up and
//! why.

mod attempts;
mod review;
mod row;
mod store;

pub use attempts::DueSelection;
pub use row::{BOUNCED, MailState, QueuedMail};
pub use store::{MailQueue, QueueError};
