//! What is remembered about forms and programs' requests: those that took effect, and forms that were sent after their
//! session had ended.

pub mod idempotency;
pub mod record;
pub mod request_keys;
pub mod unsent;
