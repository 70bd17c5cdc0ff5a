//! Sessions: who is logged in, in which browser.
//!
//! The browser has a random id; the database has its digest. Sessions are cached, and a cached session is
//! valid until [`crate::web::accounts::changes::AccountChanges`] reports a change of its account. So the end
//! of a session takes effect immediately in this process, and within a second in others.

mod cache;
mod session;
mod store;

pub use session::{ListedSession, NewSession, Session, SessionError, SessionLifetimes, SessionSelection};
pub use store::Sessions;
