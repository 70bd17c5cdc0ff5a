//! The token: the signed JWT in a download address (RFC 7515, 7519, 8725), which the web app signs and the
//! download service verifies.
//!
//! A token is *unverified* text until [`SignedDownload::grant`], [`verify_view`], [`verify_action`] or
//! [`verify_command`] returns; only these create a [`Grant`], a [`ViewGrant`], an [`ActionGrant`] or a
//! [`CommandGrant`]. Nothing here signs with a private key, reads the wall clock or stores anything.

mod batch;
pub mod claims;
mod content;
mod error;
mod gathering;
mod inspect;
pub(crate) mod json;
mod jwk;
mod key_error;
mod key_ring;
mod kind;
pub mod parse;
mod point;
mod shared_secret;
mod signed;
mod verify;
mod view;

pub use content::GrantContent;
pub use error::{TokenError, TokenPart};
pub use inspect::{UnverifiedToken, inspect};
pub use jwk::PublicKey;
pub use key_error::{KeyRingError, MAX_JWKS, MAX_KEYS};
pub use key_ring::KeyRing;
pub(crate) use kind::header_part;
pub use kind::{Algorithm, MAX_TOKEN, TokenKind};
pub use shared_secret::{HmacSecret, InvalidSecret, SecretFileError};
pub use verify::{
    ActionGrant, CommandGrant, Grant, SignedDownload, TokenRules, verify_action, verify_command,
    verify_download, verify_ended_action,
};
pub use view::{VIEW_LIFETIME, ViewGrant, verify_view};
