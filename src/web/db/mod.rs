//! The web app's database: SQLite in its own file, or PostgreSQL. Opens it, migrates its schema, and explains
//! what is wrong if that fails.
//!
//! Queries are written once for both engines (`sqlx::Any`, `$1` placeholders, BIGINT and TEXT). Where the
//! engines differ, the difference is handled here.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use prometheus_client::registry::Registry;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AnyPool, Connection, Executor, SqlSafeStr};

use crate::config::StoreAddress;
use crate::postgres::{self, PostgresError};

pub(crate) mod columns;
pub(crate) mod groups;
pub mod position;
mod times;
mod transactions;

pub use groups::{GroupError, GroupedQueryError};
use times::TransactionTimes;

/// The migrations. One that was released is never edited.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "accounts", include_str!("../../../migrations/0001_accounts.sql")),
    (2, "self-service", include_str!("../../../migrations/0002_self_service.sql")),
    (3, "links", include_str!("../../../migrations/0003_links.sql")),
    (4, "receipts", include_str!("../../../migrations/0004_receipts.sql")),
    (5, "uploads", include_str!("../../../migrations/0005_uploads.sql")),
    (7, "begun", include_str!("../../../migrations/0007_begun.sql")),
    (8, "nodes", include_str!("../../../migrations/0008_nodes.sql")),
    (9, "restored", include_str!("../../../migrations/0009_restored.sql")),
    (10, "deeds", include_str!("../../../migrations/0010_deeds.sql")),
    (12, "mail delivery", include_str!("../../../migrations/0012_mail_delivery.sql")),
    (13, "action codes", include_str!("../../../migrations/0013_action_codes.sql")),
    (15, "mail pages", include_str!("../../../migrations/0015_mail_pages.sql")),
    (16, "counts", include_str!("../../../migrations/0016_counts.sql")),
    (17, "my files", include_str!("../../../migrations/0017_my_files.sql")),
    (18, "arrivals", include_str!("../../../migrations/0018_arrivals.sql")),
    (19, "archives", include_str!("../../../migrations/0019_archives.sql")),
    (20, "file requests", include_str!("../../../migrations/0020_file_requests.sql")),
    (21, "recipients", include_str!("../../../migrations/0021_recipients.sql")),
    (22, "views", include_str!("../../../migrations/0022_views.sql")),
    (25, "second factors", include_str!("../../../migrations/0025_second_factors.sql")),
    (31, "administration", include_str!("../../../migrations/0031_administration.sql")),
    (32, "API", include_str!("../../../migrations/0032_api.sql")),
    (33, "webhooks", include_str!("../../../migrations/0033_webhooks.sql")),
    (34, "device logins", include_str!("../../../migrations/0034_device_logins.sql")),
];

/// How long a query waits for a connection, or for another process that is writing.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many rows are pruned in one transaction.
const PORTION: u64 = 1_000;

/// Run on each connection to SQLite. In WAL mode, anything less than `synchronous = FULL` loses the last
/// commits in a power failure.
const PRAGMAS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                       PRAGMA foreign_keys = ON;";

/// SQLite files up to this size are checked for damage at start; larger ones take too long.
const CHECKED_AT_START: u64 = 64 << 20;

/// The location of the database.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// `sqlite`, or the address of a PostgreSQL server.
    pub address: StoreAddress,
    /// The file, if it is a SQLite database.
    pub file: PathBuf,
}

impl DatabaseSettings {
    /// Returns whether the database exists, as far as that is known without opening it.
    pub fn is_there(&self) -> bool {
        self.address.is_shared() || self.file.exists()
    }
}

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    engine: Engine,
    reader: AnyPool,
    writer: AnyPool,
    /// How many times this process was about to write.
    writes: Arc<AtomicU64>,
    times: TransactionTimes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Sqlite,
    Postgres,
}

