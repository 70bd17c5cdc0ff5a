//! The signer, which has the private keys. One key is active; older ones stay in the JWKS until no token that
//! they signed can be valid.
//!
//! The keys folder contains a PKCS#8 PEM file with mode 0600 for each key, and `keys.json`, which says which
//! one is active. `keys.json` is replaced atomically and last, so a process that reads the folder sees the
//! state before or after a rotation, never in between. Private keys never leave this module.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::token::{Algorithm, HmacSecret, KeyRing, KeyRingError, MAX_KEYS, TokenKind, header_part};
use crate::web::tokens::signer::folder::{IndexKey, IndexStamp, KeyFolder, KeyIndex};
use crate::web::tokens::signer::private_key::PrivateKey;

pub use error::SignerError;
pub use private_key::KeyType;

mod error;
pub(crate) mod folder;
pub(crate) mod private_key;

/// How long a retired key stays in the JWKS beyond the longest lifetime: more than twice the leeway, and
/// longer than a running process needs to notice a rotation.
const RETIRED_MARGIN: Duration = Duration::from_secs(3600);

/// Signs tokens. Shared by all workers; notices within two seconds that the command line rotated the keys.
pub struct Signer {
    folder: KeyFolder,
    made_now: bool,
    current: RwLock<Arc<Keys>>,
    /// When the folder was last checked, in seconds; it is checked once a second.
    looked_at: AtomicU64,
}

/// The keys as read from the folder.
struct Keys {
    stamp: IndexStamp,
    active: PrivateKey,
    active_made_at: Timestamp,
    retired: Vec<(PrivateKey, Timestamp)>,
}

/// A key as `keys list` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedKey {
    /// Its id: the RFC 7638 thumbprint.
    pub kid: String,
    /// `EdDSA` or `ES256`.
    pub algorithm: &'static str,
    /// When it was created.
    pub made_at: Timestamp,
    /// Until when a retired key stays in the JWKS; `None` for the active key.
    pub retired_until: Option<Timestamp>,
}

impl Signer {
    /// Opens the keys folder; creates it with an Ed25519 key if it doesn't exist.
    ///
    /// # Errors
    /// If the folder can't be read or created, or others may read what is in it.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Signer, SignerError> {
        let folder = KeyFolder::open(dir)?;
        let made_now = {
            let lock = folder.lock()?;
            match (folder.index()?, folder.kids()?.as_slice()) {
                (Some(_), _) => false,
                (None, []) => {
                    let key = PrivateKey::make(KeyType::Ed25519)?;
                    folder.write_key(&lock, &key)?;
                    folder.write_index(&lock, &KeyIndex { keys: vec![IndexKey::active(&key, now)] })?;
                    true
                }
                // Either the first start was interrupted before it wrote `keys.json`, or that file was lost.
                // The only key must be active, but this may not count as the first start.
                (None, [kid]) => {
                    let key = folder.read_key(kid)?;
                    folder.write_index(&lock, &KeyIndex { keys: vec![IndexKey::active(&key, now)] })?;
                    false
                }
                (None, _) => return Err(SignerError::NoIndex { path: dir.to_owned() }),
            }
        };
        let current = RwLock::new(Arc::new(Keys::read(&folder)?));
        Ok(Signer { folder, made_now, current, looked_at: AtomicU64::new(now.secs()) })
    }

    /// Returns the path of the keys folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns whether opening the folder created the very first key, so that no token can have been signed
    /// before.
    pub const fn made_now(&self) -> bool {
        self.made_now
    }

    /// Signs a token with the active key.
    ///
    /// # Errors
    /// If the claims can't be serialized, or the token would be too long.
    pub fn sign<C: Serialize>(
        &self,
        kind: TokenKind,
        claims: &C,
        now: Timestamp,
    ) -> Result<String, SignerError> {
        let keys = self.keys(now);
        let head = header_part(keys.active.algorithm(), keys.active.kid(), kind);
        assemble(head, claims, |message| keys.active.sign(message))
    }

    /// Returns the id of the active key.
    pub fn active_kid(&self, now: Timestamp) -> String {
        self.keys(now).active.kid().to_owned()
    }

    /// Returns when the active key was made.
    pub fn active_made_at(&self, now: Timestamp) -> Timestamp {
        self.keys(now).active_made_at
    }

    /// Returns whether a key is one of these, active or retired.
    pub fn holds(&self, kid: &str, now: Timestamp) -> bool {
        let keys = self.keys(now);
        keys.active.kid() == kid || keys.retired.iter().any(|(key, _)| key.kid() == kid)
    }

    /// Returns the public keys whose tokens may still be valid, as a JWKS.
    pub fn jwks(&self, now: Timestamp) -> String {
        self.ring(now).map(|ring| ring.to_jwks()).unwrap_or_default()
    }

    /// Returns the same keys as a key ring, for verifying this app's own tokens.
    ///
    /// # Errors
    /// Never in practice: the folder's keys were checked when they were read.
    pub fn ring(&self, now: Timestamp) -> Result<KeyRing, KeyRingError> {
        let keys = self.keys(now);
        let retired = keys.retired.iter().filter(|(_, until)| now < *until).map(|(key, _)| key);
        std::iter::once(&keys.active)
            .chain(retired)
            .try_fold(KeyRing::default(), |ring, key| ring.with_key(key.kid(), key.public()))
    }

    /// Returns the keys, checking the folder again if a second has passed.
    fn keys(&self, now: Timestamp) -> Arc<Keys> {
        if self.looked_at.swap(now.secs(), Ordering::Relaxed) != now.secs() {
            self.look_again();
        }
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn look_again(&self) {
        let seen = self.current.read().unwrap_or_else(PoisonError::into_inner).stamp;
        if self.folder.stamp().is_ok_and(|stamp| stamp == seen) {
            return;
        }
        match Keys::read(&self.folder) {
            Ok(keys) => *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys),
            // The keys in memory are valid; signing continues with them.
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the keys folder changed but cannot be read; signing continues with the previous key"
            ),
        }
    }
}

