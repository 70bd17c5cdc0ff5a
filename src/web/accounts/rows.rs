//! Accounts in the database, within a transaction of the caller.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::secret::RandomError;
use crate::web::db::columns::{from_column, placeholders, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::identity::passwords::StoredPassword;
use crate::web::identity::{Account, AccountId, Email, NewAccount, PersonName};

/// The result of adding an account.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "made once and taken apart at once")]
pub enum AddOutcome {
    /// The account was added.
    New(Account),
    /// The address already has an account.
    EmailTaken,
    /// There already is an administrator; only for [`add_first_administrator`](crate::web::accounts::store::Accounts::add_first_administrator).
    NotTheFirst,
}

/// An account couldn't be stored.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The operating system provided no random bytes for the id.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl From<sqlx::Error> for AccountError {
    fn from(error: sqlx::Error) -> AccountError {
        QueryError::from(error).into()
    }
}

/// The columns of an account.
pub(super) const COLUMNS: &str = "id, email, name, admin, disabled, password, created_at, last_login_at, activated_at, \
                       forget_at, signup_browser";

/// Returns the account with this id as this transaction sees it.
pub(crate) async fn find(
    transaction: &mut Transaction<'static, Any>,
    id: &AccountId,
) -> Result<Option<Account>, sqlx::Error> {
    let query = format!("SELECT {COLUMNS} FROM accounts WHERE id = $1");
    let row =
        sqlx::query(sqlx::AssertSqlSafe(query)).bind(id.as_str()).fetch_optional(&mut **transaction).await?;
    let Some(row) = row else { return Ok(None) };
    let mut account = from_row(&row)?;
    let groups: Vec<String> = sqlx::query_scalar("SELECT name FROM account_groups WHERE account = $1")
        .bind(id.as_str())
        .fetch_all(&mut **transaction)
        .await?;
    account.groups = groups.into_iter().collect();
    Ok(Some(account))
}

