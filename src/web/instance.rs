//! What all web apps on one database must have in common, remembered in it: the key of links, a signing
//! key, and who may read what. A web app whose keys folder is another one would sign tokens that the
//! others call forged and show addresses of links that lead nowhere, so it is refused at its start.

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

/// The keys of this machine are not those of the database.
#[derive(Debug, thiserror::Error)]
pub enum InstanceKeysError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The signing keys can't be used.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The key of links can't be used.
    #[error(transparent)]
    LinkKey(#[from] LinkKeyError),
    /// The key of links is not there any more.
    #[error(
        "the key of links {} is lost: links that were given out still work, but their pages and new mails \
         can't show their addresses; put the file back from a backup, or run `oncelink keys adopt` to go on \
         with a new one, whereby only links made from then on are shown right",
        .0.display()
    )]
    LinkKeyLost(PathBuf),
    /// The key of links is another one.
    #[error(
        "the key of links {} is not the one that the links in this database were made with: links that were \
         given out still work, but their pages and new mails would show wrong addresses; all web apps on one \
         database need the same keys folder: copy it here, or, if the other one is lost, run `oncelink keys adopt`",
        .0.display()
    )]
    OtherLinkKey(PathBuf),
    /// The signing keys are others.
    #[error(
        "the keys folder {} does not hold the key {kid}, which signs for this database: tokens signed here \
         would be refused elsewhere; all web apps on one database need the same keys folder: copy it here, or, \
         if the other one is lost, run `oncelink keys adopt`",
        folder.display()
    )]
    OtherSigningKeys {
        /// The folder.
        folder: PathBuf,
        /// The key that it should hold.
        kid: String,
    },
}

impl From<sqlx::Error> for InstanceKeysError {
    fn from(error: sqlx::Error) -> InstanceKeysError {
        QueryError::from(error).into()
    }
}

/// The keys in `folder`, which are those of the database; makes them where neither
/// has any yet.
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

/// Whether what the database remembers is there, so that nothing is made in its place. Makes nothing.
///
/// # Errors
/// See [`InstanceKeysError`].
pub async fn check_there(db: &Database, folder: &Path) -> Result<(), InstanceKeysError> {
    // First: where all keys are missing, they are those of another web app.
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

/// Whether the key that signs for the database is one of these, and remembers the one that does now.
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

/// Makes the keys in `folder` those of the database, with a line in the audit log.
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

/// Remembers which key signs from now on.
///
/// # Errors
/// When the database fails.
pub async fn signs_now(db: &Database, kid: &str) -> Result<(), QueryError> {
    replace(db, SIGNING_KEY, kid).await
}

/// Reviews all tokens where the settings' lists of who may read what are not the ones that were
/// remembered: a right that was taken away there is lost at the restart.
///
/// # Errors
/// When the database fails; it is done at the next start then.
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
    // Last: a review that breaks off is begun again.
    replace(db, READERS, &readers).await
}

fn readers(shares: &[ShareSettings]) -> String {
    let mut text = String::new();
    for share in shares {
        text += &format!("{:?} {:?} {:?} {:?}\n", share.name, share.read, share.write, share.manage);
    }
    URL_SAFE_NO_PAD.encode(Digest::of(text.as_bytes()).as_bytes())
}

async fn known(db: &Database, name: &str) -> Result<Option<String>, QueryError> {
    Ok(sqlx::query_scalar("SELECT value FROM instance WHERE name = $1")
        .bind(name)
        .fetch_optional(db.reader())
        .await?)
}

/// Remembers `value` unless there is one: of two that start at once, one is first.
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