/// The database can't be used. The message says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The setting doesn't name a known engine.
    #[error("web.database must be `sqlite` or a postgres:// address")]
    Address,
    /// Its folder or file can't be created.
    #[error("cannot create the account database {}; check that data_dir is writable", path.display())]
    Create {
        /// The folder or file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file is not a database, or is damaged.
    #[error(
        "the account database {} is damaged; restore a backup, or move it away (with its -wal and \
         -shm files) to start without accounts",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        #[source]
        source: sqlx::Error,
    },
    /// The file exists but can't be opened.
    #[error(
        "cannot open the account database {}; check its owner and that the disk is not full",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
    /// The server doesn't respond. The address isn't shown, because it may contain a password.
    #[error(
        "cannot reach the PostgreSQL server in web.database; check the address and that the server is running"
    )]
    Connect(#[source] sqlx::Error),
    /// The server or its address must be changed.
    #[error("cannot use the PostgreSQL server in web.database")]
    Unsuitable(#[source] PostgresError),
    /// A newer release has already changed the schema.
    #[error("the account database was migrated by a newer release of oncelink (step {0}); run that release")]
    Newer(i64),
    /// A migration failed.
    #[error("cannot migrate the account database")]
    Migrate(#[source] MigrateError),
}

/// A query failed.
#[derive(Debug, thiserror::Error)]
#[error("the account database failed")]
pub struct QueryError(#[from] sqlx::Error);

impl QueryError {
    /// Whether the database refused the statement itself, as it does when a row exists already. Otherwise it is
    /// away, or busy, and would not accept another statement either.
    pub(crate) fn is_refusal(&self) -> bool {
        const SQLITE_BUSY: u32 = 5;
        let sqlx::Error::Database(error) = &self.0 else { return false };
        // Extended codes of SQLite keep the primary one in the low byte; those of PostgreSQL have five characters.
        let code = error.code().filter(|code| code.len() < 5).and_then(|code| code.parse::<u32>().ok());
        code.is_none_or(|code| code & 0xff != SQLITE_BUSY)
    }
}

impl Database {
    /// Opens the database in these settings, creates it if it doesn't exist, and migrates it.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn open(settings: impl Into<DatabaseSettings>) -> Result<Database, DatabaseError> {
        let DatabaseSettings { address, file } = settings.into();
        sqlx::any::install_default_drivers();
        match address.as_str() {
            "sqlite" => Database::sqlite(&file).await,
            postgres if address.is_shared() => Database::postgres(postgres).await,
            _ => Err(DatabaseError::Address),
        }
    }

    /// Returns the number of the newest migration that this release knows.
    pub fn newest_step() -> i64 {
        MIGRATIONS.iter().map(|(step, ..)| *step).max().unwrap_or(0)
    }

    async fn sqlite(path: &Path) -> Result<Database, DatabaseError> {
        let size =
            create_private(path).map_err(|source| DatabaseError::Create { path: path.to_owned(), source })?;
        let failed = |source: sqlx::Error| sqlite_failure(path, source);
        let options = sqlite_options(path).map_err(failed)?;
        // A pool would retry and finally report a timeout; a single connection reports the cause.
        let mut first = AnyConnection::connect_with(&options).await.map_err(failed)?;
        first.execute(sqlx::raw_sql(PRAGMAS)).await.map_err(failed)?;
        if size <= CHECKED_AT_START {
            let found: String =
                sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut first).await.map_err(failed)?;
            if found != "ok" {
                let source = sqlx::Error::Protocol(found);
                return Err(DatabaseError::Damaged { path: path.to_owned(), source });
            }
        }
        first.close().await.map_err(failed)?;
        // SQLite allows one writer at a time. With one connection for writes, those of this process wait
        // here, in order, instead of polling the file's lock.
        let writer = sqlite_pool(1).connect_with(options.clone()).await.map_err(failed)?;
        let reader = sqlite_pool(4).connect_lazy_with(options);
        let (engine, writes) = (Engine::Sqlite, Arc::default());
        let database = Database { engine, reader, writer, writes, times: TransactionTimes::default() };
        database.migrate().await.map_err(|error| match error {
            DatabaseError::Migrate(MigrateError::Execute(source)) => sqlite_failure(path, source),
            other => other,
        })?;
        Ok(database)
    }

    async fn postgres(address: &str) -> Result<Database, DatabaseError> {
        let options = address.parse::<AnyConnectOptions>().map_err(DatabaseError::Connect)?;
        // For its error message, as above.
        postgres::check(address).await.map_err(|error| match error {
            PostgresError::Connect(error) => DatabaseError::Connect(error),
            other => DatabaseError::Unsuitable(other),
        })?;
        let pool =
            postgres::pool(16, PATIENCE).connect_with(options).await.map_err(DatabaseError::Connect)?;
        let (engine, writes) = (Engine::Postgres, Arc::default());
        let (reader, times) = (pool.clone(), TransactionTimes::default());
        let database = Database { engine, reader, writer: pool, writes, times };
        database.migrate().await?;
        Ok(database)
    }

    async fn migrate(&self) -> Result<(), DatabaseError> {
        let step = |&(version, name, sql): &(i64, &'static str, &'static str)| {
            Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
        };
        let steps = MIGRATIONS.iter().map(step).collect();
        Migrator::with_migrations(steps).run(&self.writer).await.map_err(|error| match error {
            MigrateError::VersionMissing(version) => DatabaseError::Newer(version),
            other => DatabaseError::Migrate(other),
        })
    }

    /// Returns the pool for single statements that only read.
    pub const fn reader(&self) -> &AnyPool {
        &self.reader
    }

    /// Returns the pool for single statements that write.
    pub fn writer(&self) -> &AnyPool {
        self.writes.fetch_add(1, Ordering::Relaxed);
        &self.writer
    }

    /// Returns how many times this process was about to write. If the number is the same as before, nothing
    /// was written in between.
    pub(super) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Returns the pool for statements that record what was written, and don't count as writes themselves.
    pub(super) const fn notes(&self) -> &AnyPool {
        &self.writer
    }

    /// Runs a statement that changes at most `$2` rows, as long as it changes that many, and returns how many
    /// rows were changed in total. `$1` is `value`. Between two portions others can write.
    ///
    /// # Errors
    /// If the database doesn't respond; what was changed before stays changed.
    pub async fn in_portions(&self, statement: &'static str, value: i64) -> Result<u64, QueryError> {
        let mut total = 0;
        loop {
            let query = sqlx::query(statement).bind(value).bind(PORTION.cast_signed());
            let changed = query.execute(self.writer()).await?.rows_affected();
            total += changed;
            if changed < PORTION {
                return Ok(total);
            }
        }
    }

    /// Adds the metrics of this database to those that are published.
    pub(super) fn register_metrics(&self, registry: &mut Registry) {
        self.times.register(registry);
    }

    /// Checks that the database responds.
    ///
    /// # Errors
    /// If it doesn't.
    pub async fn ready(&self) -> Result<(), QueryError> {
        sqlx::query("SELECT 1").fetch_one(&self.reader).await?;
        Ok(())
    }

    /// Closes all connections, after running statements have finished.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

fn sqlite_options(path: &Path) -> Result<AnyConnectOptions, sqlx::Error> {
    let path = percent_encode(path.as_os_str().as_encoded_bytes(), NON_ALPHANUMERIC);
    format!("sqlite://{path}?mode=rw").parse()
}

fn sqlite_pool(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(sqlx::raw_sql(PRAGMAS)).await?;
                Ok(())
            })
        })
}

fn sqlite_failure(path: &Path, source: sqlx::Error) -> DatabaseError {
    let path = path.to_owned();
    // SQLITE_CORRUPT and SQLITE_NOTADB; extended codes keep the primary one in the low byte.
    let code = source.as_database_error().and_then(|e| e.code()).and_then(|code| code.parse::<u32>().ok());
    match code.map(|code| code & 0xff) {
        Some(11 | 26) => DatabaseError::Damaged { path, source },
        _ => DatabaseError::Open { path, source },
    }
}

/// Creates the file if it doesn't exist, readable only by its owner, and returns its size. SQLite gives its
/// -wal and -shm files the same mode.
fn create_private(path: &Path) -> io::Result<u64> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    Ok(file.metadata()?.len())
}
