//! The audit log: who did what when, from where. Only ever added to. Each line's digest covers the
//! line before it, so that a line that was altered or is missing is found.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::secret::Digest;
use crate::web::account::Account;
use crate::web::accounts::to_column;
use crate::web::db::QueryError;

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

/// Adds a line in the transaction of what it tells of: both are there, or neither.
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
    let before = sqlx::query("SELECT digest FROM audit WHERE number = $1")
        .bind(number - 1)
        .fetch_optional(&mut **transaction)
        .await?;
    let before: String = before.map(|row| row.try_get(0)).transpose()?.unwrap_or_default();
    let address = actor.address.map(|address| address.to_string()).unwrap_or_default();
    let line = json!([before, number, to_column(now), actor.id, actor.who, deed.word(), subject, address]);
    let digest = URL_SAFE_NO_PAD.encode(Digest::of(line.to_string().as_bytes()).as_bytes());
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
    .bind(address)
    .bind(digest)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
