//! What is remembered about forms: those that took effect, and those that were sent after their session had
//! ended.

pub mod idempotency;
pub mod unsent;
