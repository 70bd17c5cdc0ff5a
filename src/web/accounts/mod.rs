//! Where accounts are kept, what was cached of them, and the proof that somebody is their owner.

pub mod changes;
pub mod proof;
pub mod store;
