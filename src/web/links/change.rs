//! Changing a link: other terms, pausing and resuming it, and withdrawing it for good. Each change is
//! one transaction with its line in the audit log, which has the owner's account before anything else:
//! a press that is under way comes before it, and its token is found, or after it, and finds it.

use sqlx::{Any, Transaction};

use crate::clock::Timestamp;
use crate::web::accounts::to_column;
use crate::web::audit::{self, Actor, Deed};
use crate::web::issued;
use crate::web::links::terms::Terms;
use crate::web::links::{Link, LinkError, Links};
use crate::web::passwords::StoredPassword;

/// What becomes of a link's password.
#[derive(Clone, Debug)]
pub enum PasswordChange {
    /// It stays as it is.
    Keep,
    /// None is asked for any more.
    Remove,
    /// It is another one.
    Set(StoredPassword),
}

impl Links {
    /// Gives a link other terms; its recipients stay. Answers whether it could: one that was withdrawn
    /// can't be changed.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn edit(
        &self,
        link: &Link,
        terms: &Terms,
        password: PasswordChange,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<bool, LinkError> {
        let (keep, password) = match &password {
            PasswordChange::Keep => (1_i64, None),
            PasswordChange::Remove => (0, None),
            PasswordChange::Set(password) => (0, Some(password)),
        };
        let mut transaction = self.begin(link).await?;
        let changed = sqlx::query(
            // A password that is to stay is the one that is there now, not the one that was seen.
            "UPDATE links SET title = $1, note = $2, uses = $3, ends_at = $4, \
             password = CASE WHEN CAST($5 AS BIGINT) = 1 THEN password ELSE $6 END, \
             mailed_code = $7, notify = $8 WHERE id = $9 AND withdrawn_at IS NULL",
        )
        .bind(&terms.title)
        .bind(&terms.note)
        .bind(terms.uses.map(i64::from))
        .bind(terms.ends_at.map(to_column))
        .bind(keep)
        .bind(password.map(StoredPassword::as_str))
        .bind(i64::from(terms.mailed_code))
        .bind(terms.notify.word())
        .bind(&link.id)
        .execute(&mut *transaction)
        .await?;
        self.finish(transaction, changed.rows_affected() > 0, link, actor, Deed::LinkChanged, now).await
    }

    /// Pauses a link, which revokes its live tokens, or lets it go on. Answers whether it could.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn set_paused(
        &self,
        link: &Link,
        paused: bool,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<bool, LinkError> {
        let mut transaction = self.begin(link).await?;
        let changed = sqlx::query("UPDATE links SET paused = $1 WHERE id = $2 AND withdrawn_at IS NULL")
            .bind(i64::from(paused))
            .bind(&link.id)
            .execute(&mut *transaction)
            .await?;
        if paused {
            issued::mark_link(&mut transaction, &link.id).await?;
        }
        let deed = if paused { Deed::LinkPaused } else { Deed::LinkResumed };
        self.finish(transaction, changed.rows_affected() > 0, link, actor, deed, now).await
    }

    /// Withdraws a link for good, and revokes its live tokens. Answers whether it was there to be
    /// withdrawn.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn withdraw(&self, link: &Link, actor: &Actor, now: Timestamp) -> Result<bool, LinkError> {
        let mut transaction = self.begin(link).await?;
        let changed =
            sqlx::query("UPDATE links SET withdrawn_at = $1 WHERE id = $2 AND withdrawn_at IS NULL")
                .bind(to_column(now))
                .bind(&link.id)
                .execute(&mut *transaction)
                .await?;
        issued::mark_link(&mut transaction, &link.id).await?;
        self.finish(transaction, changed.rows_affected() > 0, link, actor, Deed::LinkWithdrawn, now).await
    }

    async fn begin(&self, link: &Link) -> Result<Transaction<'static, Any>, LinkError> {
        let mut transaction = self.db.begin().await?;
        self.db.lock_account(&mut transaction, link.owner.as_str()).await?;
        Ok(transaction)
    }

    async fn finish(
        &self,
        mut transaction: Transaction<'static, Any>,
        changed: bool,
        link: &Link,
        actor: &Actor,
        deed: Deed,
        now: Timestamp,
    ) -> Result<bool, LinkError> {
        if changed {
            let subject = format!("{} (link {})", link.title, link.id);
            audit::append(&mut transaction, actor, deed, &subject, now).await?;
            self.db.commit(transaction).await?;
            self.issued.wake();
        }
        Ok(changed)
    }
}
