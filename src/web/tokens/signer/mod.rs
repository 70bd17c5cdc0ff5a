//! The signer: holder of the private keys. One key is active; older ones stay in the JWKS until
//! nothing that they signed can be valid.
//!
//! The keys folder holds one PKCS#8 PEM file for each key, mode 0600, and `keys.json`, which says
//! which is active. `keys.json` is replaced atomically and last, so whoever reads the folder sees
//! the state before a rotation or after it. Private keys never leave this module.

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

/// How long a retired key stays in the JWKS beyond the longest lifetime: more than any leeway
/// twice over, and more than a running process takes to notice a rotation.
const RETIRED_MARGIN: Duration = Duration::from_secs(3600);

/// Signs tokens. Shared by all workers; notices within two seconds when the command line rotated
/// the keys.
pub struct Signer {
    folder: KeyFolder,
    made_now: bool,
    current: RwLock<Arc<Keys>>,
    /// When the folder was last looked at, in seconds, so that it is looked at once a second.
    looked_at: AtomicU64,
}

/// One reading of the folder.
struct Keys {
    stamp: IndexStamp,
    active: PrivateKey,
    retired: Vec<(PrivateKey, Timestamp)>,
}

/// A key as `keys list` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedKey {
    /// Its id: the RFC 7638 thumbprint.
    pub kid: String,
    /// `EdDSA` or `ES256`.
    pub algorithm: &'static str,
    /// When it was made.
    pub made_at: Timestamp,
    /// Until when a retired key stays in the JWKS; nothing for the active key.
    pub retired_until: Option<Timestamp>,
}

impl Signer {
    /// Opens the keys folder; makes it, with an Ed25519 key, when there is none yet.
    ///
    /// # Errors
    /// When the folder can't be read or made, or others can read what is in it.
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
                // A first start that broke off before it wrote `keys.json`: one key, surely active. Or
                // else the file was lost, so nobody may rely on this being the first start.
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

    /// The keys folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether opening made the very first key, so that no token can have been signed before.
    pub const fn made_now(&self) -> bool {
        self.made_now
    }

    /// Signs a token with the active key.
    ///
    /// # Errors
    /// When the claims can't be written or the token gets too long.
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

    /// The id of the key that signs now.
    pub fn active_kid(&self, now: Timestamp) -> String {
        self.keys(now).active.kid().to_owned()
    }

    /// Whether a key is one of these, be it retired.
    pub fn holds(&self, kid: &str, now: Timestamp) -> bool {
        let keys = self.keys(now);
        keys.active.kid() == kid || keys.retired.iter().any(|(key, _)| key.kid() == kid)
    }

    /// The public keys whose tokens may still be good, as a JWKS.
    pub fn jwks(&self, now: Timestamp) -> String {
        self.ring(now).map(|ring| ring.to_jwks()).unwrap_or_default()
    }

    /// The same as a ring, for verifying this app's own tokens.
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

    /// The keys as they are on disk, looked at again when a second has passed.
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
            // The keys in memory are good; signing goes on with them.
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the keys folder changed but cannot be read; signing goes on with the key before"
            ),
        }
    }
}

impl Keys {
    fn read(folder: &KeyFolder) -> Result<Keys, SignerError> {
        // Taken first: a change in between is then noticed the next time.
        let stamp = folder.stamp()?;
        let index = folder.index()?.ok_or(SignerError::NoIndex { path: folder.path().to_owned() })?;
        let mut active = None;
        let mut retired = Vec::new();
        for listed in &index.keys {
            match listed.retired_until {
                None => active = Some(folder.read_key(&listed.kid)?),
                Some(until) => retired.push((folder.read_key(&listed.kid)?, until)),
            }
        }
        let active = active.ok_or_else(|| folder.damaged_index("names no active key"))?;
        Ok(Keys { stamp, active, retired })
    }
}

/// Makes a new active key; answers its id. The key before stays in the JWKS for `max_lifetime` and
/// an hour more. Keys whose time is over are deleted.
///
/// # Errors
/// When the folder can't be read or written, or the JWKS is full.
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

/// Takes a key out at once, so that nothing that it signed is good any more: it may be in other hands.
/// Returns the id of the key that signs from now on. Where the active key is taken out, that is a new
/// one. The key's own file need not be there.
///
/// # Errors
/// When there is no such key, or the folder can't be read or written.
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

/// All keys, the active one first.
///
/// # Errors
/// When the folder can't be read.
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

/// Signs a token with a shared secret, as a node does that the operator trusts.
///
/// # Errors
/// When the claims can't be written or the token gets too long.
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
