//! The audit log: who did what, when, and from where. It is append-only and chained, so an altered or missing
//! line is found.

use std::net::IpAddr;

use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::web::audit::chain::ChainedLine as _;
use crate::web::db::columns::{from_column, pattern, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::identity::Account;
use crate::words::words;

pub mod chain;
mod checkpoint;
pub mod cut;

words! {
    /// What was done. The words are stored permanently; a released one never changes its meaning.
    pub enum AuditEvent {
        /// Someone requested an account.
        SignedUp = "signed-up",
        /// The owner of an address showed that they receive mail there.
        Activated = "activated",
        /// Someone logged in.
        LoggedIn = "logged-in",
        /// Someone logged out.
        LoggedOut = "logged-out",
        /// A password was changed by someone who knew the old one.
        PasswordChanged = "password-changed",
        /// A password was changed using a mailed link.
        PasswordReset = "password-reset",
        /// Another address was requested.
        AddressChangeRequested = "address-change-requested",
        /// The address of an account was changed.
        AddressChanged = "address-changed",
        /// An account was deleted.
        AccountDeleted = "account-deleted",
        /// Sessions were ended by their owner or an administrator.
        SessionsEnded = "sessions-ended",
        /// The owner of an account turned its second factor on.
        SecondFactorOn = "second-factor-on",
        /// The owner of an account turned its second factor off.
        SecondFactorOff = "second-factor-off",
        /// An operator or administrator removed the second factor of an account.
        SecondFactorReset = "second-factor-reset",
        /// Someone logged in with a recovery code, which is used up.
        RecoveryCodeUsed = "recovery-code-used",
        /// The owner of an account got new recovery codes.
        RecoveryCodesRenewed = "recovery-codes-renewed",
        /// An account was created by an operator or administrator.
        AccountMade = "account-made",
        /// Someone was invited.
        Invited = "invited",
        /// An account was disabled.
        Disabled = "disabled",
        /// An account was enabled.
        Enabled = "enabled",
        /// The groups or the role of an account were changed.
        RightsChanged = "rights-changed",
        /// An administrator sent a link for choosing a password.
        ResetSent = "reset-sent",
        /// A mail was scheduled for another attempt.
        MailRetried = "mail-retried",
        /// A mail was deleted from the queue.
        MailDiscarded = "mail-discarded",
        /// A link was created.
        LinkMade = "link-made",
        /// The terms of a link were changed.
        LinkChanged = "link-changed",
        /// A link was paused.
        LinkPaused = "link-paused",
        /// A link was resumed.
        LinkResumed = "link-resumed",
        /// A link was revoked permanently.
        LinkRevoked = "link-revoked",
        /// Recipients were added to a link.
        LinkRecipientsAdded = "link-recipients-added",
        /// A recipient was removed from a link.
        LinkRecipientRemoved = "link-recipient-removed",
        /// A link got a later end, or more downloads.
        LinkExtended = "link-extended",
        /// A link was mailed to a recipient again.
        LinkSentAgain = "link-sent-again",
        /// An administrator sent a test mail.
        MailTried = "mail-tried",
        /// It was detected that the database was restored from a backup.
        DatabaseRestored = "database-restored",
        /// An operator reset the times in the database.
        TimeReset = "time-reset",
        /// A file or folder was renamed.
        FileRenamed = "file-renamed",
        /// A file or folder was moved.
        FileMoved = "file-moved",
        /// A file or folder was moved to the trash.
        FileTrashed = "file-trashed",
        /// A file or folder was restored from the trash.
        FileRestored = "file-restored",
        /// A file or folder was permanently deleted.
        FileForgotten = "file-forgotten",
        /// Old lines were cut off a log.
        LogCut = "log-cut",
        /// A new signing key was created.
        KeyRotated = "key-rotated",
        /// A signing key was removed, so that nothing it signed is valid.
        KeyRemoved = "key-removed",
        /// An operator made the keys in the keys folder those of the web app.
        KeysAdopted = "keys-adopted",
        /// A download service got its first key.
        NodeAdded = "node-added",
        /// A download service got another key.
        NodeRekeyed = "node-rekeyed",
        /// A download service was removed.
        NodeRemoved = "node-removed",
        /// A file was uploaded.
        FileUploaded = "file-uploaded",
        /// A guest of a file request sent a file.
        FileReceived = "file-received",
        /// A file request was created.
        RequestMade = "request-made",
        /// The terms of a file request were changed.
        RequestChanged = "request-changed",
        /// A file request was stopped for good.
        RequestStopped = "request-stopped",
        /// A webhook was created.
        WebhookMade = "webhook-made",
        /// A webhook was paused.
        WebhookPaused = "webhook-paused",
        /// A webhook was resumed.
        WebhookResumed = "webhook-resumed",
        /// A webhook got another secret.
        WebhookSecretRotated = "webhook-secret-rotated",
        /// A webhook was deleted.
        WebhookDeleted = "webhook-deleted",
        /// A folder was created.
        FolderMade = "folder-made",
        /// An API key was made.
        ApiKeyMade = "api-key-made",
        /// An API key was revoked.
        ApiKeyRevoked = "api-key-revoked",
        /// The first administrator was created, using the link that the first start prints.
        FirstAdministratorMade = "first-administrator-made",
    }
}

/// Who did something, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The id of an account, or a word for someone without one.
    pub id: String,
    /// The email address of the account at that time.
    pub who: String,
    /// The client's IP address; `None` for an action on the machine itself.
    pub address: Option<IpAddr>,
}