/// Locks the account's row, so that nobody else changes it before the end of the transaction.
pub(crate) async fn lock(
    transaction: &mut Transaction<'static, Any>,
    id: &AccountId,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE accounts SET admin = admin WHERE id = $1")
        .bind(id.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Locks the rows of these accounts, in the order of their ids, and returns those that exist, by id. Two
/// transactions that lock several accounts don't wait for each other.
pub(crate) async fn lock_all(
    db: &Database,
    transaction: &mut Transaction<'static, Any>,
    ids: &BTreeSet<&str>,
) -> Result<BTreeMap<String, Account>, sqlx::Error> {
    let list = placeholders(1, ids.len());
    let query =
        format!("SELECT {COLUMNS} FROM accounts WHERE id IN ({list}) ORDER BY id{}", db.row_lock("accounts"));
    // Only the statement for one account is used often enough to be kept.
    let query = sqlx::query(sqlx::AssertSqlSafe(query)).persistent(ids.len() == 1);
    let rows = ids.iter().fold(query, |query, id| query.bind(*id)).fetch_all(&mut **transaction).await?;
    let read = |row: &AnyRow| Ok((row.try_get::<String, _>("id")?, from_row(row)?));
    let mut accounts: BTreeMap<String, Account> =
        rows.iter().map(read).collect::<Result<_, sqlx::Error>>()?;
    let query = format!("SELECT account, name FROM account_groups WHERE account IN ({list})");
    let query = sqlx::query_as(sqlx::AssertSqlSafe(query)).persistent(ids.len() == 1);
    let groups: Vec<(String, String)> =
        ids.iter().fold(query, |query, id| query.bind(*id)).fetch_all(&mut **transaction).await?;
    for (account, group) in groups {
        if let Some(account) = accounts.get_mut(&account) {
            account.groups.insert(group);
        }
    }
    Ok(accounts)
}

pub(super) async fn groups_of(db: &Database, id: &AccountId) -> Result<BTreeSet<String>, sqlx::Error> {
    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM account_groups WHERE account = $1")
        .bind(id.as_str())
        .fetch_all(db.reader())
        .await?;
    Ok(names.into_iter().collect())
}

pub(super) const COUNT_ADMINISTRATORS: &str =
    "SELECT COUNT(*) FROM accounts WHERE admin = 1 AND disabled = 0";

pub(super) const COUNT_OTHERS: &str = "SELECT COUNT(*) FROM accounts WHERE admin = 1 AND disabled = 0 AND activated_at IS NOT NULL AND id <> $1";

/// Returns how many other accounts can administer.
pub(crate) async fn other_administrators(
    transaction: &mut Transaction<'static, Any>,
    id: &AccountId,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(COUNT_OTHERS).bind(id.as_str()).fetch_one(&mut **transaction).await
}

pub(super) async fn count_administrators(
    transaction: &mut Transaction<'static, Any>,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(COUNT_ADMINISTRATORS).fetch_one(&mut **transaction).await
}

pub(crate) async fn insert(
    transaction: &mut Transaction<'static, Any>,
    new: NewAccount,
    now: Timestamp,
) -> Result<AddOutcome, AccountError> {
    let id = AccountId::random()?;
    // Anyone who creates an account with a password vouches for its address.
    let activated_at = new.password.is_some().then_some(now);
    let inserted = sqlx::query(
        "INSERT INTO accounts (id, email, email_key, name, admin, disabled, password, created_at, activated_at) \
         VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8) ON CONFLICT (email_key) DO NOTHING",
    )
    .bind(id.as_str())
    .bind(new.email.as_str())
    .bind(new.email.key())
    .bind(new.name.as_str())
    .bind(i64::from(new.admin))
    .bind(new.password.as_ref().map(|password| password.as_str().to_owned()))
    .bind(to_column(now))
    .bind(activated_at.map(to_column))
    .execute(&mut **transaction)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(AddOutcome::EmailTaken);
    }
    for group in &new.groups {
        sqlx::query("INSERT INTO account_groups (account, name) VALUES ($1, $2)")
            .bind(id.as_str())
            .bind(group.as_str())
            .execute(&mut **transaction)
            .await?;
    }
    Ok(AddOutcome::New(Account {
        id,
        email: new.email,
        name: new.name,
        admin: new.admin,
        disabled: false,
        groups: new.groups.iter().map(|group| group.as_str().to_owned()).collect(),
        created_at: now,
        last_login_at: None,
        password: new.password,
        activated_at,
        forget_at: None,
        signup_browser: None,
    }))
}

/// Changes the account's password if it is still that of `seen`, ends its sessions, and returns whether it
/// did. Anyone who can do this owns the account, so this also activates it.
pub(crate) async fn replace_password(
    transaction: &mut Transaction<'static, Any>,
    seen: &Account,
    password: &StoredPassword,
) -> Result<bool, sqlx::Error> {
    // The account's row first, then its sessions: see `Sessions::start`.
    let changed = sqlx::query(
        "UPDATE accounts SET password = $1, activated_at = COALESCE(activated_at, created_at), forget_at = NULL \
         WHERE id = $2 AND COALESCE(password, '') = $3",
    )
    .bind(password.as_str())
    .bind(seen.id.as_str())
    .bind(seen.password.as_ref().map_or("", StoredPassword::as_str))
    .execute(&mut **transaction)
    .await?;
    if changed.rows_affected() == 0 {
        return Ok(false);
    }
    end_sessions(transaction, &seen.id).await?;
    Ok(true)
}

pub(crate) async fn end_sessions(
    transaction: &mut Transaction<'static, Any>,
    id: &AccountId,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM sessions WHERE account = $1")
        .bind(id.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Revokes all API keys of an account for good, in a transaction that ends with the commit of a change of the account.
pub(crate) async fn end_keys(
    transaction: &mut Transaction<'static, Any>,
    id: &AccountId,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE api_keys SET revoked_at = $1 WHERE account = $2 AND revoked_at IS NULL")
        .bind(to_column(now))
        .bind(id.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Reads an account without its groups.
pub(super) fn from_row(row: &AnyRow) -> Result<Account, sqlx::Error> {
    Ok(Account {
        id: AccountId::from_store(&row.try_get::<String, _>("id")?),
        email: Email::from_store(row.try_get("email")?),
        name: PersonName::from_store(row.try_get("name")?),
        admin: row.try_get::<i64, _>("admin")? != 0,
        disabled: row.try_get::<i64, _>("disabled")? != 0,
        groups: BTreeSet::new(),
        created_at: from_column(row.try_get("created_at")?),
        last_login_at: row.try_get::<Option<i64>, _>("last_login_at")?.map(from_column),
        password: row.try_get::<Option<String>, _>("password")?.map(StoredPassword::from_store),
        activated_at: row.try_get::<Option<i64>, _>("activated_at")?.map(from_column),
        forget_at: row.try_get::<Option<i64>, _>("forget_at")?.map(from_column),
        signup_browser: row.try_get("signup_browser")?,
    })
}
