//! The audit log: who did what when, from where. Only ever added to, and chained, so that a line that
//! was altered or is missing is found.

use std::net::IpAddr;

use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::web::audit::chain::Line as _;
use crate::web::db::columns::{from_column, pattern, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::identity::Account;

pub mod chain;

/// What was done. The words are kept for ever; a released one never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Somebody asked for an account.
    SignedUp,
    /// The owner of an address showed that mail reaches him.
    Activated,
    /// Somebody logged in.
    LoggedIn,
    /// Somebody logged out.
    LoggedOut,
    /// A password was changed by who knew the old one.
    PasswordChanged,
    /// A password was changed by a mailed link.
    PasswordReset,
    /// Another address was asked for.
    AddressChangeRequested,
    /// An account got another address.
    AddressChanged,
    /// An account is gone.
    AccountDeleted,
    /// Sessions were ended by their owner or an administrator.
    SessionsEnded,
    /// An account was made by an operator or administrator.
    AccountMade,
    /// Somebody was invited.
    Invited,
    /// An account may not log in any more.
    Disabled,
    /// An account may log in again.
    Enabled,
    /// The groups or the role of an account were changed.
    RightsChanged,
    /// An administrator had a link for choosing a password sent.
    ResetSent,
    /// A mail is to be tried again.
    MailRetried,
    /// A mail was taken out of the queue.
    MailDiscarded,
    /// Somebody made a link.
    LinkMade,
    /// A link got other terms.
    LinkChanged,
    /// A link waits.
    LinkPaused,
    /// A link goes on.
    LinkResumed,
    /// A link is over for good.
    LinkRevoked,
    /// A link was mailed to a recipient once more.
    LinkSentAgain,
    /// An administrator tried whether mails leave.
    MailTried,
    /// The database was put back from a backup, and that was noticed.
    DatabaseRestored,
    /// The time was reset by an operator.
    TimeReset,
    /// A file or folder got another name.
    FileRenamed,
    /// A file or folder was moved.
    FileMoved,
    /// A file or folder was thrown away.
    FileTrashed,
    /// A file or folder was had back.
    FileRestored,
    /// A file or folder is gone for good.
    FileForgotten,
    /// A signing key is worth nothing any more.
    KeyRemoved,
    /// Other keys than those that were known are the web app's.
    KeysAdopted,
    /// A download service got its first key.
    NodeAdded,
    /// A download service got another key.
    NodeRekeyed,
    /// A download service is not one of ours any more.
    NodeRemoved,
    /// A file was put in.
    FileUploaded,
    /// A folder was made.
    FolderMade,
    /// The first administrator was made, by the link that the first start prints.
    FirstAdministratorMade,
}

impl Deed {
    /// The word in the log.
    pub const fn word(self) -> &'static str {
        match self {
            Deed::SignedUp => "signed-up",
            Deed::Activated => "activated",
            Deed::LoggedIn => "logged-in",
            Deed::LoggedOut => "logged-out",
            Deed::PasswordChanged => "password-changed",
            Deed::PasswordReset => "password-reset",
            Deed::AddressChangeRequested => "address-change-requested",
            Deed::AddressChanged => "address-changed",
            Deed::AccountDeleted => "account-deleted",
            Deed::SessionsEnded => "sessions-ended",
            Deed::AccountMade => "account-made",
            Deed::Invited => "invited",
            Deed::Disabled => "disabled",
            Deed::Enabled => "enabled",
            Deed::RightsChanged => "rights-changed",
            Deed::ResetSent => "reset-sent",
            Deed::MailRetried => "mail-retried",
            Deed::MailDiscarded => "mail-discarded",
            Deed::LinkMade => "link-made",
            Deed::LinkChanged => "link-changed",
            Deed::LinkPaused => "link-paused",
            Deed::LinkResumed => "link-resumed",
            Deed::LinkRevoked => "link-revoked",
            Deed::LinkSentAgain => "link-sent-again",
            Deed::MailTried => "mail-tried",
            Deed::DatabaseRestored => "database-restored",
            Deed::TimeReset => "time-reset",
            Deed::FileRenamed => "file-renamed",
            Deed::FileMoved => "file-moved",
            Deed::FileTrashed => "file-trashed",
            Deed::FileRestored => "file-restored",
            Deed::FileForgotten => "file-forgotten",
            Deed::KeyRemoved => "key-removed",
            Deed::KeysAdopted => "keys-adopted",
            Deed::NodeAdded => "node-added",
            Deed::NodeRekeyed => "node-rekeyed",
            Deed::NodeRemoved => "node-removed",
            Deed::FileUploaded => "file-uploaded",
            Deed::FolderMade => "folder-made",
            Deed::FirstAdministratorMade => "first-administrator-made",
        }
    }

    /// The act on files that has this word.
    pub(super) fn parse(word: &str) -> Option<Deed> {
        let acts = [
            Deed::FileRenamed,
            Deed::FileMoved,
            Deed::FileTrashed,
            Deed::FileRestored,
            Deed::FileForgotten,
            Deed::FolderMade,
        ];
        acts.into_iter().find(|deed| deed.word() == word)
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
    chain::lock::<Line>(transaction).await
}

/// Adds a line in the transaction of what it tells of: both are there, or neither. Call it last but
/// for the commit: everybody else who adds a line waits from here on.
///
/// # Errors
/// When the database fails.
pub async fn append(
    transaction: &mut Transaction<'static, Any>,
    actor: &Actor,
    deed: Deed,
    subject: &str,
    now: Timestamp,
) -> Result<(), QueryError> {
    let (number, before) = chain::next::<Line>(transaction).await?;
    let line = Line {
        number,
        at: now,
        actor: actor.id.clone(),
        who: actor.who.clone(),
        action: deed.word().to_owned(),
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
    .bind(deed.word())
    .bind(subject)
    .bind(&line.address)
    .bind(&digest)
    .execute(&mut **transaction)
    .await?;
    // The log is another place: whoever keeps it can tell what the audit log once ended with. Should
    // the commit fail, the next line has the same number, and is the one that counts.
    tracing::info!(target: "oncelink::audit", number, digest, action = deed.word(), "audit line {number}");
    Ok(())
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Line {
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

impl chain::Line for Line {
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

    fn from_row(row: &AnyRow) -> Result<Line, sqlx::Error> {
        Ok(Line {
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
) -> Result<(Vec<Line>, bool), QueryError> {
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
    let lines = rows.iter().take(most as usize).map(Line::from_row).collect::<Result<_, _>>()?;
    Ok((lines, more))
}
