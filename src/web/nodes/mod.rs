//! The download services that tokens are issued for: their addresses, which of them may be given tokens, and
//! the keys with which they authenticate.
//!
//! Addresses are in the settings. Keys are in the database, as digests, and only if the settings list nodes.
//! The download service of `[download]` uses the key in `keys/node-key`.

mod key_rows;
pub mod keys;
pub mod monitor;
pub mod node_key;
pub mod over_http;
pub mod readiness;
mod registry;
pub mod revoke;

pub use registry::Nodes;
