//! What people do with their own accounts: sign up, activate, change, delete. Each change is one transaction
//! with its line in the audit log and the mails that report it. Doesn't depend on HTTP.

use sqlx::{Any, Transaction};

use crate::clock::Timestamp;
use crate::secret::{Digest, RandomError};
use crate::web::accounts::changes::AccountChanges;
use crate::web::accounts::rows::{end_keys, replace_password};
use crate::web::accounts::store::AccountError;
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};
use crate::web::identity::passwords::StoredPassword;
use crate::web::identity::{Account, AccountId, Email, PersonName};
use crate::web::mail::queue::{MailQueue, QueueError};
use crate::web::mail::request_origin::RequestOrigin;
use crate::web::mail::{MailDetails, MailKind, NewMail};
use crate::web::revocations::issued::IssuedTokens;
use crate::web::webhooks::event::WebhookEvent;
use crate::web::webhooks::outbox;

/// A change couldn't be made.
#[derive(Debug, thiserror::Error)]
pub enum SelfServiceError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A mail couldn't be queued.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The operating system provided no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// An account couldn't be read or stored.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl From<sqlx::Error> for SelfServiceError {
    fn from(error: sqlx::Error) -> SelfServiceError {
        QueryError::from(error).into()
    }
}

/// A sign-up.
#[derive(Clone, Debug)]
pub struct SignUpRequest {
    /// The email address.
    pub email: Email,
    /// The name of the person.
    pub name: PersonName,
    /// The password.
    pub password: StoredPassword,
    /// Digest of the CSRF secret of the browser.
    pub browser: String,
    /// When the account is deleted unless it is activated.
    pub forget_at: Timestamp,
    /// Where the request came from.
    pub asked: RequestOrigin,
}

/// The result of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// The change was made.
    Done,
    /// The account has changed in the meantime; nothing was changed.
    Overtaken,
    /// Another account has the address; nothing was changed.
    EmailTaken,
    /// Nobody would be left who can administer; nothing was changed.
    LastAdministrator,
}

/// Changes that people make to their own accounts. Cheap to clone.
#[derive(Clone)]
pub struct SelfService {
    pub(super) db: Database,
    pub(super) account_changes: AccountChanges,
    pub(super) queue: MailQueue,
    pub(super) issued: IssuedTokens,
}

impl SelfService {
    /// Changes accounts in `db`, records changes in `generations`, and sends mails through `queue`; `issued`
    /// has the tokens to revoke when a right is lost.
    pub const fn new(
        db: Database,
        generations: AccountChanges,
        queue: MailQueue,
        issued: IssuedTokens,
    ) -> SelfService {
        SelfService { db, account_changes: generations, queue, issued }
    }

