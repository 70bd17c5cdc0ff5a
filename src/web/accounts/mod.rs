//! Where accounts are kept, what was cached of them, and the proof that somebody is their owner.

pub mod changes;
pub mod proof;
pub(crate) mod rows;
pub mod store;
