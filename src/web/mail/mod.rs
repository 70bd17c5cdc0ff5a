//! Mail: a durable queue in the database, letters made from templates, and ways to send them.
//!
//! A queued mail says what it is about and to whom it is addressed. What it says, and whether it is sent at
//! all, is decided when it is sent. Therefore the queue contains no links, the lifetime of a link begins when
//! its mail is sent, and a request does the same work whether or not an account exists.

mod attempt;
pub mod bounce;
pub mod circuit_breaker;
pub mod compose;
pub mod letters;
pub mod message;
mod new_mail;
pub mod queue;
mod render;
pub mod request_origin;
pub mod sender;
pub mod smtp;
pub mod stuck;
pub mod test_mail;
pub mod transport;
pub mod verdict;
pub mod way;
pub mod wording;

pub use new_mail::{MailDetails, MailKind, NewMail};
