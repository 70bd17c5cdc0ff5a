//! Mail: a durable queue in the database, letters from templates, and the ways they leave.
//!
//! A queued mail names what it is about and to whom it goes. What it says, and whether it is sent at
//! all, is decided when it is sent: the queue holds no link, a link's time begins when the mail
//! leaves, and a request does the same work whether or not there is an account.

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
pub mod wording;

pub use new_mail::{MailDetails, MailKind, NewMail};
