//! Revocations on their way to the download services. What is to be revoked stands in the database,
//! once for each node that may know the token, until that node has it on record: nothing is lost when a
//! node is down, or when this process ends, and a node that is down keeps nobody else waiting.

mod delivery;
pub mod issued;
mod lane;

pub use delivery::{RevocationOutcome, Revocations};
