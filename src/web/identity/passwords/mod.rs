//! Passwords: which ones are valid, how they are hashed, and how hashing is kept from starving the server.
//!
//! Nothing here prints or stores a password; only its Argon2id hash leaves this module.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::secret::random_bytes;
use crate::web::identity::passwords::memory::HashMemory;
use crate::web::identity::passwords::scheduler::HashScheduler;

pub use scheduler::Asker;
pub use stored::{HashError, StoredPassword};

pub(crate) mod memory;
pub(crate) mod scheduler;
pub(super) mod stored;

/// Maximum length of a password in bytes; hashing a longer one would only cost time.
pub const MAX_BYTES: usize = 256;

/// Maximum number of hashes that run at once (19 MiB each), and how long one waits for its turn. Half of the
/// cores stay free for everyone who isn't logging in.
const AT_ONCE: usize = 4;
const PATIENCE: Duration = Duration::from_secs(30);

/// The most common passwords of six or more characters, one per line, in lower case: the list that Django
/// ships (BSD-3-Clause, from the leaks that R. Williams counted), that of zxcvbn (MIT), and longer ones of
/// the same kind. Shorter entries matter because repeating one doesn't make it better.
const COMMON: &str = include_str!("common_passwords.txt");

/// A password that obeys the rules, prepared as in RFC 8265 (`OpaqueString`): spaces of any kind become plain
/// ones, and letters are composed. So it is the same from every keyboard, however that encodes an umlaut.
/// Zeroized when dropped; `Debug` doesn't show it.
#[derive(Clone)]
pub struct Password {
    prepared: Zeroizing<String>,
    /// Other spellings from which an older hash may have been made, when passwords weren't prepared yet.
    others: Vec<Zeroizing<String>>,
}

/// The text is not allowed as a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// It has fewer characters than the setting requires.
    #[error("a password must have at least {0} characters")]
    Short(usize),
    /// It has more than [`MAX_BYTES`].
    #[error("a password can have at most 256 bytes")]
    Long,
    /// It consists of what others know about the person, or of the product's name.
    #[error("this password is too easy to guess from your name or address; choose another one")]
    Own,
    /// It is among the first that attackers try.
    #[error("this password is too common; choose another one")]
    Common,
}

impl Password {
    /// Checks a password for an account, which needs at least `least` characters.
    ///
    /// # Errors
    /// See [`WeakPassword`].
    pub fn new(text: &str, least: usize) -> Result<Password, WeakPassword> {
        if text.len() > MAX_BYTES {
            return Err(WeakPassword::Long);
        }
        let password = Password::prepare(text);
        if password.prepared.chars().count() < least {
            return Err(WeakPassword::Short(least));
        }
        if is_common(&password.prepared) {
            return Err(WeakPassword::Common);
        }
        Ok(password)
    }

    /// Checks a password for a person. `own` contains what others know about them, such as the address and
    /// the name.
    ///
    /// # Errors
    /// See [`WeakPassword`].
    pub fn for_person(text: &str, least: usize, own: &[&str]) -> Result<Password, WeakPassword> {
        let password = Password::new(text, least)?;
        let plain =
            |text: &str| -> String { text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect() };
        let typed = plain(text);
        let known = own.iter().flat_map(|own| [plain(own), plain(own.split('@').next().unwrap_or(own))]);
        for word in known.chain([plain("oncelink")]).filter(|word| word.chars().count() >= 3) {
            // Once or repeated, with up to four more characters.
            if typed.replace(&word, "").chars().count() <= 4 {
                return Err(WeakPassword::Own);
            }
        }
        Ok(password)
    }

    /// Accepts anything that someone typed to prove who they are. The rules don't apply, except for the
    /// maximum length.
    pub fn presented(text: &str) -> Password {
        Password::prepare(if text.len() > MAX_BYTES { "" } else { text })
    }