impl Keys {
    fn read(folder: &KeyFolder) -> Result<Keys, SignerError> {
        // Read first, so that a change in between is noticed the next time.
        let stamp = folder.stamp()?;
        let index = folder.index()?.ok_or(SignerError::NoIndex { path: folder.path().to_owned() })?;
        let mut active = None;
        let mut retired = Vec::new();
        for listed in &index.keys {
            match listed.retired_until {
                None => active = Some((folder.read_key(&listed.kid)?, listed.made_at)),
                Some(until) => retired.push((folder.read_key(&listed.kid)?, until)),
            }
        }
        let (active, active_made_at) = active.ok_or_else(|| folder.damaged_index("names no active key"))?;
        Ok(Keys { stamp, active, active_made_at, retired })
    }
}

/// Creates a new active key, and returns its id. The previous key stays in the JWKS for `max_lifetime` plus
/// an hour. Keys whose time has passed are deleted.
///
/// # Errors
/// If the folder can't be read or written, or the JWKS is full.
pub fn rotate(
    dir: &Path,
    key_type: KeyType,
    now: Timestamp,
    max_lifetime: Duration,
) -> Result<String, SignerError> {
    let folder = KeyFolder::open(dir)?;
    let lock = folder.lock()?;
    let index = folder.index()?.unwrap_or_default();
    let (mut keys, over): (Vec<_>, Vec<_>) =
        index.keys.into_iter().partition(|key| key.retired_until.is_none_or(|until| now < until));
    if keys.len() >= MAX_KEYS {
        let free_at = keys.iter().filter_map(|key| key.retired_until).min().unwrap_or(now);
        return Err(SignerError::Full { free_at });
    }
    for key in keys.iter_mut().filter(|key| key.retired_until.is_none()) {
        key.retired_until = Some(now.plus(max_lifetime).plus(RETIRED_MARGIN));
    }
    let made = PrivateKey::make(key_type)?;
    folder.write_key(&lock, &made)?;
    keys.insert(0, IndexKey::active(&made, now));
    folder.write_index(&lock, &KeyIndex { keys })?;
    for key in over {
        folder.delete_key(&lock, &key.kid)?;
    }
    Ok(made.kid().to_owned())
}

/// Removes a key immediately, so that everything it signed becomes invalid; for a key that may have been
/// stolen. Returns the id of the key that signs from now on, which is a new one if the active key was
/// removed. The file of the removed key may be missing.
///
/// # Errors
/// If there is no such key, or the folder can't be read or written.
pub fn remove(dir: &Path, kid: &str, now: Timestamp) -> Result<String, SignerError> {
    let folder = KeyFolder::open(dir)?;
    let lock = folder.lock()?;
    let mut keys = folder.index()?.unwrap_or_default().keys;
    let at = keys.iter().position(|key| key.kid == kid);
    let at = at.ok_or_else(|| SignerError::NoSuchKey(kid.to_owned()))?;
    let removed = keys.remove(at);
    if removed.retired_until.is_none() {
        let key_type = folder.read_key(kid).map_or(KeyType::Ed25519, |key| key.key_type());
        let made = PrivateKey::make(key_type)?;
        folder.write_key(&lock, &made)?;
        keys.insert(0, IndexKey::active(&made, now));
    }
    let active = keys.iter().find(|key| key.retired_until.is_none()).map(|key| key.kid.clone());
    let active = active.ok_or_else(|| folder.damaged_index("names no active key"))?;
    folder.write_index(&lock, &KeyIndex { keys })?;
    folder.delete_key(&lock, kid)?;
    Ok(active)
}

/// Returns all keys, the active one first.
///
/// # Errors
/// If the folder can't be read.
pub fn list(dir: &Path) -> Result<Vec<ListedKey>, SignerError> {
    let folder = KeyFolder::open(dir)?;
    let index = folder.index()?.unwrap_or_default();
    index
        .keys
        .into_iter()
        .map(|key| {
            Ok(ListedKey {
                algorithm: folder.read_key(&key.kid)?.algorithm().name(),
                kid: key.kid,
                made_at: key.made_at,
                retired_until: key.retired_until,
            })
        })
        .collect()
}

/// Signs a token with a secret that is shared with a node.
///
/// # Errors
/// If the claims can't be serialized, or the token would be too long.
pub fn sign_shared<C: Serialize>(
    secret: &HmacSecret,
    kind: TokenKind,
    claims: &C,
) -> Result<String, SignerError> {
    let key = EncodingKey::from_secret(secret.reveal());
    assemble(header_part(Algorithm::Hs256, secret.kid(), kind), claims, |message| {
        jsonwebtoken::crypto::sign(message, &key, jsonwebtoken::Algorithm::HS256).ok()
    })
}

fn assemble<C: Serialize>(
    header: String,
    claims: &C,
    sign: impl FnOnce(&[u8]) -> Option<String>,
) -> Result<String, SignerError> {
    let claims = serde_json::to_vec(claims).map_err(SignerError::Claims)?;
    let mut token = header;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = sign(token.as_bytes()).ok_or(SignerError::Library("sign a token"))?;
    token.push('.');
    token.push_str(&signature);
    if token.len() > crate::token::MAX_TOKEN {
        return Err(SignerError::TooLong);
    }
    Ok(token)
}
