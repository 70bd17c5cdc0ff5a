//! What is remembered of forms: those that made something, and those whose sender was not logged in any more.

pub mod idempotency;
pub mod unsent;
