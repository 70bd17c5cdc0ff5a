//! The web app: accounts, sessions, browsing, and the private key that signs tokens.

pub mod pages;
