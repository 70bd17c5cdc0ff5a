//! The web app: accounts, sessions, browsing, and the private key that signs tokens.

pub mod issue;
pub mod pages;
pub mod signer;
