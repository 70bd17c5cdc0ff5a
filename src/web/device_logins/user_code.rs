//! The code that a person compares or types: eight consonants, which form no words and aren't confused with each other.

use std::fmt;
use std::str::FromStr;

use crate::secret::{Digest, RandomError, random_bytes};

/// Twenty letters, as RFC 8628 section 6.1 recommends. Eight of them are 34 bits.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LENGTH: usize = 8;

/// A code, written as in `BCDF-GHJK`.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode([u8; LENGTH]);

/// The text is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a code has eight letters, like BCDF-GHJK")]
pub struct InvalidUserCode;

impl UserCode {
    /// Creates a code that nobody can guess.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn random() -> Result<UserCode, RandomError> {
        // 64 bits for each letter: the remainder is as good as uniform.
        let bytes: [u8; LENGTH * 8] = random_bytes()?;
        let mut code = [0; LENGTH];
        for (letter, chunk) in code.iter_mut().zip(bytes.chunks_exact(8)) {
            let number = chunk.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
            let at = usize::try_from(number % LETTERS.len() as u64).unwrap_or_default();
            *letter = LETTERS.get(at).copied().unwrap_or(b'B');
        }
        Ok(UserCode(code))
    }

    /// Returns the digest under which it is stored.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl FromStr for UserCode {
    type Err = InvalidUserCode;

    /// Accepts lower case, and anything between the letters that isn't one.
    fn from_str(typed: &str) -> Result<UserCode, InvalidUserCode> {
        let letters: Vec<u8> = typed
            .bytes()
            .filter(u8::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_uppercase())
            .collect();
        let code: [u8; LENGTH] = letters.try_into().map_err(|_| InvalidUserCode)?;
        match code.iter().all(|letter| LETTERS.contains(letter)) && typed.is_ascii() {
            true => Ok(UserCode(code)),
            false => Err(InvalidUserCode),
        }
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.0);
        let (first, second) = text.split_at_checked(LENGTH / 2).unwrap_or((&text, ""));
        write!(f, "{first}-{second}")
    }
}

/// A code is a secret for as long as its login waits.
impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = UserCode::random().unwrap();
        let shown = code.to_string();
        assert_eq!(shown.len(), LENGTH + 1);
        for typed in [
            shown.clone(),
            shown.to_lowercase(),
            shown.replace('-', ""),
            format!(" {} ", shown.replace('-', " ")),
        ] {
            assert_eq!(typed.parse(), Ok(code.clone()), "{typed}");
        }
        for typed in ["", "BCDF-GHJ", "BCDF-GHJKL", "ABCD-EFGH", "BCDF-GHJ1", "ВCDF-GHJK"] {
            assert_eq!(typed.parse::<UserCode>(), Err(InvalidUserCode), "{typed}");
        }
    }
}
