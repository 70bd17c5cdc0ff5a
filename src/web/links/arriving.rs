//! Links whose files are being uploaded: mailing their recipients when everything is there, and doing without
//! what is missing.

use crate::clock::Timestamp;
use crate::id::{LinkId, RecipientId};
use crate::web::arrivals;
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::identity::Email;
use crate::web::links::link::{Link, LinkError, Links};

/// Maximum number of links whose recipients are mailed in one round.
const AT_ONCE: i64 = 100;

impl Links {
    /// Makes a link complete with what has arrived; its owner has said that no more is coming. Returns false if
    /// it doesn't wait for files, or if nothing has arrived.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn settle_for_less(
        &self,
        link: &Link,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<bool, LinkError> {
        let mut transaction = self.db.begin().await?;
        self.db.lock_account(&mut transaction, link.owner.as_str()).await?;
        if !arrivals::settle_for_less(&mut transaction, &link.id).await? {
            return Ok(false);
        }
        let subject = format!("{} (link {})", link.title, link.id);
        audit::append(&mut transaction, actor, AuditEvent::LinkChanged, &subject, now).await?;
        self.db.commit(transaction).await?;
        Ok(true)
    }

    /// Queues the mails of links whose files have all arrived, and returns how many. Those of links that ended
    /// instead are dropped.
    ///
    /// # Errors
    /// See [`LinkError`]; the mails that are left are queued in the next round.
    pub async fn mail_arrived(&self, now: Timestamp) -> Result<usize, LinkError> {
        let waiting: Vec<(String, String)> = sqlx::query_as(
            "SELECT id, account FROM links WHERE mails_wait = 1 AND arrival <> 'uploading' LIMIT $1",
        )
        .bind(AT_ONCE)
        .fetch_all(self.db.reader())
        .await?;
        let mut queued = 0;
        for (link, owner) in waiting {
            queued += self.mail_recipients(&LinkId::from_store(&link), &owner, now).await?;
        }
        if queued > 0 {
            self.queue.wake();
        }
        Ok(queued)
    }

    async fn mail_recipients(&self, link: &LinkId, owner: &str, now: Timestamp) -> Result<usize, LinkError> {
        let mut transaction = self.db.begin().await?;
        self.db.lock_account(&mut transaction, owner).await?;
        // Another process may have done it since we looked.
        let taken = sqlx::query("UPDATE links SET mails_wait = 0 WHERE id = $1 AND mails_wait = 1")
            .bind(link.as_str())
            .execute(&mut *transaction)
            .await?;
        if taken.rows_affected() == 0 {
            return Ok(0);
        }
        // Whether a mail is still to be sent is decided again when it is composed.
        let recipients: Vec<(String, String)> = sqlx::query_as(
            "SELECT recipients.id, recipients.email FROM recipients JOIN links ON links.id = recipients.link \
             WHERE links.id = $1 AND links.arrival = 'complete' AND recipients.email IS NOT NULL \
             AND recipients.removed_at IS NULL AND recipients.mail IS NULL ORDER BY recipients.position",
        )
        .bind(link.as_str())
        .fetch_all(&mut *transaction)
        .await?;
        for (id, email) in &recipients {
            let (id, email) = (RecipientId::from_store(id), Email::from_store(email.clone()));
            self.queue_mail(&mut transaction, &id, &email, now).await?;
        }
        self.db.commit(transaction).await?;
        Ok(recipients.len())
    }
}
