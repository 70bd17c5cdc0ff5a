//! The queue of mails in the database: what waits, what was sent, what was given up and why.

mod store;

pub use store::{BOUNCED, Queue, QueueError, Queued, Selection, State};
