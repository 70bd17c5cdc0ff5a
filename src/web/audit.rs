//! The audit log: who did what when, from where. Only ever added to. Each line's digest covers the
//! line before it, so that a line that was altered or is missing is found.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::secret::Digest;
use crate::web::account::Account;
use crate::web::accounts::{from_column, to_column};
use crate::web::db::{Database, QueryError, pattern};

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
    LinkWithdrawn,
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
            Deed::LinkWithdrawn => "link-withdrawn",
            Deed::FileRenamed => "file-renamed",
            Deed::FileMoved => "file-moved",
            Deed::FileTrashed => "file-trashed",
            Deed::FileRestored => "file-restored",
            Deed::FileForgotten => "file-forgotten",
        }
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
    sqlx::query("UPDATE generations SET number = number WHERE name = 'audit'")
        .execute(&mut **transaction)
        .await?;
    Ok(())
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
    // The counter's row is locked until the end of the transaction, so lines come one after the other.
    sqlx::query("UPDATE generations SET number = number + 1 WHERE name = 'audit'")
        .execute(&mut **transaction)
        .await?;
    let number: i64 = sqlx::query_scalar("SELECT number FROM generations WHERE name = 'audit'")
        .fetch_one(&mut **transaction)
        .await?;
    let before: Option<String> = sqlx::query_scalar("SELECT digest FROM audit WHERE number = $1")
        .bind(number - 1)
        .fetch_optional(&mut **transaction)
        .await?;
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
    let digest = line.digest_after(&before.unwrap_or_default());
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

impl Line {
    fn digest_after(&self, before: &str) -> String {
        let at = to_column(self.at);
        let all =
            json!([before, self.number, at, self.actor, self.who, self.action, self.subject, self.address]);
        URL_SAFE_NO_PAD.encode(Digest::of(all.to_string().as_bytes()).as_bytes())
    }
}

/// What looking through the log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All lines are there, each as it was written.
    Whole {
        /// How many.
        lines: i64,
        /// The digest of the last one; with the number it proves what the log once ended with.
        digest: String,
    },
    /// This line was altered, or the one before it, or it stands in the wrong place.
    Altered(i64),
    /// The line of this number is missing.
    Missing(i64),
}

/// How many lines are read at once.
const PAGE: i64 = 1_000;

/// Looks through the whole log.
///
/// # Errors
/// When the database fails.
pub async fn verify(db: &Database) -> Result<Verdict, QueryError> {
    // A number below 1 can only have been put there by hand.
    let strange: Option<i64> =
        sqlx::query_scalar("SELECT MIN(number) FROM audit WHERE number < 1").fetch_one(db.reader()).await?;
    if let Some(number) = strange {
        return Ok(Verdict::Altered(number));
    }
    // Lines are added meanwhile. There are at least as many as were counted before the walk, and at
    // most as many as are counted after it.
    let least = count(db).await?;
    let (mut number, mut before) = (0, String::new());
    loop {
        let rows = sqlx::query(
            "SELECT number, at, actor, who, action, subject, address, digest FROM audit \
             WHERE number > $1 ORDER BY number LIMIT $2",
        )
        .bind(number)
        .bind(PAGE)
        .fetch_all(db.reader())
        .await?;
        for row in &rows {
            // SQLite keeps any value in any column; what is no line any more was altered.
            let Ok(line) = from_row(row) else { return Ok(Verdict::Altered(number + 1)) };
            if line.number > number + 1 {
                return Ok(Verdict::Missing(number + 1));
            }
            if line.digest != line.digest_after(&before) {
                return Ok(Verdict::Altered(line.number));
            }
            (number, before) = (line.number, line.digest);
        }
        if rows.is_empty() {
            break;
        }
    }
    let most = count(db).await?;
    Ok(if number < least {
        Verdict::Missing(number + 1)
    } else if number > most {
        Verdict::Altered(most + 1)
    } else {
        Verdict::Whole { lines: number, digest: before }
    })
}

/// How many lines there should be.
async fn count(db: &Database) -> Result<i64, QueryError> {
    let count: Option<i64> = sqlx::query_scalar("SELECT number FROM generations WHERE name = 'audit'")
        .fetch_optional(db.reader())
        .await?;
    Ok(count.unwrap_or(0).max(0))
}

/// Whether the log once ended with `expected`, a number and a digest as [`Verdict::Whole`] has them,
/// written `NUMBER:DIGEST`.
///
/// # Errors
/// When the database fails.
pub async fn ended_with(db: &Database, expected: &str) -> Result<bool, QueryError> {
    let Some((number, digest)) = expected.split_once(':') else { return Ok(false) };
    let Ok(number) = number.parse::<i64>() else { return Ok(false) };
    if number == 0 {
        return Ok(digest.is_empty());
    }
    let found: Option<String> = sqlx::query_scalar("SELECT digest FROM audit WHERE number = $1")
        .bind(number)
        .fetch_optional(db.reader())
        .await?;
    Ok(found.is_some_and(|found| found == digest))
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
    let lines = rows.iter().take(most as usize).map(from_row).collect::<Result<_, _>>()?;
    Ok((lines, more))
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
