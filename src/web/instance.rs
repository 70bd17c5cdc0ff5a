//! What all web apps on one database must have in common, recorded in the database: the link key, a signing
//! key, and who may read which share. A web app with a different keys folder would sign tokens that the
//! others reject as forged and would show link addresses that don't work, so it fails to start.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::config::ShareSettings;
use crate::secret::Digest;
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::{Database, QueryError};
use crate::web::revocations::issued::IssuedTokens;
use crate::web::tokens::link_key::{LinkKey, LinkKeyError};
use crate::web::tokens::signer::{Signer, SignerError};

const LINK_KEY: &str = "link-key";
const SIGNING_KEY: &str = "signing-key";
const READERS: &str = "readers";

/// This machine's keys can't be used with the database.
#[derive(Debug, thiserror::Error)]
pub enum InstanceKeysError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The signing keys can't be used.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The link key can't be used.
    #[error(transparent)]
    LinkKey(#[from] LinkKeyError),
    /// The link key is missing.
    #[error(
        "the link key {} is lost: existing links still work, but their pages and new mails can't \
         show their addresses; restore the file from a backup, or run `oncelink keys adopt` to continue with \
         a new one; only links created after that show correct addresses",
        .0.display()
    )]
    LinkKeyLost(PathBuf),
    /// The link key is a different one.
    #[error(
        "the link key {} is not the one that the links in this database were created with: existing links \
         still work, but their pages and new mails would show wrong addresses; all web apps on one \
         database need the same keys folder: copy it here, or, if the other one is lost, run `oncelink keys adopt`",
        .0.display()
    )]
    OtherLinkKey(PathBuf),
    /// The signing keys are different ones.
    #[error(
        "the keys folder {} does not contain the key {kid}, which signs for this database: tokens signed here \
         would be refused elsewhere; all web apps on one database need the same keys folder: copy it here, or, \
         if the other one is lost, run `oncelink keys adopt`",
        folder.display()
    )]
    OtherSigningKeys {
        /// The keys folder.
        folder: PathBuf,
        /// The id of the key that it should contain.
        kid: String,
    },
}

impl From<sqlx::Error> for InstanceKeysError {
    fn from(error: sqlx::Error) -> InstanceKeysError {
        QueryError::from(error).into()
    }
}

/// Opens the keys in `folder`, which must be those of the database. Creates them if neither has any yet.
///
/// # Errors
/// See [`InstanceKeysError`].
pub async fn open_keys(
    db: &Database,
    folder: &Path,
    now: Timestamp,
) -> Result<(Signer, LinkKey), InstanceKeysError> {
    check_there(db, folder).await?;
    let (signer, link_key) = (Signer::open(folder, now)?, LinkKey::open(folder)?);
    remember(db, LINK_KEY, &link_key.fingerprint()).await?;
    if known(db, LINK_KEY).await?.is_some_and(|known| known != link_key.fingerprint()) {
        return Err(InstanceKeysError::OtherLinkKey(LinkKey::file(folder)));
    }
    remember(db, SIGNING_KEY, &signer.active_kid(now)).await?;
    check_signer(db, &signer, now).await?;
    Ok((signer, link_key))
}

/// Checks that the keys that the database has recorded exist, so that no new ones are created in their place.
/// Creates nothing.
///
/// # Errors
/// See [`InstanceKeysError`].
pub async fn check_there(db: &Database, folder: &Path) -> Result<(), InstanceKeysError> {
    // Checked first: if all keys are missing, this is the keys folder of another web app.
    if let Some(kid) = known(db, SIGNING_KEY).await?
        && !folder.join("keys.json").exists()
    {
        return Err(InstanceKeysError::OtherSigningKeys { folder: folder.to_owned(), kid });
    }
    let link_key = LinkKey::file(folder);
    if known(db, LINK_KEY).await?.is_some() && !link_key.exists() {
        return Err(InstanceKeysError::LinkKeyLost(link_key));
    }
    Ok(())
}

