//! The download services that tokens are issued for: where each is, which of them may be given
//! tokens, and by which key each shows that it is one of ours.
//!
//! Addresses stand in the settings, keys in the database: only their digests, and only where there are
//! several nodes. The one of `[download]` shows the key in `keys/node-key`.

mod key_rows;
pub mod keys;
pub mod monitor;
pub mod node_key;
pub mod over_http;
pub mod readiness;
mod registry;
pub mod revoke;

pub use registry::Nodes;
