//! The kinds of tokens and the algorithms of their signatures.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Maximum length of a token, in bytes.
pub const MAX_TOKEN: usize = 4096;

/// The kind of a token. It is refused wherever another kind is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A download.
    Download,
    /// An action link, sent by email.
    Action,
    /// A command between services.
    Command,
    /// A view of a file.
    View,
}

impl TokenKind {
    /// The `typ` in the header (RFC 8725 section 3.11).
    pub const fn typ(self) -> &'static str {
        match self {
            TokenKind::Download => "dl+jwt",
            TokenKind::Action => "act+jwt",
            TokenKind::Command => "cmd+jwt",
            TokenKind::View => "view+jwt",
        }
    }
}

/// The signature algorithm. The key decides it, never the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// ECDSA on P-256 with SHA-256 (RFC 7518 section 3.4).
    Es256,
    /// HMAC with SHA-256 and a shared secret (RFC 7518 section 3.2).
    Hs256,
}

impl Algorithm {
    /// The `alg` in the header.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Es256 => "ES256",
            Algorithm::Hs256 => "HS256",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The first part of a token as the signer writes it.
///
/// Invariant: `kid` needs no escapes in JSON; [`is_key_id`] ensures this.
pub(crate) fn header_part(algorithm: Algorithm, kid: &str, kind: TokenKind) -> String {
    URL_SAFE_NO_PAD.encode(format!(
        r#"{{"alg":"{}","kid":"{kid}","typ":"{}"}}"#,
        algorithm.name(),
        kind.typ()
    ))
}

/// Returns whether a text is a valid key id: at most 128 visible ASCII characters without `"` and `\`.
pub(crate) fn is_key_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'))
}
