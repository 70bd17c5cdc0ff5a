//! A mail in the queue, as stored in its row.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::clock::Timestamp;
use crate::id::{Jti, MailId};
use crate::web::db::columns::from_column;
use crate::web::identity::Email;
use crate::web::identity::address::ascii_domain;
use crate::web::mail::new_mail::{MailDetails, MailKind};
use crate::words::words;

/// The columns that [`from_row`] needs.
pub(super) const COLUMNS: &str = "id, kind, recipient, jti, details, state, attempts, queued_at, next_at, ended_at, problem, refusals, answer";

/// The stored word for the fault of a mail that was sent and bounced.
pub const BOUNCED: &str = "bounced";

words! {
    /// The state of a mail.
    pub enum MailState {
        /// It is still to be sent.
        Waiting = "waiting",
        /// The mail server accepted it, or it is in the outbox.
        Sent = "sent",
        /// It was given up.
        Failed = "failed",
    }
}

/// A mail in the queue.
#[derive(Clone, Debug)]
pub struct QueuedMail {
    /// Its id, which is also in its `Message-ID`.
    pub id: MailId,
    /// What it is about.
    pub kind: MailKind,
    /// The address that it was queued for.
    pub recipient: Email,
    /// The jti of the link in it, if it will contain one.
    pub jti: Jti,
    /// Further details.
    pub details: MailDetails,
    /// The state of the mail.
    pub state: MailState,
    /// How many attempts were begun.
    pub attempts: u32,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// When the next attempt is due.
    pub next_at: Timestamp,
    /// When it was sent or given up.
    pub ended_at: Option<Timestamp>,
    /// The error of the last attempt.
    pub problem: Option<String>,
    /// How often the mail server refused this mail in particular.
    pub refusals: u32,
    /// What the mail server replied when it accepted the mail.
    pub answer: Option<String>,
}

impl QueuedMail {
    /// Returns the recipient's domain in ASCII, by which connections are shared out.
    pub fn domain(&self) -> String {
        domain_of(&self.recipient)
    }
}

pub(super) fn domain_of(recipient: &Email) -> String {
    let domain = recipient.as_str().rsplit_once('@').map_or("", |(_, domain)| domain);
    ascii_domain(domain).unwrap_or_else(|| domain.to_lowercase())
}

/// Reads a mail; `None` if this release doesn't know its kind, in which case a newer release will send it.
pub(super) fn from_row(row: &AnyRow) -> Result<Option<QueuedMail>, sqlx::Error> {
    let (kind, jti): (String, String) = (row.try_get("kind")?, row.try_get("jti")?);
    let (details, state): (String, String) = (row.try_get("details")?, row.try_get("state")?);
    let (Ok(kind), Ok(state), Ok(jti)) = (kind.parse(), state.parse(), jti.parse()) else { return Ok(None) };
    Ok(Some(QueuedMail {
        id: MailId::from_store(&row.try_get::<String, _>("id")?),
        kind,
        recipient: Email::from_store(row.try_get("recipient")?),
        jti,
        details: serde_json::from_str(&details).unwrap_or_default(),
        state,
        attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX),
        queued_at: from_column(row.try_get("queued_at")?),
        next_at: from_column(row.try_get("next_at")?),
        ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(from_column),
        problem: row.try_get("problem")?,
        refusals: u32::try_from(row.try_get::<i64, _>("refusals")?).unwrap_or(u32::MAX),
        answer: row.try_get("answer")?,
    }))
}
