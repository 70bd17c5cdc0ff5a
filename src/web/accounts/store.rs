//! All accounts: finding, adding and changing them. Knows nothing of HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::secret::RandomError;
use crate::web::accounts::changes::Generations;
use crate::web::audit::{self, Actor, Deed};
use crate::web::db::columns::{from_column, pattern, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::identity::passwords::StoredPassword;
use crate::web::identity::{Account, AccountId, Email, NewAccount, PersonName};

/// What came of adding an account.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "made once and taken apart at once")]
pub enum Added {
    /// It is there now.
    New(Account),
    /// The address has an account already.
    EmailTaken,
    /// There is an administrator already; only for [`Accounts::add_first_administrator`].
    NotTheFirst,
}

/// An account could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// No random bytes for the id.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl From<sqlx::Error> for AccountError {
    fn from(error: sqlx::Error) -> AccountError {
        QueryError::from(error).into()
    }
}

/// All accounts. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    db: Database,
    generations: Generations,
}

const COLUMNS: &str = "id, email, name, admin, disabled, password, created_at, last_login_at, activated_at, \
                       forget_at, signup_browser";

impl Accounts {
    /// The accounts in `db`; changes raise `generations`.
    pub const fn new(db: Database, generations: Generations) -> Accounts {
        Accounts { db, generations }
    }

    /// Adds an account unless its address is taken.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add(&self, new: NewAccount, now: Timestamp) -> Result<Added, AccountError> {
        let mut transaction = self.db.begin().await?;
        let added = insert(&mut transaction, new, now).await?;
        if let Added::New(_) = added {
            transaction.commit().await?;
        }
        Ok(added)
    }

    /// Adds an account that is an administrator, unless there is one, for somebody at `address`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_first_administrator(
        &self,
        new: NewAccount,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Added, AccountError> {
        let mut transaction = self.db.begin().await?;
        // On PostgreSQL this row's lock makes two such transactions run one after the other; on
        // SQLite the write lock does.
        sqlx::query("UPDATE generations SET number = number + 1 WHERE name = 'accounts'")
            .execute(&mut *transaction)
            .await?;
        if count_administrators(&mut transaction).await? > 0 {
            return Ok(Added::NotTheFirst);
        }
        let added = insert(&mut transaction, NewAccount { admin: true, ..new }, now).await?;
        if let Added::New(account) = &added {
            let (actor, subject) = (Actor::account(account, address), account.email.as_str());
            audit::append(&mut transaction, &actor, Deed::FirstAdministratorMade, subject, now).await?;
            transaction.commit().await?;
        }
        Ok(added)
    }

    /// Whether anybody can administer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_administrator(&self) -> Result<bool, AccountError> {
        let count: i64 = sqlx::query_scalar(COUNT_ADMINISTRATORS).fetch_one(self.db.reader()).await?;
        Ok(count > 0)
    }

    /// Whether nobody else can administer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_last_administrator(&self, id: &AccountId) -> Result<bool, AccountError> {
        let others: i64 =
            sqlx::query_scalar(COUNT_OTHERS).bind(id.as_str()).fetch_one(self.db.reader()).await?;
        Ok(others == 0)
    }

    /// The account with that address.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn by_email(&self, email: &Email) -> Result<Option<Account>, AccountError> {
        self.one("email_key", email.key()).await
    }

    /// The account with that id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn by_id(&self, id: &AccountId) -> Result<Option<Account>, AccountError> {
        self.one("id", id.as_str()).await
    }

    /// All accounts, by address.
    ///
    /// # Errors
    /// When the database fails.
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

    /// Accounts whose address or name has `words` in it, by address: those from `offset` on, and how
    /// many there are in all.
    ///
    /// # Errors
    /// When the database fails.
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

    /// Gives the account another password if it still has the one of `seen`, and ends its sessions.
    /// Answers whether it did.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_password(
        &self,
        seen: &Account,
        password: &StoredPassword,
    ) -> Result<bool, AccountError> {
        let mut transaction = self.db.begin().await?;
        if !replace_password(&mut transaction, seen, password).await? {
            return Ok(false);
        }
        self.generations.commit(transaction, &seen.id).await?;
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

/// The account with that id as it stands in this transaction.
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

/// Takes the account's row, so that nobody else changes it before the end of the transaction.
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

async fn groups_of(db: &Database, id: &AccountId) -> Result<BTreeSet<String>, sqlx::Error> {
    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM account_groups WHERE account = $1")
        .bind(id.as_str())
        .fetch_all(db.reader())
        .await?;
    Ok(names.into_iter().collect())
}

const COUNT_ADMINISTRATORS: &str = "SELECT COUNT(*) FROM accounts WHERE admin = 1 AND disabled = 0";
const COUNT_OTHERS: &str = "SELECT COUNT(*) FROM accounts WHERE admin = 1 AND disabled = 0 AND activated_at IS NOT NULL AND id <> $1";

/// How many but that one can administer.
pub(crate) async fn other_administrators(
    transaction: &mut Transaction<'static, Any>,
    id: &AccountId,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(COUNT_OTHERS).bind(id.as_str()).fetch_one(&mut **transaction).await
}

async fn count_administrators(transaction: &mut Transaction<'static, Any>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(COUNT_ADMINISTRATORS).fetch_one(&mut **transaction).await
}

pub(crate) async fn insert(
    transaction: &mut Transaction<'static, Any>,
    new: NewAccount,
    now: Timestamp,
) -> Result<Added, AccountError> {
    let id = AccountId::random()?;
    // Whoever makes an account with a password vouches for its address.
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
        return Ok(Added::EmailTaken);
    }
    for group in &new.groups {
        sqlx::query("INSERT INTO account_groups (account, name) VALUES ($1, $2)")
            .bind(id.as_str())
            .bind(group.as_str())
            .execute(&mut **transaction)
            .await?;
    }
    Ok(Added::New(Account {
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

/// Gives the account another password if it still has the one of `seen`, and ends its sessions.
/// Whoever could do that owns the account, so it is active from then on.
pub(crate) async fn replace_password(
    transaction: &mut Transaction<'static, Any>,
    seen: &Account,
    password: &StoredPassword,
) -> Result<bool, sqlx::Error> {
    // First the account's row, then its sessions: see `Sessions::start`.
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

/// An account without its groups.
fn from_row(row: &AnyRow) -> Result<Account, sqlx::Error> {
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
