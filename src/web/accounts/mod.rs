//! The table of accounts, the feed that invalidates cached ones, and the proof that someone owns an account.

pub mod changes;
pub mod proof;
pub(crate) mod rows;
pub mod store;
