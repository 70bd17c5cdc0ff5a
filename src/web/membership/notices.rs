//! Notices that their reader can turn off: on the account's page, or by the address that each such mail
//! carries (RFC 2369, RFC 8058). That address can't be guessed and is stored nowhere: it names the account and
//! the kind, under a mark by the link key. Mails about the account's safety can't be turned off.

use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};
use crate::web::identity::AccountId;
use crate::web::mail::MailKind;
use crate::web::tokens::link_key::LinkKey;

/// Characters of an account's id.
const ID_LENGTH: usize = 22;

/// Whose notices of which kind an address turns off. Only [`Notices::read`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The account.
    pub account: AccountId,
    /// The kind of its mails.
    pub kind: MailKind,
}

/// Who wants which notices. Cheap to clone.
#[derive(Clone)]
pub struct Notices {
    db: Database,
    key: LinkKey,
}

impl Notices {
    /// Those in `db`, with addresses under marks by `key`.
    pub const fn new(db: Database, key: LinkKey) -> Notices {
        Notices { db, key }
    }

    /// The path at which the owner of an account turns off notices of a kind.
    pub fn path(&self, account: &AccountId, kind: MailKind) -> String {
        let mark = self.key.unsubscribe(account.as_str(), kind.as_str());
        format!("/unsubscribe/{}/{account}{}", kind.as_str(), mark.reveal())
    }

    /// Whom and what such a path names; `None` where the mark is not ours.
    pub fn read(&self, kind: &str, code: &str) -> Option<Subscription> {
        let kind = kind.parse::<MailKind>().ok().filter(|kind| kind.can_be_turned_off())?;
        let (account, mark) = code.split_at_checked(ID_LENGTH)?;
        let is_ours =
            self.key.unsubscribe(account, kind.as_str()).digest() == Secret::presented(mark).digest();
        is_ours.then(|| Subscription { account: AccountId::from_store(account), kind })
    }

    /// Whether an account has turned off notices of that kind.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn are_off(&self, account: &AccountId, kind: MailKind) -> Result<bool, QueryError> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM notices_off WHERE account = $1 AND kind = $2")
                .bind(account.as_str())
                .bind(kind.as_str())
                .fetch_optional(self.db.reader())
                .await?;
        Ok(found.is_some())
    }

    /// Turns notices off. Nothing happens where they are, or where there is no such account any more.
    ///
    /// # Errors
    /// When the database fails.
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
    /// When the database fails.
    pub async fn turn_on(&self, of: &Subscription) -> Result<(), QueryError> {
        sqlx::query("DELETE FROM notices_off WHERE account = $1 AND kind = $2")
            .bind(of.account.as_str())
            .bind(of.kind.as_str())
            .execute(self.db.writer())
            .await?;
        Ok(())
    }
}
