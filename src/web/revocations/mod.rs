//! Delivers revocations to the download services. The database has one row for each revoked token and each
//! node that may know the token, until that node has recorded the revocation. Therefore nothing is lost when
//! a node is down or this process ends, and a node that is down doesn't delay the others.

mod delivery;
pub mod issued;
mod lane;
pub mod recording;
mod viewing;

pub use delivery::{RevocationOutcome, Revocations};
