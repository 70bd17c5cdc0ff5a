//! The table of accounts: finding, adding and changing them. Doesn't depend on HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sqlx::Row;

use crate::clock::Timestamp;
use crate::web::accounts::changes::AccountChanges;
pub use crate::web::accounts::rows::{AccountError, AddOutcome};
use crate::web::accounts::rows::{
    COLUMNS, COUNT_ADMINISTRATORS, COUNT_OTHERS, count_administrators, end_keys, from_row, groups_of, insert,
    replace_password,
};
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::Database;
use crate::web::db::columns::pattern;
use crate::web::identity::passwords::StoredPassword;
use crate::web::identity::{Account, AccountId, Email, NewAccount};
use crate::web::webhooks::event::WebhookEvent;
use crate::web::webhooks::outbox;

/// All accounts. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    db: Database,
    account_changes: AccountChanges,
}

impl Accounts {
    /// Manages the accounts in `db`; changes are recorded in `generations`.
    pub const fn new(db: Database, generations: AccountChanges) -> Accounts {
        Accounts { db, account_changes: generations }
    }

    /// Adds an account unless its address is taken.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn add(&self, new: NewAccount, now: Timestamp) -> Result<AddOutcome, AccountError> {
        let mut transaction = self.db.begin().await?;
        let added = insert(&mut transaction, new, now).await?;
        if let AddOutcome::New(account) = &added {
            outbox::record(&mut transaction, &[WebhookEvent::account_created(&account.id)], now).await?;
            self.db.commit(transaction).await?;
        }
        Ok(added)
    }

    /// Adds an administrator for someone at `address`, unless there already is one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn add_first_administrator(
        &self,
        new: NewAccount,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<AddOutcome, AccountError> {
        let mut transaction = self.db.begin().await?;
        // On PostgreSQL, the lock on this row makes two such transactions run one after the other; on SQLite,
        // the write lock does.
        sqlx::query("UPDATE generations SET number = number + 1 WHERE name = 'accounts'")
            .execute(&mut *transaction)
            .await?;
        if count_administrators(&mut transaction).await? > 0 {
            return Ok(AddOutcome::NotTheFirst);
        }
        let added = insert(&mut transaction, NewAccount { admin: true, ..new }, now).await?;
        if let AddOutcome::New(account) = &added {
            let (actor, subject) = (Actor::account(account, address), account.email.as_str());
            audit::append(&mut transaction, &actor, AuditEvent::FirstAdministratorMade, subject, now).await?;
            outbox::record(&mut transaction, &[WebhookEvent::account_created(&account.id)], now).await?;
            self.db.commit(transaction).await?;
        }
        Ok(added)
    }

    /// Returns whether there is an administrator who isn't disabled.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn has_administrator(&self) -> Result<bool, AccountError> {
        let count: i64 = sqlx::query_scalar(COUNT_ADMINISTRATORS).fetch_one(self.db.reader()).await?;
        Ok(count > 0)
    }

    /// Returns whether no other account can administer.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn is_last_administrator(&self, id: &AccountId) -> Result<bool, AccountError> {
        let others: i64 =
            sqlx::query_scalar(COUNT_OTHERS).bind(id.as_str()).fetch_one(self.db.reader()).await?;
        Ok(others == 0)
    }

    /// Returns the account with this address.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn by_email(&self, email: &Email) -> Result<Option<Account>, AccountError> {
        self.one("email_key", email.key()).await
    }

    /// Returns the account with this id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn by_id(&self, id: &AccountId) -> Result<Option<Account>, AccountError> {
        self.one("id", id.as_str()).await
    }

    /// Returns all accounts, sorted by address.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list(&self) -> Result<Vec<Account>, AccountError> {
        let rows =
            sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM accounts ORDER BY email_key")))
                .fetch_all(self.db.reader())
                .await?;
        let mut groups = BTreeMap::<String, BTreeSet<String>>::new();
        for row in sqlx::query("SELECT account, name FROM account_groups").fetch_all(self.db.reader()).await?
        {
            groups.entry(row.try_get(0)?).or_default().insert(row.try_get(1)?);
        }
        rows.iter()
            .map(|row| {
                let mut account = from_row(row)?;
                account.groups = groups.remove(account.id.as_str()).unwrap_or_default();
                Ok(account)
            })
            .collect()
    }

    /// Returns up to `most` accounts whose address or name contains `words`, sorted by address and starting
    /// at `offset`, and how many there are in total.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn search(
        &self,
        words: &str,
        offset: u32,
        most: u32,
    ) -> Result<(Vec<Account>, u64), AccountError> {
        let (folded, typed) = (pattern(&words.to_lowercase()), pattern(words));
        let filter = "WHERE email_key LIKE $1 ESCAPE '!' OR LOWER(name) LIKE $1 ESCAPE '!' \
                      OR name LIKE $2 ESCAPE '!'";
        let count: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM accounts {filter}")))
                .bind(&folded)
                .bind(&typed)
                .fetch_one(self.db.reader())
                .await?;
        let query = format!("SELECT {COLUMNS} FROM accounts {filter} ORDER BY email_key LIMIT $3 OFFSET $4");
        let rows = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(&folded)
            .bind(&typed)
            .bind(i64::from(most))
            .bind(i64::from(offset))
            .fetch_all(self.db.reader())
            .await?;
        let mut accounts = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut account = from_row(row)?;
            account.groups = groups_of(&self.db, &account.id).await?;
            accounts.push(account);
        }
        Ok((accounts, u64::try_from(count).unwrap_or(0)))
    }

    /// Changes the account's password if it is still that of `seen`, ends its sessions and API keys, and returns
    /// whether it did.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn set_password(
        &self,
        seen: &Account,
        password: &StoredPassword,
        now: Timestamp,
    ) -> Result<bool, AccountError> {
        let mut transaction = self.db.begin().await?;
        if !replace_password(&mut transaction, seen, password).await? {
            return Ok(false);
        }
        end_keys(&mut transaction, &seen.id, now).await?;
        self.account_changes.commit(transaction, &seen.id).await?;
        Ok(true)
    }

    async fn one(&self, column: &'static str, value: &str) -> Result<Option<Account>, AccountError> {
        let query = format!("SELECT {COLUMNS} FROM accounts WHERE {column} = $1");
        let row =
            sqlx::query(sqlx::AssertSqlSafe(query)).bind(value).fetch_optional(self.db.reader()).await?;
        let Some(row) = row else { return Ok(None) };
        let mut account = from_row(&row)?;
        account.groups = groups_of(&self.db, &account.id).await?;
        Ok(Some(account))
    }
}
