//! The mails that bring recipients their link: their status, and sending one again. The queue deletes a mail
//! after a while; its final status is then kept with the recipient.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use crate::clock::Timestamp;
use crate::id::{Jti, RecipientId};
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::QueryError;
use crate::web::db::columns::from_column;
use crate::web::forms::record;
use crate::web::forms::record::IdempotencyRecord;
use crate::web::identity::Email;
use crate::web::links::link::{Link, LinkError, LinkStatus, Links, Recipient};
use crate::web::mail::queue::{BOUNCED, MailState};
use crate::web::mail::verdict::MailFault;
use crate::web::mail::{MailDetails, MailKind, NewMail};

/// A mail that was sent and did not bounce can be sent again after this time.
pub const AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);

const MAILINGS: &str = "SELECT recipients.id, COALESCE(mails.state, recipients.mail_state) AS state, \
    COALESCE(mails.fault, recipients.mail_fault) AS fault, \
    COALESCE(mails.ended_at, recipients.mail_ended_at) AS ended_at, mails.problem \
    FROM recipients LEFT JOIN mails ON mails.id = recipients.mail WHERE recipients.mail IS NOT NULL";

/// The status of the mail that brings a recipient the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkMailStatus {
    /// It is still to be sent.
    Waiting {
        /// Why it was not sent yet, if an attempt failed.
        fault: Option<MailFault>,
        /// What the recipient's mail server replied.
        said: Option<String>,
    },
    /// The mail server accepted it.
    Sent {
        /// When it was accepted.
        at: Timestamp,
    },
    /// Sending was given up.
    Failed {
        /// When it was given up.
        at: Timestamp,
        /// Why it failed.
        fault: Option<MailFault>,
        /// What the recipient's mail server replied.
        said: Option<String>,
    },
    /// It was sent and bounced.
    Bounced {
        /// When it bounced.
        at: Timestamp,
        /// What the recipient's mail server replied.
        said: Option<String>,
    },
    /// It was removed from the queue, or there was nothing left to send.
    Dropped,
}

impl LinkMailStatus {
    /// Whether sending it again makes sense: it did not arrive, or it was sent more than [`AGAIN_AFTER`] ago.
    pub fn is_worth_repeating(&self, now: Timestamp) -> bool {
        match self {
            LinkMailStatus::Waiting { .. } => false,
            LinkMailStatus::Sent { at } => now >= at.plus(AGAIN_AFTER),
            LinkMailStatus::Failed { .. } | LinkMailStatus::Bounced { .. } | LinkMailStatus::Dropped => true,
        }
    }
}

/// The result of sending a link again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResendOutcome {
    /// A mail was queued.
    Queued,
    /// One is already queued or was sent recently, or the link can't be used.
    NotNeeded,
    /// The same form has already been processed.
    Before,
    /// The account may no longer do that.
    NotAllowed,
}

