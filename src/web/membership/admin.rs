//! What administrators do with the accounts of others. Each change is one transaction with its line in the
//! audit log, and immediately ends the sessions and tokens that are no longer allowed.
//!
//! Invariant: a transaction locks the account's row first, then what belongs to the account, then the audit
//! log, which all share, and finally the counter of changes. Logins and password changes use the same order,
//! so on PostgreSQL they wait for each other, but never deadlock.

use std::collections::BTreeSet;

use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::human::counted;
use crate::id::MailId;
use crate::web::accounts::changes::AccountChanges;
use crate::web::accounts::rows::{end_keys, end_sessions, insert, other_administrators};
use crate::web::accounts::store::{Accounts, AddOutcome};
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};
use crate::web::identity::{Account, AccountId, Email, GroupName, NewAccount};
use crate::web::mail::queue::{MailQueue, MailState};
use crate::web::mail::{MailDetails, MailKind, NewMail};
use crate::web::membership::self_service::{ChangeOutcome, SelfServiceError};
use crate::web::revocations::issued::IssuedTokens;
use crate::web::shares::editor::homes;
use crate::web::webhooks::event::WebhookEvent;
use crate::web::webhooks::outbox;

/// The administration of accounts. Cheap to clone.
#[derive(Clone)]
pub struct AccountAdmin {
    /// The database with the accounts.
    pub db: Database,
    /// The table of accounts.
    pub accounts: Accounts,
    /// The feed that invalidates cached accounts.
    pub account_changes: AccountChanges,
    /// The mail queue.
    pub queue: MailQueue,
    /// Tokens that may have to be revoked.
    pub issued: IssuedTokens,
}

impl AccountAdmin {
    /// Creates an account and invites its owner by mail. Returns `AddOutcome::EmailTaken` if the address
    /// already has an account.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn invite(
        &self,
        new: NewAccount,
        by: &Account,
        actor: &Actor,
        forget_at: Timestamp,
        now: Timestamp,
    ) -> Result<AddOutcome, SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        let added = insert(&mut transaction, new, now).await?;
        let AddOutcome::New(account) = &added else { return Ok(added) };
        sqlx::query("UPDATE accounts SET forget_at = $1 WHERE id = $2")
            .bind(to_column(forget_at))
            .bind(account.id.as_str())
            .execute(&mut *transaction)
            .await?;
        audit::append(&mut transaction, actor, AuditEvent::Invited, account.email.as_str(), now).await?;
        let details = MailDetails { by: Some(by.name.as_str().to_owned()), ..MailDetails::of(&account.id) };
        let mail = NewMail::new(MailKind::Invite, &account.email, details)?;
        self.queue.add(&mut transaction, &mail, now).await?;
        outbox::record(&mut transaction, &[WebhookEvent::account_created(&account.id)], now).await?;
        self.db.commit(transaction).await?;
        self.queue.wake();
        Ok(added)
    }

    /// Mails the owner of an account a link with which they can get into it.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn send_link(
        &self,
        account: &Account,
        by: &Account,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        let details = MailDetails { by: Some(by.name.as_str().to_owned()), ..MailDetails::of(&account.id) };
        let mail = NewMail::new(MailKind::Forgot, &account.email, details)?;
        self.queue.add(&mut transaction, &mail, now).await?;
        audit::append(&mut transaction, actor, AuditEvent::ResetSent, account.email.as_str(), now).await?;
        self.db.commit(transaction).await?;
        self.queue.wake();
        Ok(())
    }

    /// Enables or disables an account. Disabling ends its sessions and revokes its API keys and its valid tokens. The last
    /// administrator can't be disabled.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn set_disabled(
        &self,
        account: &Account,
        disabled: bool,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<ChangeOutcome, SelfServiceError> {
        let event = if disabled { AuditEvent::Disabled } else { AuditEvent::Enabled };
        let mut transaction = self.db.begin().await?;
        let Some(administers) = lock(&mut transaction, &account.id).await? else {
            return Ok(ChangeOutcome::Overtaken);
        };
        sqlx::query("UPDATE accounts SET disabled = $1 WHERE id = $2")
            .bind(i64::from(disabled))
            .bind(account.id.as_str())
            .execute(&mut *transaction)
            .await?;
        if disabled {
            end_sessions(&mut transaction, &account.id).await?;
            end_keys(&mut transaction, &account.id, now).await?;
            self.issued.review(&mut transaction, &account.id, now).await?;
        }
        if disabled && administers && nobody_else_administers(&mut transaction, &account.id).await? {
            return Ok(ChangeOutcome::LastAdministrator);
        }
        audit::append(&mut transaction, actor, event, account.email.as_str(), now).await?;
        self.account_changes.commit(transaction, &account.id).await?;
        self.issued.revocations.wake();
        Ok(ChangeOutcome::Done)
    }

    /// Sets the account's groups and whether it is an administrator, and revokes tokens for files that it may
    /// no longer read. The last administrator keeps the role.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn set_rights(
        &self,
        account: &Account,
        groups: &BTreeSet<GroupName>,
        admin: bool,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<ChangeOutcome, SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        let Some(administers) = lock(&mut transaction, &account.id).await? else {
            return Ok(ChangeOutcome::Overtaken);
        };
        sqlx::query("UPDATE accounts SET admin = $1 WHERE id = $2")
            .bind(i64::from(admin))
            .bind(account.id.as_str())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM account_groups WHERE account = $1")
            .bind(account.id.as_str())
            .execute(&mut *transaction)
            .await?;
        for group in groups {
            sqlx::query("INSERT INTO account_groups (account, name) VALUES ($1, $2)")
                .bind(account.id.as_str())
                .bind(group.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        if administers && !admin && nobody_else_administers(&mut transaction, &account.id).await? {
            return Ok(ChangeOutcome::LastAdministrator);
        }
        self.issued.review(&mut transaction, &account.id, now).await?;
        let listed: Vec<&str> = groups.iter().map(GroupName::as_str).collect();
        let role = if admin { "administrator" } else { "no administrator" };
        let subject = format!("{}: {role}, groups: {}", account.email, listed.join(" "));
        audit::append(&mut transaction, actor, AuditEvent::RightsChanged, &subject, now).await?;
        self.account_changes.commit(transaction, &account.id).await?;
        self.issued.revocations.wake();
        Ok(ChangeOutcome::Done)
    }

    /// Deletes an account with its sessions and links, and revokes its valid tokens. Its own files go to the
    /// trash. The last administrator can't be deleted.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn delete(
        &self,
        account: &Account,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<ChangeOutcome, SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        let Some(administers) = lock(&mut transaction, &account.id).await? else {
            return Ok(ChangeOutcome::Overtaken);
        };
        sqlx::query("DELETE FROM accounts WHERE id = $1")
            .bind(account.id.as_str())
            .execute(&mut *transaction)
            .await?;
        homes::mark_departed(&mut transaction, &account.id).await?;
        self.issued.review(&mut transaction, &account.id, now).await?;
        let details = MailDetails { name: Some(account.name.as_str().to_owned()), ..MailDetails::default() };
        let mail = NewMail::new(MailKind::AccountDeleted, &account.email, details)?;
        self.queue.add(&mut transaction, &mail, now).await?;
        if administers && nobody_else_administers(&mut transaction, &account.id).await? {
            return Ok(ChangeOutcome::LastAdministrator);
        }
        audit::append(&mut transaction, actor, AuditEvent::AccountDeleted, account.email.as_str(), now)
            .await?;
        self.account_changes.commit(transaction, &account.id).await?;
        self.queue.wake();
        self.issued.revocations.wake();
        Ok(ChangeOutcome::Done)
    }

    /// Records in the audit log what was done to this address.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn note(
        &self,
        email: &Email,
        actor: &Actor,
        event: AuditEvent,
        now: Timestamp,
    ) -> Result<(), SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        audit::append(&mut transaction, actor, event, email.as_str(), now).await?;
        Ok(self.db.commit(transaction).await?)
    }

    /// Schedules a mail for another attempt now, and returns whether it exists.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn retry_mail(
        &self,
        id: &MailId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<bool, SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        let about = about_mail(&mut transaction, id).await?;
        if !self.queue.retry(&mut transaction, id, now).await? {
            return Ok(false);
        }
        audit::append(&mut transaction, actor, AuditEvent::MailRetried, &about, now).await?;
        self.db.commit(transaction).await?;
        self.queue.wake();
        Ok(true)
    }

    /// Schedules all mails in this state for another attempt now, except those whose mailbox doesn't exist,
    /// and returns how many.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn retry_mails(
        &self,
        state: MailState,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<u64, SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        let tried = self.queue.retry_all(&mut transaction, state, now).await?;
        if tried > 0 {
            let about = format!("{} ({})", counted(tried, "mail"), state.as_str());
            audit::append(&mut transaction, actor, AuditEvent::MailRetried, &about, now).await?;
        }
        self.db.commit(transaction).await?;
        self.queue.wake();
        Ok(tried)
    }

    /// Deletes a mail from the queue, and returns whether it existed.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn discard_mail(
        &self,
        id: &MailId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<bool, SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        let about = about_mail(&mut transaction, id).await?;
        if !self.queue.discard(&mut transaction, id).await? {
            return Ok(false);
        }
        audit::append(&mut transaction, actor, AuditEvent::MailDiscarded, &about, now).await?;
        self.db.commit(transaction).await?;
        Ok(true)
    }

    /// Returns the account with this id, which may be any text.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find(&self, id: &str) -> Result<Option<Account>, SelfServiceError> {
        // PostgreSQL returns an error for a NUL instead of finding nothing.
        if id.contains('\0') {
            return Ok(None);
        }
        Ok(self.accounts.by_id(&AccountId::from_store(id)).await?)
    }
}

