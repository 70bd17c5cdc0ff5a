//! The text of a key: `olk_`, 43 random letters and digits (256 bits), and six more that are a checksum of the rest.
//! So a damaged or invented key is refused without looking anything up, and programs that search for leaked secrets
//! recognize a real one.

use zeroize::Zeroizing;

use crate::secret::{Digest, RandomError, Secret, random_bytes};

/// What every key begins with.
pub const PREFIX: &str = "olk_";

/// The digits of base 62, in the order of ASCII.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The number of random characters: 62⁴³ is a little more than 2²⁵⁶.
const RANDOM: usize = 43;

/// The number of characters of the checksum: 62⁶ is more than 2³².
const CHECKSUM: usize = 6;

/// How many characters after the prefix are shown in lists. They are worth 24 of the 256 bits.
const SHOWN: usize = 4;

/// A text that has the form of a key. Whether there is such a key is not known yet.
#[derive(Clone, Debug)]
pub struct PresentedKey(Secret);

impl PresentedKey {
    /// Reads what a client presented; `None` if it isn't a key.
    pub fn parse(text: &str) -> Option<PresentedKey> {
        let rest = text.strip_prefix(PREFIX)?;
        if rest.len() != RANDOM + CHECKSUM || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let (body, sum) = text.split_at_checked(PREFIX.len() + RANDOM)?;
        (checksum(body) == sum).then(|| PresentedKey(Secret::presented(text)))
    }

    /// Creates a key.
    ///
    /// # Errors
    /// If the operating system provides no random bytes.
    pub(super) fn random() -> Result<PresentedKey, RandomError> {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + RANDOM + CHECKSUM));
        text.push_str(PREFIX);
        let mut left = RANDOM;
        while left > 0 {
            let bytes = Zeroizing::new(random_bytes::<64>()?);
            // Six bits of each byte. Those that are no digit are skipped, so that all digits are equally likely.
            for digit in bytes.iter().filter_map(|byte| DIGITS.get(usize::from(byte & 0x3f))).take(left) {
                text.push(char::from(*digit));
                left -= 1;
            }
        }
        let sum = checksum(&text);
        text.push_str(&sum);
        Ok(PresentedKey(Secret::presented(&text)))
    }

    /// Returns the digest, which is what is stored.
    pub fn digest(&self) -> Digest {
        self.0.digest()
    }

    /// Returns the key itself, for the one answer that shows it.
    pub(super) fn into_secret(self) -> Secret {
        self.0
    }

    /// Returns the beginning, which people see in lists.
    pub(super) fn hint(&self) -> String {
        self.0.reveal().chars().take(PREFIX.len() + SHOWN).collect()
    }
}

/// Returns the CRC-32 of a text in base 62.
fn checksum(text: &str) -> String {
    let mut left = u64::from(crc32fast::hash(text.as_bytes()));
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        if let Some(value) = usize::try_from(left % 62).ok().and_then(|value| DIGITS.get(value)) {
            *digit = *value;
        }
        left /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_and_no_two_are_alike() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000 {
            let key = PresentedKey::random().unwrap();
            let text = key.0.reveal().to_owned();
            assert_eq!(text.len(), 53);
            assert_eq!(PresentedKey::parse(&text).unwrap().digest(), key.digest());
            assert!(text.starts_with(&key.hint()) && key.hint().len() == 8);
            assert!(seen.insert(text));
        }
    }

    #[test]
    fn one_wrong_character_is_noticed_at_every_place() {
        let text = PresentedKey::random().unwrap().into_secret().reveal().to_owned();
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'a' { b'b' } else { b'a' };
            assert!(PresentedKey::parse(std::str::from_utf8(&wrong).unwrap()).is_none(), "at {at}");
        }
    }

    #[test]
    fn other_texts_are_no_keys() {
        let text = PresentedKey::random().unwrap().into_secret().reveal().to_owned();
        let long = format!("{text}0");
        let spaced = format!(" {text}");
        let others = ["", "olk_", "olk", &text[..52], &long, &spaced, &text.to_uppercase(), "olk_é"];
        for other in others {
            assert!(PresentedKey::parse(other).is_none(), "{other}");
        }
        assert!(PresentedKey::parse(&"x".repeat(1 << 20)).is_none());
    }

    #[test]
    fn all_digits_occur() {
        let mut seen = [0_u32; 128];
        for _ in 0..2_000 {
            for byte in PresentedKey::random().unwrap().into_secret().reveal().bytes().skip(4).take(RANDOM) {
                seen[usize::from(byte)] += 1;
            }
        }
        // 86,000 characters: about 1,387 of each.
        assert!(DIGITS.iter().all(|digit| (1_100..1_700).contains(&seen[usize::from(*digit)])), "{seen:?}");
    }
}
