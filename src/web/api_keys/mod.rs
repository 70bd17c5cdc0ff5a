//! API keys: what a program presents instead of a session, and what it may do with it.
//!
//! A key is a random text of which only the digest is stored. Keys are cached, and a cached key is valid until
//! [`crate::web::accounts::changes::AccountChanges`] reports a change of its account. So revoking a key takes effect
//! immediately in this process, and within a second in others.
//!
//! A key never outlives what allowed it: it is refused when its account is deleted, it is revoked for good when its
//! account is disabled or gets a new password through a mailed link or from an operator, and it never allows more than
//! its account may do now. Changing the password by someone who knows the old one leaves keys as they are.

mod cache;
mod check;
mod key;
mod key_text;
mod last_use;
mod scope;
mod store;
mod terms;

pub use check::KeyCheck;
pub use key::{ApiKey, ApiKeyError, ApiKeyId, KeyState, ListedKey};
pub use key_text::{PREFIX, PresentedKey};
pub use scope::{Scope, Scopes};
pub use store::{ApiKeys, KEYS_MAX, MakeKeyOutcome};
pub use terms::{KeyForm, KeyFormErrors, KeyTerms, NAME_MAX};
