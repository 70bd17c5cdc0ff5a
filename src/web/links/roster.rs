//! Who receives a link: recipients who are added later, and those who are removed. Each change is one transaction
//! that includes its entry in the audit log and locks the owner's account first, like those in `change`.

use std::collections::BTreeSet;

use sqlx::{Any, Transaction};

use crate::clock::Timestamp;
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::columns::to_column;
use crate::web::forms::record;
use crate::web::forms::record::IdempotencyRecord;
use crate::web::identity::Email;
use crate::web::links::create::named_within_a_day;
use crate::web::links::link::{Link, LinkError, Links, Recipient};
use crate::web::links::recipients::RECIPIENTS_MAX;

/// The result of adding recipients to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddRecipientsOutcome {
    /// This many were added; those who already have the link were left out.
    Added(usize),
    /// All of them already have the link.
    NobodyNew,
    /// The account has reached its daily limit of named recipients.
    TooManyToday,
    /// The link would have more recipients than a link can have.
    TooManyOnLink,
    /// The link was revoked.
    Revoked,
    /// The same form has already been processed.
    Before,
    /// The account may no longer do that.
    NotAllowed,
}

/// The result of removing a recipient from a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveRecipientOutcome {
    /// The recipient was removed, or had been before.
    Removed,
    /// It is the only recipient: revoking the link does the same.
    Last,
    /// The account may no longer do that.
    NotAllowed,
}

/// Recipients to add to a link.
#[derive(Clone, Copy, Debug)]
pub struct NewRecipients<'a> {
    /// Their addresses, each once.
    pub emails: &'a [Email],
    /// Whether to email the link to them.
    pub mail: bool,
    /// The idempotency record of the form.
    pub form: Option<IdempotencyRecord<'a>>,
}

impl Links {
    /// Adds recipients to a link, each with an address and a counter of their own. Those who already have the link
    /// keep theirs. If its files are still being uploaded, the mails wait until all of them have arrived.
    ///
    /// # Errors
    /// See [`LinkError`]; nobody is added then.
    pub async fn add_recipients(
        &self,
        link: &Link,
        new: &NewRecipients<'_>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AddRecipientsOutcome, LinkError> {
        let mut transaction = self.db.begin().await?;
        if !self.db.lock_account(&mut transaction, link.owner.as_str()).await? {
            return Ok(AddRecipientsOutcome::NotAllowed);
        }
        if let Some(form) = new.form {
            let location = format!("/links/{}", link.id);
            if !record::put(&mut transaction, form, &location, now).await? {
                return Ok(AddRecipientsOutcome::Before);
            }
        }
        let revoked: Option<Option<i64>> = sqlx::query_scalar("SELECT withdrawn_at FROM links WHERE id = $1")
            .bind(link.id.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        if revoked != Some(None) {
            return Ok(AddRecipientsOutcome::Revoked);
        }
        let roster = Roster::read(&mut transaction, link).await?;
        let emails: Vec<&Email> =
            new.emails.iter().filter(|email| !roster.keys.contains(email.key())).collect();
        if emails.is_empty() {
            return Ok(AddRecipientsOutcome::NobodyNew);
        }
        if roster.active + emails.len() > RECIPIENTS_MAX {
            return Ok(AddRecipientsOutcome::TooManyOnLink);
        }
        if !named_within_a_day(&mut transaction, &link.owner, emails.len(), now).await? {
            return Ok(AddRecipientsOutcome::TooManyToday);
        }
        // Whether it still waits for files is decided here, because the last one may have arrived since `link` was
        // read. Then its mails are queued in the next round.
        if new.mail {
            sqlx::query("UPDATE links SET mails_wait = 1 WHERE id = $1 AND arrival IS NOT NULL")
                .bind(link.id.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        for (position, email) in (roster.next_position..).zip(emails.iter().copied()) {
            let id = self.add_recipient(&mut transaction, &link.id, Some(email), position, Some(now)).await?;
            if new.mail && link.arrival.is_none() {
                self.queue_mail(&mut transaction, &id, email, now).await?;
            }
        }
        let count = emails.len();
        let subject = format!("{} (link {}), {count} more named", link.title, link.id);
        audit::append(&mut transaction, actor, AuditEvent::LinkRecipientsAdded, &subject, now).await?;
        self.db.commit(transaction).await?;
        self.queue.wake();
        Ok(AddRecipientsOutcome::Added(count))
    }

    /// Removes a recipient for good: their address stops working, and the tokens that they have are revoked.
    ///
    /// # Errors
    /// See [`LinkError`]; nothing is changed then.
    pub async fn remove_recipient(
        &self,
        link: &Link,
        recipient: &Recipient,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<RemoveRecipientOutcome, LinkError> {
        let mut transaction = self.db.begin().await?;
        if !self.db.lock_account(&mut transaction, link.owner.as_str()).await? {
            return Ok(RemoveRecipientOutcome::NotAllowed);
        }
        let others: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM recipients WHERE link = $1 AND id <> $2 AND removed_at IS NULL",
        )
        .bind(link.id.as_str())
        .bind(recipient.id.as_str())
        .fetch_one(&mut *transaction)
        .await?;
        if others == 0 {
            return Ok(RemoveRecipientOutcome::Last);
        }
        let removed = sqlx::query(
            "UPDATE recipients SET removed_at = $1 WHERE id = $2 AND link = $3 AND removed_at IS NULL",
        )
        .bind(to_column(now))
        .bind(recipient.id.as_str())
        .bind(link.id.as_str())
        .execute(&mut *transaction)
        .await?;
        if removed.rows_affected() > 0 {
            self.issued.end_recipient(&mut transaction, &link.id, &recipient.id, now).await?;
            let whom = recipient.email.as_ref().map_or("anyone who has it", Email::as_str);
            let subject = format!("{} (link {}) for {whom}", link.title, link.id);
            audit::append(&mut transaction, actor, AuditEvent::LinkRecipientRemoved, &subject, now).await?;
            self.db.commit(transaction).await?;
            self.issued.revocations.wake();
        }
        Ok(RemoveRecipientOutcome::Removed)
    }
}

/// The recipients of a link, as a transaction sees them.
struct Roster {
    /// How many were not removed.
    active: usize,
    /// What identifies the mailboxes of these.
    keys: BTreeSet<String>,
    next_position: i64,
}

impl Roster {
    async fn read(transaction: &mut Transaction<'static, Any>, link: &Link) -> Result<Roster, sqlx::Error> {
        let emails: Vec<Option<String>> =
            sqlx::query_scalar("SELECT email FROM recipients WHERE link = $1 AND removed_at IS NULL")
                .bind(link.id.as_str())
                .fetch_all(&mut **transaction)
                .await?;
        let last: Option<i64> = sqlx::query_scalar("SELECT MAX(position) FROM recipients WHERE link = $1")
            .bind(link.id.as_str())
            .fetch_one(&mut **transaction)
            .await?;
        let key = |email: &String| Email::from_store(email.clone()).key().to_owned();
        Ok(Roster {
            active: emails.len(),
            keys: emails.iter().flatten().map(key).collect(),
            next_position: last.map_or(0, |last| last + 1),
        })
    }
}
