//! Webhooks: programs of people that are told what happens to their links, requests and files, by the Standard
//! Webhooks specification.
//!
//! What happened is recorded by the transaction in which it happens (`outbox`), so none of it is lost or
//! invented. `sender` delivers it later, in order, to addresses that `address` and the HTTP client have checked.
//! A message has ids and numbers only: never a secret, the address of a link or a token.

pub mod address;
mod ended;
pub mod event;
pub mod messages;
pub(crate) mod outbox;
mod queue;
mod schedule;
pub mod sender;
mod settle;
pub mod signature;
mod store;
pub mod terms;
pub mod webhook;

pub use store::{CreateOutcome, FORMER_KEPT, WEBHOOKS_MAX, WebhookError, Webhooks};