    /// Requests an account. This replaces an earlier request that wasn't activated, but doesn't change an
    /// account that is active or was created by an administrator. In all cases the same work is done and the
    /// same mail is queued; what it says is decided when it is sent.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn sign_up(
        &self,
        new: &SignUpRequest,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        sqlx::query(
            "INSERT INTO accounts (id, email, email_key, name, admin, disabled, password, created_at, \
             forget_at, signup_browser) VALUES ($1, $2, $3, $4, 0, 0, $5, $6, $7, $8) \
             ON CONFLICT (email_key) DO UPDATE SET email = excluded.email, name = excluded.name, \
             password = excluded.password, created_at = excluded.created_at, \
             forget_at = excluded.forget_at, signup_browser = excluded.signup_browser \
             WHERE accounts.activated_at IS NULL AND accounts.signup_browser IS NOT NULL \
             AND accounts.disabled = 0",
        )
        .bind(AccountId::random()?.as_str())
        .bind(new.email.as_str())
        .bind(new.email.key())
        .bind(new.name.as_str())
        .bind(new.password.as_str())
        .bind(to_column(now))
        .bind(to_column(new.forget_at))
        .bind(&new.browser)
        .execute(&mut *transaction)
        .await?;
        audit::append(&mut transaction, actor, AuditEvent::SignedUp, new.email.as_str(), now).await?;
        let details = MailDetails { asked: Some(new.asked.clone()), ..MailDetails::default() };
        let mail = NewMail::new(MailKind::SignUp, &new.email, details)?;
        self.queue.add(&mut transaction, &mail, now).await?;
        self.db.commit(transaction).await?;
        self.queue.wake();
        Ok(())
    }

    /// Requests a link for someone who forgot their password or needs a link again. Whether there is an
    /// account doesn't matter until the mail is sent, or not sent, later.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn forgot(
        &self,
        email: &Email,
        asked: RequestOrigin,
        now: Timestamp,
    ) -> Result<(), SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        let details = MailDetails { asked: Some(asked), ..MailDetails::default() };
        let mail = NewMail::new(MailKind::Forgot, email, details)?;
        self.queue.add(&mut transaction, &mail, now).await?;
        self.db.commit(transaction).await?;
        self.queue.wake();
        Ok(())
    }

    /// Activates an account whose owner has shown that they receive mail at its address.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn activate(
        &self,
        seen: &Account,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<ChangeOutcome, SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        let changed = sqlx::query(
            "UPDATE accounts SET activated_at = $1, forget_at = NULL, signup_browser = NULL \
             WHERE id = $2 AND activated_at IS NULL AND disabled = 0 AND COALESCE(password, '') = $3 \
             AND email_key = $4",
        )
        .bind(to_column(now))
        .bind(seen.id.as_str())
        .bind(password_of(seen))
        .bind(seen.email.key())
        .execute(&mut *transaction)
        .await?;
        if changed.rows_affected() == 0 {
            return Ok(ChangeOutcome::Overtaken);
        }
        audit::append(&mut transaction, actor, AuditEvent::Activated, seen.email.as_str(), now).await?;
        // Only now, because anyone can request an account for any address.
        outbox::record(&mut transaction, &[WebhookEvent::account_created(&seen.id)], now).await?;
        self.account_changes.commit(transaction, &seen.id).await?;
        Ok(ChangeOutcome::Done)
    }

    /// Accepts an invitation: sets the name and the first password.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn accept_invitation(
        &self,
        seen: &Account,
        name: &PersonName,
        password: &StoredPassword,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<ChangeOutcome, SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        if !replace_password(&mut transaction, seen, password).await? {
            return Ok(ChangeOutcome::Overtaken);
        }
        sqlx::query("UPDATE accounts SET name = $1 WHERE id = $2")
            .bind(name.as_str())
            .bind(seen.id.as_str())
            .execute(&mut *transaction)
            .await?;
        audit::append(&mut transaction, actor, AuditEvent::Activated, seen.email.as_str(), now).await?;
        self.account_changes.commit(transaction, &seen.id).await?;
        Ok(ChangeOutcome::Done)
    }

    /// Changes the password, ends all sessions of the account, and informs its owner by mail.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn change_password(
        &self,
        seen: &Account,
        password: &StoredPassword,
        actor: &Actor,
        event: AuditEvent,
        asked: RequestOrigin,
        now: Timestamp,
    ) -> Result<ChangeOutcome, SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        if !replace_password(&mut transaction, seen, password).await? {
            return Ok(ChangeOutcome::Overtaken);
        }
        if event == AuditEvent::PasswordReset {
            // Whoever had the account before may have made keys.
            end_keys(&mut transaction, &seen.id, now).await?;
        }
        drop_address_change(&mut transaction, &seen.id).await?;
        audit::append(&mut transaction, actor, event, seen.email.as_str(), now).await?;
        let details = MailDetails { asked: Some(asked), ..MailDetails::of(&seen.id) };
        let mail = NewMail::new(MailKind::PasswordChanged, &seen.email, details)?;
        self.queue.add(&mut transaction, &mail, now).await?;
        outbox::record(&mut transaction, &first_password_of_sign_up(seen), now).await?;
        self.account_changes.commit(transaction, &seen.id).await?;
        self.queue.wake();
        Ok(ChangeOutcome::Done)
    }

    /// Changes the owner's name.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn rename(&self, id: &AccountId, name: &PersonName) -> Result<(), SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        sqlx::query("UPDATE accounts SET name = $1 WHERE id = $2")
            .bind(name.as_str())
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?;
        Ok(self.account_changes.commit(transaction, id).await?)
    }

    /// Deletes accounts that weren't activated in time, and returns how many.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_unactivated(&self, now: Timestamp) -> Result<u64, QueryError> {
        let gone = sqlx::query("DELETE FROM accounts WHERE activated_at IS NULL AND forget_at <= $1")
            .bind(to_column(now))
            .execute(self.db.writer())
            .await?;
        Ok(gone.rows_affected())
    }
}

/// Returns how the browser that signs up is remembered: by the digest of its CSRF secret.
pub fn browser_mark(secret: &Digest) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret.as_bytes())
}

/// Returns what webhooks are told if this password activates an account that its owner requested.
fn first_password_of_sign_up(seen: &Account) -> Vec<WebhookEvent> {
    let activates = seen.activated_at.is_none() && seen.signup_browser.is_some();
    activates.then(|| WebhookEvent::account_created(&seen.id)).into_iter().collect()
}

pub(super) async fn drop_address_change(
    transaction: &mut Transaction<'static, Any>,
    id: &AccountId,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM address_changes WHERE account = $1")
        .bind(id.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn password_of(account: &Account) -> &str {
    account.password.as_ref().map_or("", StoredPassword::as_str)
}
