//! The key from which the addresses of links and the codes in mails are derived. It is in the keys folder, so
//! that all processes of the web app share it. The database contains neither the key nor anything derived
//! from it, except digests.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::id::{Jti, RecipientId, RequestId};
use crate::secret::Secret;
use crate::web::tokens::private_file::{self, PrivateFileError};

/// The file's name in the keys folder.
const NAME: &str = "link-key";

/// Number of characters of a code. Each has 6 bits, 132 bits in total, which can't be guessed.
const CODE_LENGTH: usize = 22;

/// Number of characters of an action link's code. Each has 5 bits, 130 bits in total, which can't be guessed.
pub const ACTION_CODE_LENGTH: usize = 26;

/// Lower-case letters and digits that can't be confused with one another, and at which no program breaks a
/// link.
pub const ACTION_CODE_ALPHABET: &str = "abcdefghijkmnpqrstuvwxyz23456789";

/// The link key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LinkKeyError {
    /// Its file can't be read or created, or others than the owner may read it.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file doesn't contain a valid key.
    #[error(
        "{} is not a valid link key; restore it from a backup, or move it away, which gives all links new \
         addresses",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// The link key. Cheap to clone; `Debug` doesn't show it.
#[derive(Clone)]
pub struct LinkKey(hmac::Key);

impl std::fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkKey(..)")
    }
}

impl LinkKey {
    /// Reads the key in `folder`; creates it if it doesn't exist.
    ///
    /// # Errors
    /// See [`LinkKeyError`].
    pub fn open(folder: &Path) -> Result<LinkKey, LinkKeyError> {
        let path = LinkKey::file(folder);
        match read(&path) {
            Err(LinkKeyError::File(error)) if error.is_missing() => {
                let key = Secret::random::<32>().map_err(PrivateFileError::from)?;
                private_file::make(&path, key.reveal().as_bytes())?;
                read(&path)
            }
            answer => answer,
        }
    }

    /// Returns the path of the key in `folder`.
    pub fn file(folder: &Path) -> PathBuf {
        folder.join(NAME)
    }

    /// Returns a fingerprint that identifies the key without revealing it.
    pub fn fingerprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, b"fingerprint").as_ref())
    }

    /// Returns the code in the address of a recipient's link.
    pub fn code(&self, recipient: &RecipientId) -> Secret {
        let tag = hmac::sign(&self.0, format!("code\n{recipient}").as_bytes());
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(tag.as_ref()));
        Secret::presented(text.get(..CODE_LENGTH).unwrap_or_default())
    }

    /// Returns the code in the address of a file request.
    pub fn request_code(&self, request: &RequestId) -> Secret {
        let tag = hmac::sign(&self.0, format!("request\n{request}").as_bytes());
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(tag.as_ref()));
        Secret::presented(text.get(..CODE_LENGTH).unwrap_or_default())
    }

    /// Returns the code in the address of the action link with this jti.
    pub fn action_code(&self, jti: Jti) -> Secret {
        let tag = hmac::sign(&self.0, format!("action\n{jti}").as_bytes());
        let bits =
            tag.as_ref().iter().flat_map(|byte| (0..8).rev().map(move |bit| usize::from(byte >> bit & 1)));
        let bits: Vec<usize> = bits.take(ACTION_CODE_LENGTH * 5).collect();
        let places = bits.chunks(5).map(|five| five.iter().fold(0, |place, bit| place << 1 | bit));
        let code: Zeroizing<String> =
            Zeroizing::new(places.filter_map(|place| ACTION_CODE_ALPHABET.chars().nth(place)).collect());
        Secret::presented(&code)
    }

    /// Returns the last part of the address at which the owner of an account turns off notices of a kind.
    pub fn unsubscribe(&self, account: &str, kind: &str) -> Secret {
        let tag = hmac::sign(&self.0, format!("unsubscribe\n{account}\n{kind}").as_bytes());
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(tag.as_ref()));
        Secret::presented(text.get(..CODE_LENGTH).unwrap_or_default())
    }

    /// Returns the secret of an account's second factor: 160 bits, as RFC 4226 section 4 recommends.
    pub fn factor_secret(&self, account: &str, salt: &str) -> Zeroizing<[u8; 20]> {
        let tag = hmac::sign(&self.0, format!("second factor\n{account}\n{salt}").as_bytes());
        let mut secret = Zeroizing::new([0; 20]);
        secret.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        secret
    }

    /// Returns a secret of a webhook: 256 bits.
    pub fn webhook_secret(&self, webhook: &str, salt: &str) -> Zeroizing<[u8; 32]> {
        let tag = hmac::sign(&self.0, format!("webhook\n{webhook}\n{salt}").as_bytes());
        let mut secret = Zeroizing::new([0; 32]);
        secret.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        secret
    }

    /// Returns a pseudonym for the address of a client of a recipient's link: enough to recognize the client
    /// on that link, but useless with another link or without the key.
    pub fn client(&self, recipient: &RecipientId, address: IpAddr) -> String {
        let tag = hmac::sign(&self.0, format!("client\n{recipient}\n{}", address.to_canonical()).as_bytes());
        let mut text = URL_SAFE_NO_PAD.encode(tag.as_ref());
        text.truncate(CODE_LENGTH);
        text
    }

    /// Returns a message authentication code for a text. It is a [`Secret`] so that it's compared in constant
    /// time.
    pub fn mark(&self, text: &str) -> Secret {
        let tag = hmac::sign(&self.0, format!("mark\n{text}").as_bytes());
        Secret::presented(&URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }

    /// Returns the eight-digit code that the mail with this jti contains for a recipient.
    pub fn digits(&self, recipient: &RecipientId, mail: Jti) -> Secret {
        let tag = hmac::sign(&self.0, format!("digits\n{recipient}\n{mail}").as_bytes());
        let number = tag.as_ref().iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        Secret::presented(&format!("{:08}", number % 100_000_000))
    }
}

fn read(path: &Path) -> Result<LinkKey, LinkKeyError> {
    let text = private_file::read(path, 1024)?;
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end()).map(Zeroizing::new);
    match bytes {
        Ok(bytes) if bytes.len() == 32 => Ok(LinkKey(hmac::Key::new(hmac::HMAC_SHA256, &bytes))),
        _ => Err(LinkKeyError::Damaged { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn everyone_who_opens_the_folder_gets_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let keys: Vec<LinkKey> = std::thread::scope(|scope| {
            let open = || LinkKey::open(folder.path()).unwrap();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let [somebody, else_] = ["somebody", "somebody else"].map(RecipientId::from_store);
        let code = keys[0].code(&somebody);
        assert!(keys.iter().all(|key| key.code(&somebody).reveal() == code.reveal()));
        assert_eq!(code.reveal().len(), CODE_LENGTH);
        assert_ne!(code.reveal(), keys[0].code(&else_).reveal());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        let (one, other) = (Jti::from_bytes([1; 16]), Jti::from_bytes([2; 16]));
        assert_eq!(keys[0].digits(&somebody, one).reveal().len(), 8);
        assert_ne!(keys[0].digits(&somebody, one).reveal(), keys[0].digits(&somebody, other).reveal());
    }

    #[test]
    fn a_key_that_is_invalid_or_readable_by_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        LinkKey::open(folder.path()).unwrap();
        let path = folder.path().join(NAME);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            LinkKey::open(folder.path()),
            Err(LinkKeyError::File(PrivateFileError::Exposed { .. }))
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "short").unwrap();
        assert!(matches!(LinkKey::open(folder.path()), Err(LinkKeyError::Damaged { .. })));
    }
}
