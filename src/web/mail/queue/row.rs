//! A mail in the queue, as its row has it.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::clock::Timestamp;
use crate::id::{Jti, MailId};
use crate::web::db::columns::from_column;
use crate::web::identity::Email;
use crate::web::identity::address::ascii_domain;
use crate::web::mail::new_mail::{MailDetails, MailKind};
use crate::words::words;

/// The columns of its row.
pub(super) const COLUMNS: &str = "id, kind, recipient, jti, details, state, attempts, queued_at, next_at, ended_at, problem, refusals, answer";

/// The word for why a mail failed that was sent and came back.
pub const BOUNCED: &str = "bounced";

words! {
    /// How far a mail has come.
    pub enum MailState {
        /// It is to be sent.
        Waiting = "waiting",
        /// The mail server has it, or the outbox.
        Sent = "sent",
        /// It was given up.
        Failed = "failed",
    }
}

/// A mail in the queue.
#[derive(Clone, Debug)]
pub struct QueuedMail {
    /// Its id, which stands in its `Message-ID`.
    pub id: MailId,
    /// What it is about.
    pub kind: MailKind,
    /// To whom it goes.
    pub recipient: Email,
    /// The jti of the link in it, if there will be one.
    pub jti: Jti,
    /// What else it says.
    pub details: MailDetails,
    /// How far it has come.
    pub state: MailState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// When it is tried next.
    pub next_at: Timestamp,
    /// When it was sent or given up.
    pub ended_at: Option<Timestamp>,
    /// What went wrong last.
    pub problem: Option<String>,
    /// How often the mail server refused this very mail.
    pub refusals: u32,
    /// What the mail server said when it took the mail.
    pub answer: Option<String>,
}

impl QueuedMail {
    /// The domain of its recipient, in ASCII; the share of a domain is counted by it.
    pub fn domain(&self) -> String {
        domain_of(&self.recipient)
    }
}

pub(super) fn domain_of(recipient: &Email) -> String {
    let domain = recipient.as_str().rsplit_once('@').map_or("", |(_, domain)| domain);
    ascii_domain(domain).unwrap_or_else(|| domain.to_lowercase())
}

/// `None` for a mail of which this release does not know the kind: a newer one will send it.
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
