//! The token: the signed JWT in a download address (RFC 7515, 7519, 8725), which the web app signs and the
//! download service verifies.
//!
//! A token is *unverified* text until [`verify_download`], [`verify_action`] or [`verify_command`] returns;
//! only these create a [`Grant`], an [`Action`] or a [`Command`]. Nothing here signs with a private key,
//! reads the time or stores anything.

pub mod claims;
mod error;
mod inspect;
mod json;
mod jwk;
mod key_error;
mod key_ring;
mod kind;
pub mod parse;
mod point;
mod shared_secret;
mod verify;

pub use error::{Part, TokenError};
pub use inspect::{Unverified, inspect};
pub use jwk::PublicKey;
pub use key_error::{KeyRingError, MAX_JWKS, MAX_KEYS};
pub use key_ring::KeyRing;
pub(crate) use kind::header_part;
pub use kind::{Algorithm, MAX_TOKEN, TokenKind};
pub use shared_secret::{InvalidSecret, SecretFileError, SharedSecret};
pub use verify::{
    Action, Command, Grant, Rules, verify_action, verify_command, verify_download, verify_ended_action,
    verify_redeemed,
};
