//! The download service: verifies a token, records its jti as used, streams the file.

pub mod key_source;
pub mod pages;
