//! Mails an existing link to people, each of whom gets an address and a counter of their own. If its files are
//! still being uploaded, the mails wait until all of them have arrived.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::columns::to_column;
use crate::web::forms::idempotency::{self, IdempotencyRecord};
use crate::web::identity::Email;
use crate::web::links::create::NAMED_PER_DAY;
use crate::web::links::link::{Link, LinkError, LinkStatus, Links};
use crate::web::links::recipients::RECIPIENTS_MAX;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The result of mailing a link to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteOutcome {
    /// So many people were added; the others had the link already.
    Added(usize),
    /// The link would have too many recipients.
    TooMany,
    /// The account has reached its daily limit of named recipients.
    TooManyToday,
    /// The link can't be used any more.
    Over,
    /// The same form has already been processed.
    Before,
    /// The account may no longer do that.
    NotAllowed,
}

impl Links {
    /// Adds people to a link's recipients, and mails it to them.
    ///
    /// # Errors
    /// See [`LinkError`]; nobody is added then.
    pub async fn invite(
        &self,
        link: &Link,
        emails: &[Email],
        form: Option<IdempotencyRecord<'_>>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<InviteOutcome, LinkError> {
        let mut transaction = self.db.begin().await?;
        if !self.db.lock_account(&mut transaction, link.owner.as_str()).await? {
            return Ok(InviteOutcome::NotAllowed);
        }
        if let Some(form) = form
            && !idempotency::put(&mut transaction, form, &format!("/links/{}", link.id), now).await?
        {
            return Ok(InviteOutcome::Before);
        }
        if !matches!(link.status(now), LinkStatus::Open | LinkStatus::Paused | LinkStatus::Uploading) {
            return Ok(InviteOutcome::Over);
        }
        let known: Vec<Option<String>> = sqlx::query_scalar("SELECT email FROM recipients WHERE link = $1")
            .bind(link.id.as_str())
            .fetch_all(&mut *transaction)
            .await?;
        let keys = known.iter().flatten().map(|email| Email::from_store(email.clone()).key().to_owned());
        let keys: BTreeSet<String> = keys.collect();
        let fresh: Vec<&Email> = emails.iter().filter(|email| !keys.contains(email.key())).collect();
        if known.len() + fresh.len() > RECIPIENTS_MAX {
            return Ok(InviteOutcome::TooMany);
        }
        let named: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM recipients JOIN links ON links.id = recipients.link \
             WHERE links.account = $1 AND links.created_at > $2 AND recipients.email IS NOT NULL",
        )
        .bind(link.owner.as_str())
        .bind(to_column(now.minus(DAY)))
        .fetch_one(&mut *transaction)
        .await?;
        if named.saturating_add(i64::try_from(fresh.len()).unwrap_or(i64::MAX)) > NAMED_PER_DAY {
            return Ok(InviteOutcome::TooManyToday);
        }
        // Whether it still waits for files is decided here, because the last one may have arrived since `link` was
        // read. Then its mails are queued in the next round.
        sqlx::query("UPDATE links SET mails_wait = 1 WHERE id = $1 AND arrival IS NOT NULL")
            .bind(link.id.as_str())
            .execute(&mut *transaction)
            .await?;
        for (position, email) in (0_i64..).zip(&fresh) {
            let position = i64::try_from(known.len()).unwrap_or(i64::MAX).saturating_add(position);
            let id = self.add_recipient(&mut transaction, &link.id, Some(email), position).await?;
            if link.arrival.is_none() {
                self.queue_mail(&mut transaction, &id, email, now).await?;
            }
        }
        let subject = format!("{} (link {}) for {} more", link.title, link.id, fresh.len());
        audit::append(&mut transaction, actor, AuditEvent::LinkChanged, &subject, now).await?;
        self.db.commit(transaction).await?;
        self.queue.wake();
        Ok(InviteOutcome::Added(fresh.len()))
    }
}
