//! Why a key or a key set is refused.

/// The bytes are not a valid public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the point is not on the curve, has a component of small order or is not canonical")]
pub struct InvalidPoint;

/// Maximum number of keys in a ring.
pub const MAX_KEYS: usize = 8;

/// Maximum size of a JWKS, in bytes.
pub const MAX_JWKS: usize = 64 * 1024;

/// A key set is refused as a whole: we don't create sets with a bad key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// It isn't JSON, has duplicate members, or is nested too deeply for a key set.
    #[error("the key set is not a JSON object with unique members")]
    Json,
    /// It is longer than [`MAX_JWKS`].
    #[error("the key set is longer than {MAX_JWKS} bytes")]
    TooLong,
    /// It has more than [`MAX_KEYS`] keys.
    #[error("the key set has more than {MAX_KEYS} keys")]
    TooMany,
    /// There is no list of keys, or it is empty.
    #[error("the key set has no keys")]
    Empty,
    /// Two keys have this id.
    #[error("two keys have the id `{0}`")]
    DuplicateKid(String),
    /// A key id is invalid.
    #[error("a key id is 1 to 128 visible ASCII characters without quotes and backslashes")]
    KeyId,
    /// It contains a private key, or a symmetric key in place of a public one.
    #[error("a key has private or secret members")]
    Private,
    /// A key has an unsupported type.
    #[error("a key is neither Ed25519 (kty OKP) nor P-256 (kty EC)")]
    Unsupported,
    /// A key lacks this member.
    #[error("a key has no `{0}`")]
    Missing(&'static str),
    /// This member is malformed, or contradicts the rest of the key.
    #[error("a key's `{0}` disagrees with the rest of it")]
    Disagrees(&'static str),
    /// The point of a key is invalid.
    #[error("a public key is not valid")]
    Point(#[source] InvalidPoint),
}
