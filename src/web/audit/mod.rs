//! The audit log: who did what when, from where. Only ever added to, and chained, so that a line that
//! was altered or is missing is found.

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

words! {
    /// What was done. The words are kept for ever; a released one never changes its meaning.
    pub enum AuditEvent {
        /// Somebody asked for an account.
        SignedUp = "signed-up",
        /// The owner of an address showed that mail reaches him.
        Activated = "activated",
        /// Somebody logged in.
        LoggedIn = "logged-in",
        /// Somebody logged out.
        LoggedOut = "logged-out",
        /// A password was changed by who knew the old one.
        PasswordChanged = "password-changed",
        /// A password was changed by a mailed link.
        PasswordReset = "password-reset",
        /// Another address was asked for.
        AddressChangeRequested = "address-change-requested",
        /// An account got another address.
        AddressChanged = "address-changed",
        /// An account is gone.
        AccountDeleted = "account-deleted",
        /// Sessions were ended by their owner or an administrator.
        SessionsEnded = "sessions-ended",
        /// An account was made by an operator or administrator.
        AccountMade = "account-made",
        /// Somebody was invited.
        Invited = "invited",
        /// An account may not log in any more.
        Disabled = "disabled",
        /// An account may log in again.
        Enabled = "enabled",
        /// The groups or the role of an account were changed.
        RightsChanged = "rights-changed",
        /// An administrator had a link for choosing a password sent.
        ResetSent = "reset-sent",
        /// A mail is to be tried again.
        MailRetried = "mail-retried",
        /// A mail was taken out of the queue.
        MailDiscarded = "mail-discarded",
        /// Somebody made a link.
        LinkMade = "link-made",
        /// A link got other terms.
        LinkChanged = "link-changed",
        /// A link waits.
        LinkPaused = "link-paused",
        /// A link goes on.
        LinkResumed = "link-resumed",
        /// A link is over for good.
        LinkRevoked = "link-revoked",
        /// A link was mailed to a recipient once more.
        LinkSentAgain = "link-sent-again",
        /// An administrator tried whether mails leave.
        MailTried = "mail-tried",
        /// The database was put back from a backup, and that was noticed.
        DatabaseRestored = "database-restored",
        /// The time was reset by an operator.
        TimeReset = "time-reset",
        /// A file or folder got another name.
        FileRenamed = "file-renamed",
        /// A file or folder was moved.
        FileMoved = "file-moved",
        /// A file or folder was thrown away.
        FileTrashed = "file-trashed",
        /// A file or folder was had back.
        FileRestored = "file-restored",
        /// A file or folder is gone for good.
        FileForgotten = "file-forgotten",
        /// A signing key is worth nothing any more.
        KeyRemoved = "key-removed",
        /// Other keys than those that were known are the web app's.
        KeysAdopted = "keys-adopted",
        /// A download service got its first key.
        NodeAdded = "node-added",
        /// A download service got another key.
        NodeRekeyed = "node-rekeyed",
        /// A download service is not one of ours any more.
        NodeRemoved = "node-removed",
        /// A file was put in.
        FileUploaded = "file-uploaded",
        /// A folder was made.
        FolderMade = "folder-made",
        /// The first administrator was made, by the link that the first start prints.
        FirstAdministratorMade = "first-administrator-made",
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// An account's id, or a word for who has none.
    pub id: String,
    /// What people call him: the account's address at that time.
    pub who: String,
    /// Where he was; `None` at the machine itself.
    pub address: Option<IpAddr>,
}

impl Actor {
    /// The owner of an account.
    pub fn account(account: &Account, address: IpAddr) -> Actor {
        Actor {
            id: account.id.as_str().to_owned(),
            who: account.email.as_str().to_owned(),
            address: Some(address),
        }
    }

    /// Somebody who is not logged in.
    pub fn stranger(address: IpAddr) -> Actor {
        Actor { id: "stranger".to_owned(), who: String::new(), address: Some(address) }
    }

    /// Oncelink itself.
    pub fn system() -> Actor {
        Actor { id: "oncelink".to_owned(), who: String::new(), address: None }
    }

    /// The operator at the command line.
    pub fn operator() -> Actor {
        Actor { id: "operator".to_owned(), who: String::new(), address: None }
    }
}

/// Makes others who add a line, or who ask for this, wait until the end of the transaction.
///
/// # Errors
/// When the database fails.
pub(super) async fn lock(transaction: &mut Transaction<'static, Any>) -> Result<(), QueryError> {
    chain::lock::<AuditLine>(transaction).await
}

/// Adds a line in the transaction of what it tells of: both are there, or neither. Call it last but
/// for the commit: everybody else who adds a line waits from here on.
///
/// # Errors
/// When the database fails.
pub async fn append(
    transaction: &mut Transaction<'static, Any>,
    actor: &Actor,
    deed: AuditEvent,
    subject: &str,
    now: Timestamp,
) -> Result<(), QueryError> {
    let (number, before) = chain::next::<AuditLine>(transaction).await?;
    let line = AuditLine {
        number,
        at: now,
        actor: actor.id.clone(),
        who: actor.who.clone(),
        action: deed.as_str().to_owned(),
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
    .bind(deed.as_str())
    .bind(subject)
    .bind(&line.address)
    .bind(&digest)
    .execute(&mut **transaction)
    .await?;
    // The log is another place: whoever keeps it can tell what the audit log once ended with. Should
    // the commit fail, the next line has the same number, and is the one that counts.
    tracing::info!(target: "oncelink::audit", number, digest, action = deed.as_str(), "audit line {number}");
    Ok(())
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AuditLine {
    /// Its number; the first one is 1.
    pub number: i64,
    /// When it was.
    pub at: Timestamp,
    /// An account's id, or a word for who has none.
    pub actor: String,
    /// The actor's address at that time.
    pub who: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// From where.
    pub address: String,
    /// Covers this line and the digest of the one before.
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

/// Lines with `words` in who, what or whom, the newest first, from `offset` on; and whether there
/// are more.
///
/// # Errors
/// When the database fails.
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
