//! The second factors in the database.

use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::secret::{RandomError, Secret};
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::columns::{from_column, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::identity::{Account, AccountId};
use crate::web::second_factor::proof::FactorProof;
use crate::web::second_factor::recovery::{COUNT, RecoveryCode};
use crate::web::second_factor::totp::{self, NewFactor};
use crate::web::tokens::link_key::LinkKey;

/// Something about a second factor failed.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The operating system provided no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl From<sqlx::Error> for FactorError {
    fn from(error: sqlx::Error) -> FactorError {
        QueryError::from(error).into()
    }
}

/// Whether an account has a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorState {
    /// It has none, and none is being set up.
    Off,
    /// Its app has the secret, but that isn't confirmed: it counts as having none.
    Begun,
    /// It has one.
    On {
        /// Since when.
        since: Timestamp,
        /// How many recovery codes are left.
        codes_left: u64,
    },
}

/// The second factors of all accounts. Cheap to clone.
#[derive(Clone)]
pub struct SecondFactors {
    db: Database,
    key: LinkKey,
}

impl SecondFactors {
    /// Keeps second factors in `db`; their secrets follow from `key`.
    pub const fn new(db: Database, key: LinkKey) -> SecondFactors {
        SecondFactors { db, key }
    }

    /// Returns the key that seals logins which wait for their code.
    pub const fn key(&self) -> &LinkKey {
        &self.key
    }