    fn prepare(text: &str) -> Password {
        let plain = |c: char| if is_space(c) { ' ' } else { c };
        let prepared: Zeroizing<String> = Zeroizing::new(text.chars().map(plain).nfc().collect());
        let mut others = Vec::new();
        if !text.is_ascii() {
            let typed = Zeroizing::new(text.to_owned());
            let decomposed: Zeroizing<String> = Zeroizing::new(text.nfd().collect());
            if typed != prepared {
                others.push(typed);
            }
            if decomposed != prepared && !others.contains(&decomposed) {
                others.push(decomposed);
            }
        }
        Password { prepared, others }
    }

    /// Returns all spellings to compare with a hash.
    fn spellings(&self) -> impl Iterator<Item = &[u8]> {
        [&self.prepared].into_iter().chain(&self.others).map(|text| text.as_bytes())
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Returns whether a character is a Unicode space other than the plain one (category Zs).
const fn is_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// Returns whether a password is common, or repeats one character or a few.
fn is_common(text: &str) -> bool {
    let folded = text.to_lowercase();
    let repeats = |length: usize| {
        folded.chars().zip(folded.chars().skip(length)).all(|(earlier, later)| earlier == later)
    };
    let length = folded.chars().count();
    let is_listed = |line: &str| {
        // An entry once, or the same entry repeated.
        folded == line || (length > line.len() && !line.is_empty() && folded.replace(line, "").is_empty())
    };
    (1..=3).any(repeats) || COMMON.lines().any(is_listed)
}

/// Hashes and verifies passwords, a few at a time. Clones share the limit.
#[derive(Clone)]
pub struct Passwords {
    turns: HashScheduler,
    /// Verified instead of the hash of an account that doesn't exist, so that both take equally long.
    nobody: Arc<OnceLock<StoredPassword>>,
}

impl Default for Passwords {
    fn default() -> Passwords {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let turns = HashScheduler::new((cores / 2).clamp(1, AT_ONCE));
        Passwords { turns, nobody: Arc::default() }
    }
}

impl Passwords {
    /// Creates the hash for accounts that don't exist, in the background. Otherwise the first attempt on one
    /// would take longer than any other.
    pub fn prepare(&self) {
        let (passwords, nobody) = (self.clone(), Arc::clone(&self.nobody));
        tokio::spawn(async move {
            let making =
                passwords.in_turn(Asker::Operator, move |memory| stored_nobody(&nobody, memory).map(|_| ()));
            if let Err(error) = making.await {
                tracing::warn!("cannot create the password hash for unknown accounts: {error}");
            }
        });
    }

    /// Returns the hash to store.
    ///
    /// # Errors
    /// See [`HashError`].
    pub async fn hash(&self, asker: Asker, password: Password) -> Result<StoredPassword, HashError> {
        self.in_turn(asker, move |memory| memory.hash(password.prepared.as_bytes())).await
    }

    /// Returns whether `presented` matches the hash `stored`. Without `stored` it returns `false` after the
    /// same time.
    ///
    /// # Errors
    /// See [`HashError`].
    pub async fn verify(
        &self,
        asker: Asker,
        presented: Password,
        stored: Option<&StoredPassword>,
    ) -> Result<bool, HashError> {
        let (stored, nobody) = (stored.cloned(), Arc::clone(&self.nobody));
        self.in_turn(asker, move |memory| {
            let hash = match &stored {
                Some(stored) => stored,
                None => stored_nobody(&nobody, memory)?,
            };
            for spelling in presented.spellings() {
                if memory.verify(spelling, hash)? {
                    return Ok(stored.is_some());
                }
            }
            Ok(false)
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        asker: Asker,
        work: impl FnOnce(&mut HashMemory) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let turn = self.turns.wait(asker).ok_or(HashError::Busy)?;
        let turn = tokio::time::timeout(PATIENCE, turn).await.map_err(|_| HashError::Busy)?;
        let mut turn = turn.map_err(|_| HashError::Interrupted)?;
        let work = move || work(turn.memory());
        tokio::task::spawn_blocking(work).await.map_err(|_| HashError::Interrupted)?
    }
}

/// Returns the hash of a random password that nobody knows.
fn stored_nobody<'a>(
    nobody: &'a OnceLock<StoredPassword>,
    memory: &mut HashMemory,
) -> Result<&'a StoredPassword, HashError> {
    if let Some(stored) = nobody.get() {
        return Ok(stored);
    }
    let unguessable: [u8; 32] = random_bytes()?;
    let stored = memory.hash(&unguessable)?;
    Ok(nobody.get_or_init(|| stored))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_length_and_not_being_common() {
        assert_eq!(Password::new("short", 15).unwrap_err(), WeakPassword::Short(15));
        assert!(Password::new("一二三四五六七八九十一二三四五", 15).is_ok());
        assert_eq!(Password::new(&"x y".repeat(90), 15).unwrap_err(), WeakPassword::Long);
        for common in ["passwordpassword", "PasswordPassword", "aaaaaaaaaaaaaaaaaa", "abcabcabcabcabcabc"] {
            assert_eq!(Password::new(common, 15).unwrap_err(), WeakPassword::Common, "{common}");
        }
        assert!(Password::new("correct horse battery", 15).is_ok());
        assert!(COMMON.lines().count() >= 10_000, "the list lost entries");
    }

    #[test]
    fn what_others_know_about_somebody_is_not_a_password() {
        let own = ["Ada.Lovelace@example.org", "Ada Lovelace"];
        for known in
            ["ada.lovelace@example.org", "Ada Lovelace 1815!", "oncelink oncelink", "AdaLovelaceAdaLovelace"]
        {
            assert_eq!(Password::for_person(known, 15, &own).unwrap_err(), WeakPassword::Own, "{known}");
        }
        assert!(Password::for_person("ada lovelace wrote programs", 15, &own).is_ok());
    }

    #[actix_web::test]
    async fn a_password_is_the_same_from_every_keyboard_and_older_hashes_still_match() {
        let passwords = Passwords::default();
        let (composed, decomposed) =
            ("K\u{e4}sesp\u{e4}tzle f\u{fc}r alle", "Ka\u{308}sespa\u{308}tzle fu\u{308}r alle");
        let wide = composed.replace(' ', "\u{3000}");
        let new = passwords.hash(Asker::Operator, Password::new(decomposed, 15).unwrap()).await.unwrap();
        let old =
            passwords.in_turn(Asker::Operator, |memory| memory.hash(decomposed.as_bytes())).await.unwrap();
        for stored in [&new, &old] {
            for typed in [composed, decomposed] {
                let right = passwords
                    .verify(Asker::Operator, Password::presented(typed), Some(stored))
                    .await
                    .unwrap();
                assert!(right, "{typed:?}");
            }
        }
        assert!(passwords.verify(Asker::Operator, Password::presented(&wide), Some(&new)).await.unwrap());
        let other = composed.replace('\u{e4}', "a");
        assert!(!passwords.verify(Asker::Operator, Password::presented(&other), Some(&new)).await.unwrap());
        assert_eq!(
            Password::new("u\u{308}u\u{308}u\u{308}x", 5).unwrap_err(),
            WeakPassword::Short(5),
            "letters count"
        );
    }

    #[actix_web::test]
    async fn only_the_right_password_of_an_account_verifies() {
        let passwords = Passwords::default();
        let stored = passwords
            .hash(Asker::Operator, Password::new("a good long password", 15).unwrap())
            .await
            .unwrap();
        assert!(stored.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let verify =
            |text: &str, stored| passwords.verify(Asker::Operator, Password::presented(text), stored);
        assert!(verify("a good long password", Some(&stored)).await.unwrap());
        assert!(!verify("a good long passwore", Some(&stored)).await.unwrap());
        assert!(!verify("a good long password", None).await.unwrap());
        let broken = StoredPassword::from_store("plain".into());
        assert!(verify("plain", Some(&broken)).await.is_err());
    }
}
