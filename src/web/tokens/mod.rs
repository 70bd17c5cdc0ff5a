//! All that signs: the private keys, the tokens, and the key that addresses of links are derived from.

pub mod issuer;
pub mod link_key;
pub(crate) mod private_file;
pub mod signer;
