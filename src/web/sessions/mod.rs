//! Sessions: who is logged in, in which browser.
//!
//! The browser holds a random id; the database holds its digest. What was read is cached, and counts
//! until [`crate::web::accounts::changes::Generations`] tells of a change of its account, so that the end of a session takes effect
//! at once in this process and within a second in another one.

mod cache;
mod session;
mod store;

pub use session::{ListedSession, NewSession, Session, SessionError, SessionLifetimes, SessionSelection};
pub use store::Sessions;