/// Checks that we have the key that signs for the database, and records the key that signs now.
///
/// # Errors
/// See [`InstanceKeysError`].
pub async fn check_signer(db: &Database, signer: &Signer, now: Timestamp) -> Result<(), InstanceKeysError> {
    let (Some(known), active) = (known(db, SIGNING_KEY).await?, signer.active_kid(now)) else {
        return Ok(());
    };
    if known == active {
        return Ok(());
    }
    if !signer.holds(&known, now) {
        return Err(InstanceKeysError::OtherSigningKeys { folder: signer.folder().to_owned(), kid: known });
    }
    replace(db, SIGNING_KEY, &active).await?;
    Ok(())
}

/// Makes the keys in `folder` those of the database, and records that in the audit log.
///
/// # Errors
/// See [`InstanceKeysError`].
pub async fn adopt(db: &Database, folder: &Path, now: Timestamp) -> Result<(), InstanceKeysError> {
    let (signer, link_key) = (Signer::open(folder, now)?, LinkKey::open(folder)?);
    let kid = signer.active_kid(now);
    replace(db, LINK_KEY, &link_key.fingerprint()).await?;
    replace(db, SIGNING_KEY, &kid).await?;
    let mut transaction = db.begin().await?;
    audit::append(&mut transaction, &Actor::operator(), AuditEvent::KeysAdopted, &kid, now).await?;
    Ok(db.commit(transaction).await?)
}

/// Records which key signs from now on.
///
/// # Errors
/// When the database fails.
pub async fn signs_now(db: &Database, kid: &str) -> Result<(), QueryError> {
    replace(db, SIGNING_KEY, kid).await
}

/// Records that a new key signs from now on, and who made it.
///
/// # Errors
/// When the database fails.
pub async fn key_rotated(db: &Database, kid: &str, actor: &Actor, now: Timestamp) -> Result<(), QueryError> {
    signs_now(db, kid).await?;
    let mut transaction = db.begin().await?;
    audit::append(&mut transaction, actor, AuditEvent::KeyRotated, kid, now).await?;
    db.commit(transaction).await
}

/// Reviews all tokens if the settings' lists of who may read which share have changed since they were
/// recorded, so that rights that were removed from the settings end at the restart.
///
/// # Errors
/// When the database fails; the next start tries again.
pub async fn review_readers(
    db: &Database,
    shares: &[ShareSettings],
    issued: &IssuedTokens,
    now: Timestamp,
) -> Result<(), QueryError> {
    let readers = readers(shares);
    match known(db, READERS).await? {
        Some(known) if known == readers => return Ok(()),
        Some(_) => issued.review_all(now).await?,
        None => {}
    }
    // Done last, so that a review that is interrupted starts again.
    replace(db, READERS, &readers).await
}

fn readers(shares: &[ShareSettings]) -> String {
    let mut text = String::new();
    for share in shares {
        text += &format!("{:?} {:?} {:?} {:?}\n", share.name, share.read, share.write, share.manage);
        if share.personal {
            text += "personal\n";
        }
    }
    URL_SAFE_NO_PAD.encode(Digest::of(text.as_bytes()).as_bytes())
}

async fn known(db: &Database, name: &str) -> Result<Option<String>, QueryError> {
    Ok(sqlx::query_scalar("SELECT value FROM instance WHERE name = $1")
        .bind(name)
        .fetch_optional(db.reader())
        .await?)
}

/// Records `value` unless there already is one: if two processes start at the same time, the first one wins.
async fn remember(db: &Database, name: &str, value: &str) -> Result<(), QueryError> {
    sqlx::query("INSERT INTO instance (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(value)
        .execute(db.writer())
        .await?;
    Ok(())
}

async fn replace(db: &Database, name: &str, value: &str) -> Result<(), QueryError> {
    sqlx::query(
        "INSERT INTO instance (name, value) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(db.writer())
    .await?;
    Ok(())
}