    /// Returns whether an account has a second factor.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn state(&self, account: &AccountId) -> Result<FactorState, FactorError> {
        let row = sqlx::query(
            "SELECT confirmed_at, (SELECT COUNT(*) FROM recovery_codes WHERE account = $1) \
             FROM second_factors WHERE account = $1",
        )
        .bind(account.as_str())
        .fetch_optional(self.db.reader())
        .await?;
        let Some(row) = row else { return Ok(FactorState::Off) };
        let (since, left): (Option<i64>, i64) = (row.try_get(0)?, row.try_get(1)?);
        Ok(match since {
            None => FactorState::Begun,
            Some(since) => {
                FactorState::On { since: from_column(since), codes_left: u64::try_from(left).unwrap_or(0) }
            }
        })
    }

    /// Begins to set one up, unless the account has one; then it returns `false`.
    ///
    /// # Errors
    /// See [`FactorError`].
    pub async fn begin(&self, account: &AccountId) -> Result<bool, FactorError> {
        let salt = Secret::random::<16>()?;
        let begun = sqlx::query(
            "INSERT INTO second_factors (account, salt) VALUES ($1, $2) \
             ON CONFLICT (account) DO UPDATE SET salt = excluded.salt, last_step = 0 \
             WHERE second_factors.confirmed_at IS NULL",
        )
        .bind(account.as_str())
        .bind(salt.reveal())
        .execute(self.db.writer())
        .await?;
        Ok(begun.rows_affected() > 0)
    }

    /// Returns what the app of an account needs while its second factor is being set up.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn being_set_up(
        &self,
        account: &Account,
        issuer: &str,
    ) -> Result<Option<NewFactor>, FactorError> {
        let query = "SELECT salt FROM second_factors WHERE account = $1 AND confirmed_at IS NULL";
        let salt: Option<String> =
            sqlx::query_scalar(query).bind(account.id.as_str()).fetch_optional(self.db.reader()).await?;
        Ok(salt.and_then(|salt| totp::new_factor(&self.key, &account.id, &salt, &account.email, issuer)))
    }

    /// Turns it on if the code is right, and returns the recovery codes, which can't be read again.
    ///
    /// # Errors
    /// See [`FactorError`].
    pub async fn confirm(
        &self,
        account: &Account,
        typed: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Option<Vec<RecoveryCode>>, FactorError> {
        let mut transaction = self.db.begin().await?;
        if !self.db.lock_account(&mut transaction, account.id.as_str()).await? {
            return Ok(None);
        }
        let query = "SELECT salt FROM second_factors WHERE account = $1 AND confirmed_at IS NULL";
        let salt: Option<String> =
            sqlx::query_scalar(query).bind(account.id.as_str()).fetch_optional(&mut *transaction).await?;
        let Some(step) = salt.and_then(|salt| self.step_of(&account.id, &salt, typed, now)) else {
            return Ok(None);
        };
        sqlx::query("UPDATE second_factors SET confirmed_at = $1, last_step = $2 WHERE account = $3")
            .bind(to_column(now))
            .bind(step)
            .bind(account.id.as_str())
            .execute(&mut *transaction)
            .await?;
        let codes = self.replace_codes(&mut transaction, &account.id).await?;
        let email = account.email.as_str();
        audit::append(&mut transaction, actor, AuditEvent::SecondFactorOn, email, now).await?;
        self.db.commit(transaction).await?;
        Ok(Some(codes))
    }

    /// Replaces the recovery codes of an account that has a second factor.
    ///
    /// # Errors
    /// See [`FactorError`].
    pub async fn renew_codes(
        &self,
        account: &Account,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Option<Vec<RecoveryCode>>, FactorError> {
        let mut transaction = self.db.begin().await?;
        if !self.db.lock_account(&mut transaction, account.id.as_str()).await? {
            return Ok(None);
        }
        let query = "SELECT COUNT(*) FROM second_factors WHERE account = $1 AND confirmed_at IS NOT NULL";
        let on: i64 =
            sqlx::query_scalar(query).bind(account.id.as_str()).fetch_one(&mut *transaction).await?;
        if on == 0 {
            return Ok(None);
        }
        let codes = self.replace_codes(&mut transaction, &account.id).await?;
        let email = account.email.as_str();
        audit::append(&mut transaction, actor, AuditEvent::RecoveryCodesRenewed, email, now).await?;
        self.db.commit(transaction).await?;
        Ok(Some(codes))
    }

    async fn replace_codes(
        &self,
        transaction: &mut Transaction<'static, Any>,
        account: &AccountId,
    ) -> Result<Vec<RecoveryCode>, FactorError> {
        sqlx::query("DELETE FROM recovery_codes WHERE account = $1")
            .bind(account.as_str())
            .execute(&mut **transaction)
            .await?;
        let mut codes = Vec::with_capacity(COUNT);
        for _ in 0..COUNT {
            let code = RecoveryCode::random()?;
            sqlx::query("INSERT INTO recovery_codes (account, digest) VALUES ($1, $2)")
                .bind(account.as_str())
                .bind(code.mark(&self.key, account))
                .execute(&mut **transaction)
                .await?;
            codes.push(code);
        }
        Ok(codes)
    }

    /// Removes it. `event` says who did so. Returns whether there was one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove(
        &self,
        account: &Account,
        actor: &Actor,
        event: AuditEvent,
        now: Timestamp,
    ) -> Result<bool, FactorError> {
        let mut transaction = self.db.begin().await?;
        self.db.lock_account(&mut transaction, account.id.as_str()).await?;
        let removed = sqlx::query("DELETE FROM second_factors WHERE account = $1")
            .bind(account.id.as_str())
            .execute(&mut *transaction)
            .await?;
        if removed.rows_affected() == 0 {
            return Ok(false);
        }
        audit::append(&mut transaction, actor, event, account.email.as_str(), now).await?;
        self.db.commit(transaction).await?;
        Ok(true)
    }

    /// Returns a proof for an account without a second factor; `None` if it has one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn not_needed(&self, account: &AccountId) -> Result<Option<FactorProof>, FactorError> {
        let state = self.state(account).await?;
        Ok((!matches!(state, FactorState::On { .. })).then(|| FactorProof::of(account.clone())))
    }

    /// Checks a code from the app, or a recovery code. The right one is used up by this.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn check(
        &self,
        account: &Account,
        typed: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Option<FactorProof>, FactorError> {
        let right = match RecoveryCode::parse(typed) {
            Some(code) => self.use_recovery_code(account, &code, actor, now).await?,
            None => self.use_code(&account.id, typed, now).await?,
        };
        Ok(right.then(|| FactorProof::of(account.id.clone())))
    }

    async fn use_code(&self, account: &AccountId, typed: &str, now: Timestamp) -> Result<bool, FactorError> {
        let query = "SELECT salt FROM second_factors WHERE account = $1 AND confirmed_at IS NOT NULL";
        let salt: Option<String> =
            sqlx::query_scalar(query).bind(account.as_str()).fetch_optional(self.db.reader()).await?;
        let Some(step) = salt.and_then(|salt| self.step_of(account, &salt, typed, now)) else {
            return Ok(false);
        };
        // One statement, so that of any number of logins with one code, one succeeds.
        let used = sqlx::query(
            "UPDATE second_factors SET last_step = $1 \
             WHERE account = $2 AND confirmed_at IS NOT NULL AND last_step < $1",
        )
        .bind(step)
        .bind(account.as_str())
        .execute(self.db.writer())
        .await?;
        Ok(used.rows_affected() == 1)
    }

    async fn use_recovery_code(
        &self,
        account: &Account,
        code: &RecoveryCode,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<bool, FactorError> {
        let mut transaction = self.db.begin().await?;
        let used = sqlx::query("DELETE FROM recovery_codes WHERE account = $1 AND digest = $2")
            .bind(account.id.as_str())
            .bind(code.mark(&self.key, &account.id))
            .execute(&mut *transaction)
            .await?;
        if used.rows_affected() == 0 {
            return Ok(false);
        }
        let email = account.email.as_str();
        audit::append(&mut transaction, actor, AuditEvent::RecoveryCodeUsed, email, now).await?;
        self.db.commit(transaction).await?;
        Ok(true)
    }

    fn step_of(&self, account: &AccountId, salt: &str, typed: &str, now: Timestamp) -> Option<i64> {
        totp::codes(&self.key, account, salt).and_then(|codes| totp::step_of(&codes, typed, now))
    }
}
