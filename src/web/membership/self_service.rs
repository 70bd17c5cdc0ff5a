//! What people do with accounts of their own: sign up, activate, change, delete. Each change is one
//! transaction with its line in the audit log and the mails that tell of it. Knows nothing of HTTP.

use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::secret::{Digest, RandomError};
use crate::web::accounts::changes::AccountChanges;
use crate::web::accounts::rows::replace_password;
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

/// A change could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SelfServiceError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A mail could not be queued.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// An account could not be read or stored.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl From<sqlx::Error> for SelfServiceError {
    fn from(error: sqlx::Error) -> SelfServiceError {
        QueryError::from(error).into()
    }
}

/// What somebody who signs up gives.
#[derive(Clone, Debug)]
pub struct SignUpRequest {
    /// His address.
    pub email: Email,
    /// His name.
    pub name: PersonName,
    /// His password.
    pub password: StoredPassword,
    /// Digest of the secret behind his browser's forms.
    pub browser: String,
    /// When the account is forgotten unless it is activated before.
    pub forget_at: Timestamp,
    /// From where he asks.
    pub asked: RequestOrigin,
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// It is made.
    Done,
    /// The account is not any more as it was seen; nothing was changed.
    Overtaken,
    /// Somebody else has the address; nothing was changed.
    EmailTaken,
    /// Nobody would be left who can administer; nothing was changed.
    LastAdministrator,
}

/// Changes that people make to their own accounts. Cheap to clone.
#[derive(Clone)]
pub struct SelfService {
    db: Database,
    account_changes: AccountChanges,
    queue: MailQueue,
    issued: IssuedTokens,
}

impl SelfService {
    /// Changes in `db`, told to `generations`, with mails through `queue`; what was given out by a right
    /// that is lost is among `issued`.
    pub const fn new(
        db: Database,
        generations: AccountChanges,
        queue: MailQueue,
        issued: IssuedTokens,
    ) -> SelfService {
        SelfService { db, account_changes: generations, queue, issued }
    }

    /// Somebody asks for an account. What was asked for and not yet activated gives way to it; an
    /// account that is active, or that an administrator made, stays as it is. Either way the same
    /// work is done, and the same mail queued, which says at its sending what there is.
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
        transaction.commit().await?;
        self.queue.wake();
        Ok(())
    }

    /// Somebody forgot his password, or wants a link once more. Whether there is an account decides
    /// nothing but what the mail says, or whether it is sent, later.
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
        transaction.commit().await?;
        self.queue.wake();
        Ok(())
    }

    /// The owner of the address showed that mail reaches him.
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
        self.account_changes.commit(transaction, &seen.id).await?;
        Ok(ChangeOutcome::Done)
    }

    /// Somebody who was invited says how he is called and chooses his first password.
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

    /// The account gets another password, all its sessions end, and its owner is told by mail.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn change_password(
        &self,
        seen: &Account,
        password: &StoredPassword,
        actor: &Actor,
        deed: AuditEvent,
        asked: RequestOrigin,
        now: Timestamp,
    ) -> Result<ChangeOutcome, SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        if !replace_password(&mut transaction, seen, password).await? {
            return Ok(ChangeOutcome::Overtaken);
        }
        drop_address_change(&mut transaction, &seen.id).await?;
        audit::append(&mut transaction, actor, deed, seen.email.as_str(), now).await?;
        let details = MailDetails { asked: Some(asked), ..MailDetails::of(&seen.id) };
        let mail = NewMail::new(MailKind::PasswordChanged, &seen.email, details)?;
        self.queue.add(&mut transaction, &mail, now).await?;
        self.account_changes.commit(transaction, &seen.id).await?;
        self.queue.wake();
        Ok(ChangeOutcome::Done)
    }

    /// The owner wants to be called otherwise.
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

    /// The owner wants another address; it counts once somebody there confirms it. `mail` says
    /// whether a mail may go there now.
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
        transaction.commit().await?;
        self.queue.wake();
        Ok(())
    }

    /// The mail that asks to confirm the address goes out once more.
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
        transaction.commit().await?;
        self.queue.wake();
        Ok(())
    }

    /// The address that the account is to have, if its owner asked for one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn requested_address(&self, id: &AccountId) -> Result<Option<Email>, QueryError> {
        let row = sqlx::query("SELECT email FROM address_changes WHERE account = $1")
            .bind(id.as_str())
            .fetch_optional(self.db.reader())
            .await?;
        Ok(row.map(|row| row.try_get("email")).transpose()?.map(Email::from_store))
    }

    /// The owner keeps the address that he has.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep_address(&self, id: &AccountId) -> Result<(), QueryError> {
        let mut transaction = self.db.begin().await?;
        drop_address_change(&mut transaction, id).await?;
        Ok(transaction.commit().await?)
    }

    /// The account gets the address that was confirmed; the old one is told by mail.
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
        // Asked first: a violated constraint would end the transaction on PostgreSQL, and its message
        // differs between the engines. Whoever comes in between makes the update fail, not succeed.
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

    /// Forgets accounts that nobody activated in time, and answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_unactivated(&self, now: Timestamp) -> Result<u64, QueryError> {
        let gone = sqlx::query("DELETE FROM accounts WHERE activated_at IS NULL AND forget_at <= $1")
            .bind(to_column(now))
            .execute(self.db.writer())
            .await?;
        Ok(gone.rows_affected())
    }
}

/// How the browser that signs up is remembered: by the digest of the secret behind its forms.
pub fn browser_mark(secret: &Digest) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret.as_bytes())
}

async fn drop_address_change(
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
