//! Recovery codes: ten codes for the day on which the app is lost, each of which works once.

use crate::secret::{RandomError, Secret};
use crate::web::identity::AccountId;
use crate::web::tokens::link_key::LinkKey;

/// How many there are.
pub(super) const COUNT: usize = 10;

/// Letters and digits that can't be confused with one another: 32 of them, five bits each.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 60 bits. Guesses are counted, and what is stored can't be tried without the link key.
const LENGTH: usize = 12;

/// A recovery code, as its owner sees it once: three groups of four characters.
#[derive(Clone, Debug)]
pub struct RecoveryCode(Secret);

impl RecoveryCode {
    /// Creates a random one.
    pub(super) fn random() -> Result<RecoveryCode, RandomError> {
        let bytes = crate::secret::random_bytes::<LENGTH>()?;
        let letter = |byte: u8| char::from(ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'a'));
        let letters: String = bytes.into_iter().map(letter).collect();
        Ok(RecoveryCode(Secret::presented(&letters)))
    }

    /// Reads a typed one; spaces, hyphens and capitals don't matter.
    pub(super) fn parse(typed: &str) -> Option<RecoveryCode> {
        let letters: String = typed
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .map(|c| c.to_ascii_lowercase())
            .take(LENGTH + 1)
            .collect();
        let is_one = letters.len() == LENGTH && letters.bytes().all(|letter| ALPHABET.contains(&letter));
        is_one.then(|| RecoveryCode(Secret::presented(&letters)))
    }

    /// Returns the code in groups, for its owner.
    pub fn shown(&self) -> String {
        let letters = self.0.reveal();
        let groups: Vec<&str> = (0..LENGTH).step_by(4).filter_map(|at| letters.get(at..at + 4)).collect();
        groups.join("-")
    }

    /// Returns what is stored of it.
    pub(super) fn mark(&self, key: &LinkKey, account: &AccountId) -> String {
        key.mark(&format!("recovery\n{account}\n{}", self.0.reveal())).reveal().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let code = RecoveryCode::random().unwrap();
        let shown = code.shown();
        assert_eq!(shown.len(), 14, "{shown}");
        for typed in [shown.clone(), shown.replace('-', ""), shown.to_uppercase(), format!(" {shown} ")] {
            assert_eq!(RecoveryCode::parse(&typed).unwrap().shown(), shown);
        }
        for wrong in ["", "123456", "abcd-abcd-abc", "abcd-abcd-abcde", "abcd-abcd-abc1", "abcd-abcd-abcé"] {
            assert!(RecoveryCode::parse(wrong).is_none(), "{wrong}");
        }
    }
}
