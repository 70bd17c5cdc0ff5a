//! The token: the signed JWT in a download address (RFC 7515, 7519, 8725), and the contract that
//! the web app, which signs, and the download service, which verifies, share.
//!
//! A token is *unverified* text until [`verify`](verify::verify_download) returns a [`Grant`];
//! only `verify` makes one.
