//! Accounts: who there is, what they may, and changing both. Knows nothing of HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::secret::{Digest, RandomError, Secret};
use crate::web::db::{Database, QueryError};
use crate::web::generation::Generations;
use crate::web::passwords::StoredPassword;

/// An account's opaque id: 128 random bits in base64url. The `sub` of its tokens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(Box<str>);

impl AccountId {
    /// A fresh random id.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn random() -> Result<AccountId, RandomError> {
        Ok(AccountId(Secret::random::<16>()?.reveal().into()))
    }

    /// An id read back from the database or from a verified token.
    pub fn from_store(text: &str) -> AccountId {
        AccountId(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An e-mail address as its owner writes it. Two spellings that differ in case are one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    shown: String,
    key: String,
}

/// The text is no e-mail address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an e-mail address looks like name@example.org")]
pub struct InvalidEmail;

impl Email {
    /// As the owner wrote it, trimmed.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// What all spellings of the address share.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Email, InvalidEmail> {
        let shown = text.trim();
        let strange = |c: char| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"".contains(c);
        let (name, domain) = shown.rsplit_once('@').ok_or(InvalidEmail)?;
        // 254: what fits into an SMTP path (RFC 5321 section 4.5.3.1.3).
        if name.is_empty() || name.contains('@') || domain.is_empty() || shown.len() > 254 {
            return Err(InvalidEmail);
        }
        if shown.contains(strange) || domain.starts_with('.') || domain.ends_with('.') {
            return Err(InvalidEmail);
        }
        Ok(Email { shown: shown.to_owned(), key: shown.to_lowercase() })
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// What a person is called, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonName(String);

/// The text can't be a person's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 100 characters on one line")]
pub struct InvalidName;

impl PersonName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What to call somebody who gave no name: what stands before the `@`.
    pub fn from_email(email: &Email) -> PersonName {
        let name = email.as_str().split('@').next().unwrap_or_default();
        PersonName(name.chars().take(100).collect())
    }
}

impl FromStr for PersonName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<PersonName, InvalidName> {
        let name = text.trim();
        let length = name.chars().count();
        if length == 0 || length > 100 || name.contains(char::is_control) {
            return Err(InvalidName);
        }
        Ok(PersonName(name.to_owned()))
    }
}

/// The name of a group, as the `read` and `write` of a share have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupName(String);

/// The text can't be a group's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a group's name has 1 to 64 characters without spaces and without `@`, and is not `everyone`")]
pub struct InvalidGroup;

impl GroupName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupName {
    type Err = InvalidGroup;

    fn from_str(text: &str) -> Result<GroupName, InvalidGroup> {
        let strange = |c: char| c.is_whitespace() || c.is_control() || c == '@' || c == ',';
        // With an `@` a group could pass for somebody's account name.
        if text.is_empty() || text.chars().count() > 64 || text.contains(strange) || text == "everyone" {
            return Err(InvalidGroup);
        }
        Ok(GroupName(text.to_owned()))
    }
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its address, by which people log in.
    pub email: Email,
    /// What to call the person.
    pub name: PersonName,
    /// Whether it may administer.
    pub admin: bool,
    /// Whether it may not log in.
    pub disabled: bool,
    /// The groups it is in.
    pub groups: BTreeSet<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When somebody last logged in.
    pub last_login_at: Option<Timestamp>,
    /// Its password; `None` until the person has chosen one.
    pub password: Option<StoredPassword>,
}

impl Account {
    /// What an action link for choosing a password is bound to: it changes with the password, so
    /// that the link dies with the first use of it or of any other.
    pub fn password_state(&self) -> Digest {
        let password = self.password.as_ref().map_or("", StoredPassword::as_str);
        Digest::of(format!("{}\n{password}\n{}", self.id, self.disabled).as_bytes())
    }
}

/// What a new account needs.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its address.
    pub email: Email,
    /// What to call the person.
    pub name: PersonName,
    /// Whether it may administer.
    pub admin: bool,
    /// The groups it is in.
    pub groups: BTreeSet<GroupName>,
    /// Its password, unless the person chooses one later.
    pub password: Option<StoredPassword>,
}

/// What came of adding an account.
#[derive(Clone, Debug)]
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