impl Links {
    /// Returns the status of a link's mails, by recipient. Recipients for whom no mail was requested are not
    /// included.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mailings(&self, link: &Link) -> Result<BTreeMap<RecipientId, LinkMailStatus>, QueryError> {
        let query = AssertSqlSafe(format!("{MAILINGS} AND recipients.link = $1"));
        let rows = sqlx::query(query).bind(link.id.as_str()).fetch_all(self.db.reader()).await?;
        let mailing =
            |row: &AnyRow| Ok((RecipientId::from_store(&row.try_get::<String, _>("id")?), mailing_of(row)?));
        Ok(rows.iter().map(mailing).collect::<Result<_, sqlx::Error>>()?)
    }

    /// Whether the link may be sent to this recipient: again, or for the first time if `mailing` is `None`.
    pub fn may_be_sent(
        link: &Link,
        recipient: &Recipient,
        mailing: Option<&LinkMailStatus>,
        now: Timestamp,
    ) -> bool {
        link.status(now) == LinkStatus::Open
            && recipient.email.is_some()
            && recipient.removed_at.is_none()
            && recipient.left(link.uses_per_recipient) != Some(0)
            && mailing.is_none_or(|mailing| mailing.is_worth_repeating(now))
    }

    /// Queues the mail that brings a recipient the link, as part of the caller's transaction.
    pub(crate) async fn queue_mail(
        &self,
        transaction: &mut Transaction<'static, Any>,
        recipient: &RecipientId,
        email: &Email,
        now: Timestamp,
    ) -> Result<(), LinkError> {
        let details = MailDetails { recipient: Some(recipient.clone()), ..MailDetails::default() };
        let mail = NewMail { kind: MailKind::Link, recipient: email.clone(), jti: Jti::random()?, details };
        let id = self.queue.add(transaction, &mail, now).await?;
        sqlx::query(
            "UPDATE recipients SET mail = $1, mail_state = NULL, mail_fault = NULL, mail_ended_at = NULL \
             WHERE id = $2",
        )
        .bind(id.as_str())
        .bind(recipient.as_str())
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }

    /// Sends the link to a recipient, in a new mail. An earlier mail that failed is deleted.
    ///
    /// # Errors
    /// See [`LinkError`]; nothing is sent then.
    pub async fn send_again(
        &self,
        link: &Link,
        recipient: &Recipient,
        form: Option<IdempotencyRecord<'_>>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<ResendOutcome, LinkError> {
        let Some(email) = &recipient.email else { return Ok(ResendOutcome::NotNeeded) };
        let mut transaction = self.db.begin().await?;
        if !self.db.lock_account(&mut transaction, link.owner.as_str()).await? {
            return Ok(ResendOutcome::NotAllowed);
        }
        if let Some(form) = form {
            let location = format!("/links/{}", link.id);
            if !record::put(&mut transaction, form, &location, now).await? {
                return Ok(ResendOutcome::Before);
            }
        }
        let query = AssertSqlSafe(format!("{MAILINGS} AND recipients.id = $1"));
        let row = sqlx::query(query).bind(recipient.id.as_str()).fetch_optional(&mut *transaction).await?;
        let mailing = row.map(|row| mailing_of(&row)).transpose()?;
        if !Links::may_be_sent(link, recipient, mailing.as_ref(), now) {
            return Ok(ResendOutcome::NotNeeded);
        }
        sqlx::query(
            "DELETE FROM mails WHERE state = 'failed' AND id = (SELECT mail FROM recipients WHERE id = $1)",
        )
        .bind(recipient.id.as_str())
        .execute(&mut *transaction)
        .await?;
        self.queue_mail(&mut transaction, &recipient.id, email, now).await?;
        let subject = format!("{} (link {}) to {email}", link.title, link.id);
        audit::append(&mut transaction, actor, AuditEvent::LinkSentAgain, &subject, now).await?;
        self.db.commit(transaction).await?;
        self.queue.wake();
        Ok(ResendOutcome::Queued)
    }
}

fn mailing_of(row: &AnyRow) -> Result<LinkMailStatus, sqlx::Error> {
    let state: Option<String> = row.try_get("state")?;
    let word: Option<String> = row.try_get("fault")?;
    let at = row.try_get::<Option<i64>, _>("ended_at")?.map(from_column).unwrap_or_default();
    let problem: Option<String> = row.try_get("problem")?;
    let fault = word.as_deref().and_then(|word| word.parse().ok());
    // Replies of our own server are only for administrators, who have a page for them.
    let is_theirs = matches!(fault, Some(MailFault::Later | MailFault::Refused | MailFault::Mailbox));
    let said = problem.as_deref().filter(|_| is_theirs).and_then(answer_in).map(str::to_owned);
    let state = state.as_deref().and_then(|state| state.parse().ok());
    Ok(match state {
        Some(MailState::Waiting) => LinkMailStatus::Waiting { fault, said },
        Some(MailState::Sent) => LinkMailStatus::Sent { at },
        Some(MailState::Failed) if word.as_deref() == Some(BOUNCED) => {
            let said = problem.as_deref().and_then(|problem| problem.strip_prefix("bounced: "));
            LinkMailStatus::Bounced { at, said: said.filter(|said| !said.is_empty()).map(str::to_owned) }
        }
        Some(MailState::Failed) => LinkMailStatus::Failed { at, fault, said },
        None => LinkMailStatus::Dropped,
    })
}

/// Returns the server's reply, without the name of the server and the step.
fn answer_in(problem: &str) -> Option<&str> {
    let (_, answer) = problem.split_once(", ")?.1.split_once(": ")?;
    Some(answer.trim()).filter(|answer| answer.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_reply_is_quoted() {
        let of = |problem| answer_in(problem);
        assert_eq!(
            of("mail.example:25, recipient: 550 5.1.1 no, really: none"),
            Some("550 5.1.1 no, really: none")
        );
        assert_eq!(of("[::1]:25, content: 552 full"), Some("552 full"));
        assert_eq!(of("mail.example:25, content: no reply within 600 s"), None);
        assert_eq!(of("the email could not be composed"), None);
    }
}
