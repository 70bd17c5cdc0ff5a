//! Notices that their readers can turn off, on the account page or with the address in each of these mails
//! (RFC 2369, RFC 8058). That address can't be guessed and isn't stored: it names the account and the kind,
//! and is authenticated with the link key. Mails about an account's security can't be turned off.

use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};
use crate::web::identity::AccountId;
use crate::web::mail::MailKind;
use crate::web::tokens::link_key::LinkKey;

/// The length of an account's id in characters.
const ID_LENGTH: usize = 22;

/// The notices that an address turns off. Only [`Notices::read`] creates one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The account that receives them.
    pub account: AccountId,
    /// The kind of mail.
    pub kind: MailKind,
}

/// The notices that accounts have turned off. Cheap to clone.
#[derive(Clone)]
pub struct Notices {
    db: Database,
    key: LinkKey,
}

impl Notices {
    /// Manages the notices in `db`, with addresses authenticated by `key`.
    pub const fn new(db: Database, key: LinkKey) -> Notices {
        Notices { db, key }
    }

    /// Returns the path at which the owner of an account turns off notices of a kind.
    pub fn path(&self, account: &AccountId, kind: MailKind) -> String {
        let mark = self.key.unsubscribe(account.as_str(), kind.as_str());
        format!("/unsubscribe/{}/{account}{}", kind.as_str(), mark.reveal())
    }

    /// Parses such a path; returns `None` if it isn't authentic.
    pub fn read(&self, kind: &str, code: &str) -> Option<Subscription> {
        let kind = kind.parse::<MailKind>().ok().filter(|kind| kind.can_be_turned_off())?;
        let (account, mark) = code.split_at_checked(ID_LENGTH)?;
        let is_ours =
            self.key.unsubscribe(account, kind.as_str()).digest() == Secret::presented(mark).digest();
        is_ours.then(|| Subscription { account: AccountId::from_store(account), kind })
    }

    /// Returns whether an account has turned off notices of this kind.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn are_off(&self, account: &AccountId, kind: MailKind) -> Result<bool, QueryError> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM notices_off WHERE account = $1 AND kind = $2")
                .bind(account.as_str())
                .bind(kind.as_str())
                .fetch_optional(self.db.reader())
                .await?;
        Ok(found.is_some())
    }

    /// Turns notices off. Does nothing if they are already off or the account no longer exists.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn turn_off(&self, of: &Subscription, now: Timestamp) -> Result<(), QueryError> {
        sqlx::query(
            "INSERT INTO notices_off (account, kind, since) \
             SELECT id, CAST($2 AS TEXT), CAST($3 AS BIGINT) FROM accounts WHERE id = $1 \
             ON CONFLICT (account, kind) DO NOTHING",
        )
        .bind(of.account.as_str())
        .bind(of.kind.as_str())
        .bind(to_column(now))
        .execute(self.db.writer())
        .await?;
        Ok(())
    }

    /// Turns notices on again.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn turn_on(&self, of: &Subscription) -> Result<(), QueryError> {
        sqlx::query("DELETE FROM notices_off WHERE account = $1 AND kind = $2")
            .bind(of.account.as_str())
            .bind(of.kind.as_str())
            .execute(self.db.writer())
            .await?;
        Ok(())
    }
}