const COLUMNS: &str = "id, email, name, admin, disabled, password, created_at, last_login_at";

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

    /// Adds an account that is an administrator, unless there is one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_first_administrator(
        &self,
        new: NewAccount,
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
        if let Added::New(_) = added {
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

    /// Lets the account log in, or not; not letting it ends its sessions. Answers whether there is
    /// such an account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_disabled(&self, id: &AccountId, disabled: bool) -> Result<bool, AccountError> {
        let mut transaction = self.db.begin().await?;
        let changed = sqlx::query("UPDATE accounts SET disabled = $1 WHERE id = $2")
            .bind(i64::from(disabled))
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?;
        if disabled {
            end_sessions(&mut transaction, id).await?;
        }
        self.generations.commit(transaction).await?;
        Ok(changed.rows_affected() > 0)
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
        // First the account's row, then its sessions: see `Sessions::start`.
        let changed =
            sqlx::query("UPDATE accounts SET password = $1 WHERE id = $2 AND COALESCE(password, '') = $3")
                .bind(password.as_str())
                .bind(seen.id.as_str())
                .bind(seen.password.as_ref().map_or("", StoredPassword::as_str))
                .execute(&mut *transaction)
                .await?;
        if changed.rows_affected() == 0 {
            return Ok(false);
        }
        end_sessions(&mut transaction, &seen.id).await?;
        self.generations.commit(transaction).await?;
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

async fn groups_of(db: &Database, id: &AccountId) -> Result<BTreeSet<String>, sqlx::Error> {
    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM account_groups WHERE account = $1")
        .bind(id.as_str())
        .fetch_all(db.reader())
        .await?;
    Ok(names.into_iter().collect())
}

const COUNT_ADMINISTRATORS: &str = "SELECT COUNT(*) FROM accounts WHERE admin = 1 AND disabled = 0";

async fn count_administrators(transaction: &mut Transaction<'static, Any>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(COUNT_ADMINISTRATORS).fetch_one(&mut **transaction).await
}

async fn insert(
    transaction: &mut Transaction<'static, Any>,
    new: NewAccount,
    now: Timestamp,
) -> Result<Added, AccountError> {
    let id = AccountId::random()?;
    let inserted = sqlx::query(
        "INSERT INTO accounts (id, email, email_key, name, admin, disabled, password, created_at) \
         VALUES ($1, $2, $3, $4, $5, 0, $6, $7) ON CONFLICT (email_key) DO NOTHING",
    )
    .bind(id.as_str())
    .bind(new.email.as_str())
    .bind(new.email.key())
    .bind(new.name.as_str())
    .bind(i64::from(new.admin))
    .bind(new.password.as_ref().map(|password| password.as_str().to_owned()))
    .bind(to_column(now))
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
        groups: new.groups.into_iter().map(|group| group.0).collect(),
        created_at: now,
        last_login_at: None,
        password: new.password,
    }))
}

async fn end_sessions(
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
    let shown: String = row.try_get("email")?;
    Ok(Account {
        id: AccountId(row.try_get::<String, _>("id")?.into()),
        email: Email { key: shown.to_lowercase(), shown },
        name: PersonName(row.try_get("name")?),
        admin: row.try_get::<i64, _>("admin")? != 0,
        disabled: row.try_get::<i64, _>("disabled")? != 0,
        groups: BTreeSet::new(),
        created_at: from_column(row.try_get("created_at")?),
        last_login_at: row.try_get::<Option<i64>, _>("last_login_at")?.map(from_column),
        password: row.try_get::<Option<String>, _>("password")?.map(StoredPassword::from_store),
    })
}

/// A moment as a BIGINT column holds it.
pub(super) fn to_column(moment: Timestamp) -> i64 {
    i64::try_from(moment.secs()).unwrap_or(i64::MAX)
}

/// A moment from a BIGINT column.
pub(super) fn from_column(seconds: i64) -> Timestamp {
    Timestamp::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_account_in_any_case() {
        let email: Email = "  Ada@Example.ORG ".parse().unwrap();
        assert_eq!((email.as_str(), email.key()), ("Ada@Example.ORG", "ada@example.org"));
        for wrong in [
            "",
            "ada",
            "@x",
            "ada@",
            "a@b@c",
            "ada @x.org",
            "ada@x.org\r\nBcc: b@x.org",
            "<ada@x.org>",
            "ada@.org",
            "a,b@x.org",
        ] {
            assert_eq!(wrong.parse::<Email>(), Err(InvalidEmail), "{wrong:?}");
        }
        assert_eq!(format!("{}@x.org", "a".repeat(250)).parse::<Email>(), Err(InvalidEmail));
    }

    #[test]
    fn a_group_can_t_pass_for_an_account_or_for_everyone() {
        assert!("staff".parse::<GroupName>().is_ok());
        for wrong in ["", "everyone", "ada@example.org", "two words", "a,b", "a\nb"] {
            assert_eq!(wrong.parse::<GroupName>(), Err(InvalidGroup), "{wrong:?}");
        }
    }

    #[test]
    fn a_name_is_one_line() {
        assert_eq!(" Ada  Lovelace ".parse::<PersonName>().unwrap().as_str(), "Ada  Lovelace");
        for wrong in ["", "   ", "a\nb", "a\u{0}b"] {
            assert_eq!(wrong.parse::<PersonName>(), Err(InvalidName), "{wrong:?}");
        }
    }
}
