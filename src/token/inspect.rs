//! Shows the content of a token to an operator, without verifying it.

use std::fmt::{self, Write};

use serde_json::Value;

use crate::token::error::{TokenError, TokenPart};
use crate::token::parse::{TokenParts, decode};

/// The content of a token. Nothing was verified; anyone can write such a token.
#[derive(Clone, Debug, PartialEq)]
pub struct UnverifiedToken {
    /// The header as written.
    pub header: Value,
    /// The claims as written.
    pub claims: Value,
}

/// Parses a token without checking its signature, times or anything else.
///
/// # Errors
/// If it doesn't have the format of a token.
pub fn inspect(unverified: &str) -> Result<UnverifiedToken, TokenError> {
    let parts = TokenParts::split(unverified)?;
    let header = decode(parts.header, TokenPart::Header)?;
    let claims = decode(parts.claims, TokenPart::Claims)?;
    decode(parts.signature, TokenPart::Signature)?;
    Ok(UnverifiedToken {
        header: serde_json::from_slice(&header).map_err(|_| TokenError::HeaderJson)?,
        claims: serde_json::from_slice(&claims).map_err(|_| TokenError::ClaimsJson)?,
    })
}

/// For people. Characters that control a terminal or change the direction of text are escaped.
impl fmt::Display for UnverifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "NOT VERIFIED: anyone can write this")?;
        if self.claims.get("again") == Some(&Value::Bool(true)) {
            writeln!(f, "a continuation: it redeems nothing, and continues what its jti began")?;
        }
        for shown in format!("header: {:#}\nclaims: {:#}", self.header, self.claims).chars() {
            match shown {
                '\n' => f.write_char(shown)?,
                '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write!(f, "\\u{:04x}", u32::from(shown))?;
                }
                _ if shown.is_control() => write!(f, "\\u{:04x}", u32::from(shown))?,
                _ => f.write_char(shown)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn a_continuation_is_called_one() {
        let shown =
            |claims: &str| inspect(&format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims))).unwrap().to_string();
        assert!(shown(r#"{"again":true}"#).contains("a continuation: it redeems nothing"));
        for claims in [r#"{"again":false}"#, r#"{"again":"true"}"#, "{}", "[]"] {
            assert!(!shown(claims).contains("continuation"), "{claims}");
        }
    }

    #[test]
    fn what_a_token_says_cannot_steer_a_terminal() {
        let part = URL_SAFE_NO_PAD.encode("{\"file\":\"\u{9b}31m\u{202e}fdp.exe\\u001b[2J\"}");
        let shown = inspect(&format!("e30.{part}.")).unwrap().to_string();
        assert!(shown.starts_with("NOT VERIFIED"));
        assert!(shown.contains(r"\u009b31m\u202efdp.exe\u001b[2J"), "{shown}");
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'));
    }
}
