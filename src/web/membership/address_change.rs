//! How people change the address of their own account: the new one takes effect once it's confirmed.

use sqlx::Row;

use crate::clock::Timestamp;
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::QueryError;
use crate::web::db::columns::to_column;
use crate::web::identity::{Account, AccountId, Email};
use crate::web::mail::request_origin::RequestOrigin;
use crate::web::mail::{MailDetails, MailKind, NewMail};
use crate::web::membership::self_service::{
    ChangeOutcome, SelfService, SelfServiceError, drop_address_change,
};

impl SelfService {
    /// Requests another address, which takes effect once someone confirms it there. `mail` says whether a
    /// mail may be sent to it now.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn request_address(
        &self,
        account: &Account,
        email: &Email,
        mail: bool,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        sqlx::query(
            "INSERT INTO address_changes (account, email, requested_at) VALUES ($1, $2, $3) \
             ON CONFLICT (account) DO UPDATE SET email = excluded.email, requested_at = excluded.requested_at",
        )
        .bind(account.id.as_str())
        .bind(email.as_str())
        .bind(to_column(now))
        .execute(&mut *transaction)
        .await?;
        audit::append(&mut transaction, actor, AuditEvent::AddressChangeRequested, email.as_str(), now)
            .await?;
        if mail {
            let details = MailDetails::of(&account.id);
            let mail = NewMail::new(MailKind::ConfirmAddress, email, details)?;
            self.queue.add(&mut transaction, &mail, now).await?;
        }
        self.db.commit(transaction).await?;
        self.queue.wake();
        Ok(())
    }

    /// Sends the mail for confirming an address again.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn confirm_again(
        &self,
        id: &AccountId,
        email: &Email,
        now: Timestamp,
    ) -> Result<(), SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        let mail = NewMail::new(MailKind::ConfirmAddress, email, MailDetails::of(id))?;
        self.queue.add(&mut transaction, &mail, now).await?;
        self.db.commit(transaction).await?;
        self.queue.wake();
        Ok(())
    }

    /// Returns the address that the account's owner has requested, if any.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn requested_address(&self, id: &AccountId) -> Result<Option<Email>, QueryError> {
        let row = sqlx::query("SELECT email FROM address_changes WHERE account = $1")
            .bind(id.as_str())
            .fetch_optional(self.db.reader())
            .await?;
        Ok(row.map(|row| row.try_get("email")).transpose()?.map(Email::from_store))
    }

    /// Cancels the request for another address.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn keep_address(&self, id: &AccountId) -> Result<(), QueryError> {
        let mut transaction = self.db.begin().await?;
        drop_address_change(&mut transaction, id).await?;
        self.db.commit(transaction).await
    }

    /// Changes the address to one that was confirmed, and sends a mail to the old one.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn change_address(
        &self,
        seen: &Account,
        email: &Email,
        actor: &Actor,
        asked: Option<RequestOrigin>,
        now: Timestamp,
    ) -> Result<ChangeOutcome, SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        // Checked first, because a violated constraint would abort the transaction on PostgreSQL, and its
        // message differs between the engines. If someone takes the address in between, the update fails.
        let taken: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM accounts WHERE email_key = $1 AND id <> $2")
                .bind(email.key())
                .bind(seen.id.as_str())
                .fetch_one(&mut *transaction)
                .await?;
        if taken > 0 {
            return Ok(ChangeOutcome::EmailTaken);
        }
        let changed = sqlx::query(
            "UPDATE accounts SET email = $1, email_key = $2 WHERE id = $3 AND email_key = $4 AND disabled = 0",
        )
        .bind(email.as_str())
        .bind(email.key())
        .bind(seen.id.as_str())
        .bind(seen.email.key())
        .execute(&mut *transaction)
        .await?;
        if changed.rows_affected() == 0 {
            return Ok(ChangeOutcome::Overtaken);
        }
        drop_address_change(&mut transaction, &seen.id).await?;
        // Shares may name people by their addresses.
        self.issued.review(&mut transaction, &seen.id, now).await?;
        audit::append(&mut transaction, actor, AuditEvent::AddressChanged, email.as_str(), now).await?;
        let details = MailDetails {
            name: Some(seen.name.as_str().to_owned()),
            email: Some(email.as_str().to_owned()),
            asked,
            ..MailDetails::default()
        };
        let mail = NewMail::new(MailKind::AddressChanged, &seen.email, details)?;
        self.queue.add(&mut transaction, &mail, now).await?;
        self.account_changes.commit(transaction, &seen.id).await?;
        self.queue.wake();
        self.issued.revocations.wake();
        Ok(ChangeOutcome::Done)
    }
}