impl Actor {
    /// Returns the owner of an account.
    pub fn account(account: &Account, address: IpAddr) -> Actor {
        Actor {
            id: account.id.as_str().to_owned(),
            who: account.email.as_str().to_owned(),
            address: Some(address),
        }
    }

    /// Returns someone who isn't logged in.
    pub fn stranger(address: IpAddr) -> Actor {
        Actor { id: "stranger".to_owned(), who: String::new(), address: Some(address) }
    }

    /// Returns a guest of a file request.
    pub fn guest(address: IpAddr) -> Actor {
        Actor { id: "guest".to_owned(), who: String::new(), address: Some(address) }
    }

    /// Returns the service itself.
    pub fn system() -> Actor {
        Actor { id: "oncelink".to_owned(), who: String::new(), address: None }
    }

    /// Returns the operator at the command line.
    pub fn operator() -> Actor {
        Actor { id: "operator".to_owned(), who: String::new(), address: None }
    }
}

/// Locks the log: others who add a line or call this wait until the end of the transaction.
///
/// # Errors
/// If the database fails.
pub(super) async fn lock(transaction: &mut Transaction<'static, Any>) -> Result<(), QueryError> {
    chain::lock::<AuditLine>(transaction).await
}

/// Adds a line in the transaction of the change that it records, so that either both are stored or neither.
/// Call this immediately before the commit, because anyone else who adds a line waits from here on.
///
/// # Errors
/// If the database fails.
pub async fn append(
    transaction: &mut Transaction<'static, Any>,
    actor: &Actor,
    event: AuditEvent,
    subject: &str,
    now: Timestamp,
) -> Result<(), QueryError> {
    let (number, before) = chain::next::<AuditLine>(transaction).await?;
    let line = AuditLine {
        number,
        at: now,
        actor: actor.id.clone(),
        who: actor.who.clone(),
        action: event.as_str().to_owned(),
        subject: subject.to_owned(),
        address: actor.address.map(|address| address.to_string()).unwrap_or_default(),
        digest: String::new(),
    };
    let digest = chain::digest_after(&line, &before);
    sqlx::query(
        "INSERT INTO audit (number, at, actor, who, action, subject, address, digest) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(number)
    .bind(to_column(now))
    .bind(&actor.id)
    .bind(&actor.who)
    .bind(event.as_str())
    .bind(subject)
    .bind(&line.address)
    .bind(&digest)
    .execute(&mut **transaction)
    .await?;
    // The log is stored elsewhere, so it can prove how the audit log once ended. If the commit fails, the
    // next line has the same number, and that one is valid.
    tracing::info!(target: "oncelink::audit", number, digest, action = event.as_str(), "audit line {number}");
    Ok(())
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AuditLine {
    /// Its number; the first line is 1.
    pub number: i64,
    /// When it happened.
    pub at: Timestamp,
    /// The id of an account, or a word for someone without one.
    pub actor: String,
    /// The actor's email address at that time.
    pub who: String,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// The client's IP address.
    pub address: String,
    /// The digest of this line and the previous one's digest.
    pub digest: String,
}

impl chain::ChainedLine for AuditLine {
    const TABLE: &'static str = "audit";
    const COLUMNS: &'static str = "number, at, actor, who, action, subject, address, digest";
    const COUNTER: &'static str = "audit";

    fn number(&self) -> i64 {
        self.number
    }

    fn digest(&self) -> &str {
        &self.digest
    }

    fn content(&self) -> Vec<Value> {
        let at = to_column(self.at).into();
        let texts = [&self.actor, &self.who, &self.action, &self.subject, &self.address];
        [self.number.into(), at].into_iter().chain(texts.map(|text| text.as_str().into())).collect()
    }

    fn from_row(row: &AnyRow) -> Result<AuditLine, sqlx::Error> {
        Ok(AuditLine {
            number: row.try_get("number")?,
            at: from_column(row.try_get("at")?),
            actor: row.try_get("actor")?,
            who: row.try_get("who")?,
            action: row.try_get("action")?,
            subject: row.try_get("subject")?,
            address: row.try_get("address")?,
            digest: row.try_get("digest")?,
        })
    }
}

/// Returns up to `most` lines that contain `words`, the newest first and starting at `offset`, and whether
/// there are more.
///
/// # Errors
/// If the database fails.
pub async fn list(
    db: &Database,
    words: &str,
    offset: u32,
    most: u32,
) -> Result<(Vec<AuditLine>, bool), QueryError> {
    let rows = sqlx::query(
        "SELECT number, at, actor, who, action, subject, address, digest FROM audit \
         WHERE LOWER(who) LIKE $1 ESCAPE '!' OR LOWER(subject) LIKE $1 ESCAPE '!' \
         OR who LIKE $2 ESCAPE '!' OR subject LIKE $2 ESCAPE '!' \
         OR action LIKE $1 ESCAPE '!' OR REPLACE(action, '-', ' ') LIKE $1 ESCAPE '!' \
         OR LOWER(actor) LIKE $1 ESCAPE '!' OR address LIKE $1 ESCAPE '!' \
         ORDER BY number DESC LIMIT $3 OFFSET $4",
    )
    .bind(pattern(&words.to_lowercase()))
    .bind(pattern(words))
    .bind(i64::from(most) + 1)
    .bind(i64::from(offset))
    .fetch_all(db.reader())
    .await?;
    let more = rows.len() > most as usize;
    let lines = rows.iter().take(most as usize).map(AuditLine::from_row).collect::<Result<_, _>>()?;
    Ok((lines, more))
}
