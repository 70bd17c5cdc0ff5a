//! Changes a link: new terms, pausing and resuming, and revoking it permanently. Each change is one
//! transaction that includes its entry in the audit log and locks the owner's account first. A concurrent
//! download request therefore either runs before the change, and its token is revoked, or runs after it, and
//! sees the change.

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::columns::to_column;
use crate::web::identity::passwords::StoredPassword;
use crate::web::links::find::link_of;
use crate::web::links::link::{Link, LinkError, Links};
use crate::web::links::terms::LinkTerms;
use crate::web::webhooks::event::{LinkEnd, WebhookEvent};
use crate::web::webhooks::outbox;

/// What happens to a link's password when the link is edited.
#[derive(Clone, Debug)]
pub enum LinkPasswordChange {
    /// The password stays the same.
    Keep,
    /// The password is removed.
    Remove,
    /// The password is replaced by this one.
    Set(StoredPassword),
}

/// What an edit is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditBase {
    /// Whatever the terms are now: the last edit wins.
    Any,
    /// The terms as they are in the link that was read. If they have changed since, nothing is done.
    Seen,
}

/// The result of editing a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditOutcome {
    /// It has the new terms.
    Changed,
    /// It was revoked, which is final.
    Revoked,
    /// Its terms have changed since they were read.
    Outdated,
}

impl Links {
    /// Gives a link new terms; its recipients stay. If any of the terms is stricter than before, tokens that
    /// were issued under the old terms are revoked.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn edit(
        &self,
        (link, base): (&Link, EditBase),
        terms: &LinkTerms,
        password: LinkPasswordChange,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<EditOutcome, LinkError> {
        let sets_password = matches!(password, LinkPasswordChange::Set(_));
        let (keep, password) = match &password {
            LinkPasswordChange::Keep => (1_i64, None),
            LinkPasswordChange::Remove => (0, None),
            LinkPasswordChange::Set(password) => (0, Some(password)),
        };
        let mut transaction = self.begin(link).await?;
        let before = sqlx::query("SELECT * FROM links WHERE id = $1")
            .bind(link.id.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(before) = before else { return Ok(EditOutcome::Revoked) };
        if base == EditBase::Seen && !link.has_terms_of(&link_of(&before)?) {
            return Ok(EditOutcome::Outdated);
        }
        let before = Limits::read(&before)?;
        let changed = sqlx::query(
            // Keeps the password that is stored now, which may differ from the one in `link`.
            "UPDATE links SET title = $1, note = $2, uses = $3, ends_at = $4, \
             password = CASE WHEN CAST($5 AS BIGINT) = 1 THEN password ELSE $6 END, \
             mailed_code = $7, notify = $8, delete_files = $9, hidden_files = $10, viewable = $12 \
             WHERE id = $11 AND withdrawn_at IS NULL",
        )
        .bind(&terms.title)
        .bind(&terms.note)
        .bind(terms.uses_per_recipient.map(i64::from))
        .bind(terms.ends_at.map(to_column))
        .bind(keep)
        .bind(password.map(StoredPassword::as_str))
        .bind(i64::from(terms.mailed_code))
        .bind(terms.notify.as_str())
        .bind(i64::from(terms.delete_files))
        .bind(i64::from(terms.hidden_files))
        .bind(link.id.as_str())
        .bind(i64::from(terms.viewable))
        .execute(&mut *transaction)
        .await?;
        if sets_password || is_stricter(&before, terms) {
            self.issued.end_terms(&mut transaction, &link.id, now).await?;
        }
        let is_open = changed.rows_affected() > 0;
        match self.finish(transaction, is_open, link, actor, AuditEvent::LinkChanged, now).await? {
            true => Ok(EditOutcome::Changed),
            false => Ok(EditOutcome::Revoked),
        }
    }

    /// Pauses a link, which revokes its live tokens, or resumes it. Returns false if the link was already
    /// revoked.
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
        let changed = sqlx::query(
            "UPDATE links SET paused = $1, paused_why = NULL WHERE id = $2 AND withdrawn_at IS NULL",
        )
        .bind(i64::from(paused))
        .bind(link.id.as_str())
        .execute(&mut *transaction)
        .await?;
        if paused {
            self.issued.end_terms(&mut transaction, &link.id, now).await?;
        }
        let event = if paused { AuditEvent::LinkPaused } else { AuditEvent::LinkResumed };
        self.finish(transaction, changed.rows_affected() > 0, link, actor, event, now).await
    }

    /// Revokes a link and its live tokens permanently. Returns false if the link was already revoked.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn revoke(&self, link: &Link, actor: &Actor, now: Timestamp) -> Result<bool, LinkError> {
        let mut transaction = self.begin(link).await?;
        let changed =
            sqlx::query("UPDATE links SET withdrawn_at = $1 WHERE id = $2 AND withdrawn_at IS NULL")
                .bind(to_column(now))
                .bind(link.id.as_str())
                .execute(&mut *transaction)
                .await?;
        self.issued.end_terms(&mut transaction, &link.id, now).await?;
        self.finish(transaction, changed.rows_affected() > 0, link, actor, AuditEvent::LinkRevoked, now).await
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
        event: AuditEvent,
        now: Timestamp,
    ) -> Result<bool, LinkError> {
        if changed {
            let subject = format!("{} (link {})", link.title, link.id);
            audit::append(&mut transaction, actor, event, &subject, now).await?;
            if event == AuditEvent::LinkRevoked {
                let ended = WebhookEvent::link_ended(&link.id, LinkEnd::Stopped);
                outbox::record(&mut transaction, &[ended], now).await?;
            }
            self.db.commit(transaction).await?;
            self.issued.revocations.wake();
        }
        Ok(changed)
    }
}

/// The limits of a link before a change.
struct Limits {
    uses_per_recipient: Option<i64>,
    ends_at: Option<i64>,
    mailed_code: bool,
    hidden_files: bool,
    viewable: bool,
}

impl Limits {
    fn read(row: &AnyRow) -> Result<Limits, sqlx::Error> {
        Ok(Limits {
            uses_per_recipient: row.try_get("uses")?,
            ends_at: row.try_get("ends_at")?,
            mailed_code: row.try_get::<i64, _>("mailed_code")? != 0,
            hidden_files: row.try_get::<i64, _>("hidden_files")? != 0,
            viewable: row.try_get::<i64, _>("viewable")? != 0,
        })
    }
}

/// Whether these terms require more, or allow less, than the previous limits. Does not consider passwords:
/// setting one always counts as stricter.
fn is_stricter(before: &Limits, terms: &LinkTerms) -> bool {
    let less = |before: Option<i64>, now: Option<i64>| match (before, now) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(now)) => now < before,
    };
    less(before.uses_per_recipient, terms.uses_per_recipient.map(i64::from))
        || less(before.ends_at, terms.ends_at.map(to_column))
        || (terms.mailed_code && !before.mailed_code)
        || (before.hidden_files && !terms.hidden_files)
        // Without a limit, views are always allowed; a limit where there was none is stricter anyway.
        || (before.viewable && !terms.viewable && terms.uses_per_recipient.is_some())
}