/// Locks the account's row, so that nobody else changes it before the end of the transaction. Returns whether
/// the account can administer now; `None` if it no longer exists.
async fn lock(
    transaction: &mut Transaction<'static, Any>,
    id: &AccountId,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query("UPDATE accounts SET admin = admin WHERE id = $1")
        .bind(id.as_str())
        .execute(&mut **transaction)
        .await?;
    let administers: Option<i64> = sqlx::query_scalar(
        "SELECT CASE WHEN admin = 1 AND disabled = 0 AND activated_at IS NOT NULL THEN 1 ELSE 0 END \
         FROM accounts WHERE id = $1",
    )
    .bind(id.as_str())
    .fetch_optional(&mut **transaction)
    .await?;
    Ok(administers.map(|administers| administers == 1))
}

/// Returns whether no other account can administer. The result holds until the end of the transaction: if two
/// administrators remove each other's role, the lock on the audit log makes one wait for the other.
async fn nobody_else_administers(
    transaction: &mut Transaction<'static, Any>,
    id: &AccountId,
) -> Result<bool, QueryError> {
    audit::lock(transaction).await?;
    Ok(other_administrators(transaction, id).await? == 0)
}

/// Describes a mail for the audit log, so that the line can be understood after the mail was deleted.
async fn about_mail(transaction: &mut Transaction<'static, Any>, id: &MailId) -> Result<String, sqlx::Error> {
    let row = sqlx::query("SELECT kind, recipient FROM mails WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
    let Some(row) = row else { return Ok(String::new()) };
    let (kind, recipient): (String, String) = (row.try_get("kind")?, row.try_get("recipient")?);
    Ok(format!("{recipient} ({kind})"))
}
