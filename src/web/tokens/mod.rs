//! Everything that signs: the private keys, the tokens, and the key from which the addresses of links are
//! derived.

pub mod issuer;
pub mod link_key;
pub mod private_file;
pub mod signer;
