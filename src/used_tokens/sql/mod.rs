//! Used tokens in an SQL database: SQLite (for action links, beside the accounts) or PostgreSQL.
//!
//! The primary key makes a claim atomic, and the database's commit makes it durable. So durability depends on
//! the connections: SQLite must run with `synchronous = FULL`, PostgreSQL with `synchronous_commit = on`
//! (which [`SqlUsedTokens::connect`] sets).
//!
//! A database that was restored from a backup looks normal. The difference is its position, a number that
//! increases soon after anything is recorded: it is behind what another process remembers, on disk or in
//! memory ([`Standing`]). Every claim also checks the position, so that a database that was restored under a
//! running node accepts no claim before its fence is raised.

mod standing;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection, Executor, Row};

use self::standing::{State, begin_branch};
use super::{Lease, Mark, Reservation, StoreError, Use, UsedToken, UsedTokens};
use crate::clock::{Clock, Timestamp};
use crate::files::identity::Trace;
use crate::files::{Edges, FileVersion};
use crate::id::Jti;
use crate::secret::{Digest, Secret, random_bytes};
use crate::standing::Standing;

/// How many records a purge deletes in one transaction, so that claims get in between.
const PURGE_PORTION: i64 = 1_000;

/// How long a query waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// The advisory lock for creating the tables on PostgreSQL; any number that nobody else uses.
const SCHEMA_LOCK: &str = "SELECT pg_advisory_xact_lock(7305808869231650157)";

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS used_tokens (
        jti               TEXT   NOT NULL PRIMARY KEY,
        marked_at         BIGINT NOT NULL,
        forget_at         BIGINT NOT NULL,
        revoked           BIGINT NOT NULL,
        resume_key        TEXT,
        lease_until       BIGINT,
        file_len          BIGINT,
        file_modified_ns  BIGINT,
        file_inode        BIGINT,
        file_changed_ns   BIGINT,
        file_edges        BIGINT,
        reserved          BIGINT NOT NULL DEFAULT 0,
        active_at         BIGINT
    );
    CREATE INDEX IF NOT EXISTS used_tokens_by_forget_at ON used_tokens (forget_at);
    CREATE TABLE IF NOT EXISTS used_tokens_state (
        name    TEXT   NOT NULL PRIMARY KEY,
        moment  BIGINT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS used_tokens_branches (
        from_position  BIGINT NOT NULL PRIMARY KEY,
        name           TEXT   NOT NULL
    );";

/// Columns that the tables of the first release lack.
const LATER_COLUMNS: &str = "
    ALTER TABLE used_tokens ADD COLUMN file_inode BIGINT;
    ALTER TABLE used_tokens ADD COLUMN file_changed_ns BIGINT;
    ALTER TABLE used_tokens ADD COLUMN file_edges BIGINT;
    ALTER TABLE used_tokens ADD COLUMN reserved BIGINT NOT NULL DEFAULT 0;
    ALTER TABLE used_tokens ADD COLUMN active_at BIGINT;";

/// Queries whether the columns exist. Just trying would end the transaction with an error.
const HAS_LATER_COLUMNS_SQLITE: &str =
    "SELECT COUNT(*) FROM pragma_table_info('used_tokens') WHERE name = 'active_at'";
const HAS_LATER_COLUMNS_POSTGRES: &str = "SELECT COUNT(*) FROM information_schema.columns \
     WHERE table_schema = current_schema() AND table_name = 'used_tokens' AND column_name = 'active_at'";

/// Used tokens in an SQL database.
pub struct SqlUsedTokens {
    reader: AnyPool,
    writer: AnyPool,
    /// Identifies this store.
    id: String,
    fence: AtomicU64,
    opened_mark: Timestamp,
    /// The epoch and position that this process knows; claims fail on earlier ones.
    epoch: AtomicI64,
    position: AtomicI64,
    /// The branch of the position, or a later one.
    branch: Mutex<String>,
    /// Whether the position has to be increased, because something was recorded.
    moved: AtomicBool,
    time_reset: Mutex<Option<Timestamp>>,
    closed: AtomicBool,
    /// Whether the connections belong to this store and are closed with it.
    owned: bool,
}

impl SqlUsedTokens {
    /// Opens the store in a database that others use as well, through their connections, and raises `clock`
    /// to its latest recorded time. Creates its tables if necessary. The fence of a new store is
    /// `nothing_issued_before`, or the current time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn open(
        reader: AnyPool,
        writer: AnyPool,
        clock: &Clock,
        nothing_issued_before: Option<Timestamp>,
    ) -> Result<SqlUsedTokens, StoreError> {
        let fence = nothing_issued_before.unwrap_or_else(|| clock.now());
        let failed = backend("open");
        let mut connection = writer.acquire().await.map_err(&failed)?;
        let is_postgres = connection.backend_name() == "PostgreSQL";
        // On SQLite, the write lock is taken immediately: a transaction that reads first fails without
        // waiting if another process writes in the meantime.
        let begin = if is_postgres { "BEGIN" } else { "BEGIN IMMEDIATE" };
        let mut transaction = connection.begin_with(begin).await.map_err(&failed)?;
        if is_postgres {
            transaction.execute(SCHEMA_LOCK).await.map_err(&failed)?;
        }
        transaction.execute(sqlx::raw_sql(TABLES)).await.map_err(&failed)?;
        add_later_columns(&mut transaction, is_postgres).await.map_err(&failed)?;
        let random = i64::from_be_bytes(
            random_bytes::<8>().map_err(|e| StoreError::Backend { action: "open", source: e.into() })?,
        ) & i64::MAX;
        let (now, fence) = (to_column(clock.now()), to_column(fence));
        for (name, value) in
            [("fence", fence), ("mark", now), ("store", random), ("epoch", 0), ("position", 0)]
        {
            let insert =
                "INSERT INTO used_tokens_state (name, moment) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
            sqlx::query(insert).bind(name).bind(value).execute(&mut *transaction).await.map_err(&failed)?;
        }
        let branch =
            Secret::random::<12>().map_err(|e| StoreError::Backend { action: "open", source: e.into() })?;
        begin_branch(&mut transaction, branch.reveal()).await.map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        // SQLite's pool has one connection for writes.
        drop(connection);
        // Claims don't update the mark, because that single row would serialize them; each record has its own
        // time instead.
        let mark = sqlx::query_scalar(
            "SELECT MAX(moment) FROM (SELECT MAX(marked_at) AS moment FROM used_tokens UNION ALL \
             SELECT moment FROM used_tokens_state WHERE name = 'mark') AS moments",
        );
        let mark: i64 = mark.fetch_one(&writer).await.map_err(&failed)?;
        let opened_mark = from_column(mark);
        clock.raise_to(opened_mark);
        let state = State::read(&mut *writer.acquire().await.map_err(&failed)?).await.map_err(&failed)?;
        Ok(SqlUsedTokens {
            reader,
            writer,
            id: format!("sql-{:016x}", state.store),
            fence: AtomicU64::new(from_column(state.fence).secs()),
            opened_mark,
            epoch: AtomicI64::new(state.epoch),
            position: AtomicI64::new(state.position),
            branch: Mutex::new(state.branch),
            moved: AtomicBool::new(false),
            time_reset: Mutex::default(),
            closed: AtomicBool::new(false),
            owned: false,
        })
    }

    /// Opens the store in its own PostgreSQL database, which several nodes can share.
    ///
    /// # Errors
    /// If the server doesn't answer.
    pub async fn connect(
        address: &str,
        clock: &Clock,
        nothing_issued_before: Option<Timestamp>,
    ) -> Result<SqlUsedTokens, StoreError> {
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new()
            .max_connections(16)
            .acquire_timeout(PATIENCE)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute("SET synchronous_commit = on").await?;
                    Ok(())
                })
            })
            .connect(address)
            .await
            .map_err(backend("connect"))?;
        let store = SqlUsedTokens::open(pool.clone(), pool, clock, nothing_issued_before).await?;
        Ok(SqlUsedTokens { owned: true, ..store })
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }

    async fn insert(&self, used: &UsedToken) -> Result<bool, StoreError> {
        let lease = match used.mark {
            Mark::Redeemed(lease) => lease,
            Mark::Revoked => None,
        };
        let trace = lease.and_then(|lease| lease.trace);
        let inserted = sqlx::query(
            "INSERT INTO used_tokens \
             (jti, marked_at, forget_at, revoked, resume_key, lease_until, file_len, file_modified_ns, \
              file_inode, file_changed_ns, file_edges, reserved, active_at) \
             SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), CAST($3 AS BIGINT), CAST($4 AS BIGINT), \
             CAST($5 AS TEXT), CAST($6 AS BIGINT), CAST($7 AS BIGINT), CAST($8 AS BIGINT), \
             CAST($9 AS BIGINT), CAST($10 AS BIGINT), CAST($11 AS BIGINT), CAST($12 AS BIGINT), \
             CAST($13 AS BIGINT) \
             WHERE (SELECT moment FROM used_tokens_state WHERE name = 'epoch') = $14 \
             AND (SELECT moment FROM used_tokens_state WHERE name = 'position') >= $15 \
             ON CONFLICT (jti) DO NOTHING",
        )
        .bind(used.jti.to_string())
        .bind(to_column(used.marked_at))
        .bind(to_column(used.forget_at))
        .bind(i64::from(used.mark == Mark::Revoked))
        .bind(lease.map(|lease| URL_SAFE_NO_PAD.encode(lease.resume_key.as_bytes())))
        .bind(lease.map(|lease| to_column(lease.until)))
        // Stored bit by bit, so that any length and time is read back unchanged.
        .bind(lease.map(|lease| lease.version.len.cast_signed()))
        .bind(lease.map(|lease| lease.version.modified_ns.cast_signed()))
        .bind(trace.map(|trace| trace.inode.cast_signed()))
        .bind(trace.map(|trace| trace.changed_ns.cast_signed()))
        .bind(trace.map(|trace| i64::from_be_bytes(*trace.edges.as_bytes())))
        .bind(lease.map_or(0, |lease| i64::try_from(lease.reserved).unwrap_or(i64::MAX)))
        .bind(lease.map(|lease| to_column(lease.active_at)))
        // Not if the database has changed since the fence that the token was checked against.
        .bind(self.epoch.load(Ordering::Acquire))
        .bind(self.position.load(Ordering::Acquire))
        .execute(&self.writer)
        .await
        .map_err(backend("claim a token"))?;
        let is_new = inserted.rows_affected() == 1;
        self.moved.fetch_or(is_new, Ordering::AcqRel);
        Ok(is_new)
    }
}

#[async_trait]
impl UsedTokens for SqlUsedTokens {
    async fn claim(&self, used: UsedToken) -> Result<Use, StoreError> {
        self.check_open()?;
        if self.insert(&used).await? {
            return Ok(Use::First);
        }
        match self.find(used.jti).await? {
            Some(before) => Ok(Use::Replay(before)),
            // The database began a new epoch or was restored, or the record was purged between the two
            // statements. It is unknown whether the token may be used again.
            None => {
                self.look_again(used.marked_at).await?;
                Err(StoreError::Backend {
                    action: "claim a token",
                    source: "its fence rose, or a record was forgotten, at the same moment".into(),
                })
            }
        }
    }

    async fn find(&self, jti: Jti) -> Result<Option<UsedToken>, StoreError> {
        self.check_open()?;
        let failed = backend("find a token");
        let query = sqlx::query(
            "SELECT marked_at, forget_at, revoked, resume_key, lease_until, file_len, file_modified_ns, \
             file_inode, file_changed_ns, file_edges, reserved, active_at FROM used_tokens WHERE jti = $1",
        );
        let row = query.bind(jti.to_string()).fetch_optional(&self.reader).await.map_err(&failed)?;
        row.map(|row| from_row(jti, &row)).transpose().map_err(failed)
    }

    /// The statement that reserves contains the limit, so that two reservations can't exceed it together.
    async fn reserve(
        &self,
        jti: Jti,
        bytes: u64,
        most: u64,
        now: Timestamp,
    ) -> Result<Reservation, StoreError> {
        self.check_open()?;
        let (bytes, most) =
            (i64::try_from(bytes).unwrap_or(i64::MAX), i64::try_from(most).unwrap_or(i64::MAX));
        let reserved: Option<i64> = sqlx::query_scalar(
            "UPDATE used_tokens SET reserved = reserved + $1, \
             active_at = CASE WHEN active_at > $2 THEN active_at ELSE $2 END \
             WHERE jti = $3 AND revoked = 0 AND resume_key IS NOT NULL AND reserved <= $4 - $1 \
             AND (SELECT moment FROM used_tokens_state WHERE name = 'epoch') = $5 \
             AND (SELECT moment FROM used_tokens_state WHERE name = 'position') >= $6 \
             RETURNING reserved",
        )
        .bind(bytes)
        .bind(to_column(now))
        .bind(jti.to_string())
        .bind(most)
        // As for a claim: the reservation may have been undone by a restore.
        .bind(self.epoch.load(Ordering::Acquire))
        .bind(self.position.load(Ordering::Acquire))
        .fetch_optional(&self.writer)
        .await
        .map_err(backend("reserve bytes"))?;
        if let Some(reserved) = reserved {
            self.moved.store(true, Ordering::Release);
            return Ok(Reservation::Granted { reserved: reserved.cast_unsigned() });
        }
        let record = self.find(jti).await?;
        Ok(match record.map(|used| used.mark) {
            Some(Mark::Redeemed(Some(lease))) => Reservation::Exceeded { reserved: lease.reserved },
            _ => Reservation::NoLease(record),
        })
    }

    fn is_shared(&self) -> bool {
        self.owned
    }

    async fn revoked_among(&self, jtis: &[Jti]) -> Result<Vec<Jti>, StoreError> {
        self.check_open()?;
        if jtis.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT jti FROM used_tokens WHERE revoked = 1 AND jti IN ({})", places(1, jtis));
        let query = sqlx::query_scalar(AssertSqlSafe(sql));
        let query = jtis.iter().fold(query, |query, jti| query.bind(jti.to_string()));
        let failed = backend("ask for revocations");
        let rows: Vec<String> = query.fetch_all(&self.reader).await.map_err(&failed)?;
        let read = |row: String| row.parse().map_err(|e| failed(sqlx::Error::Decode(Box::new(e))));
        rows.into_iter().map(read).collect()
    }

    async fn keep_open(&self, jtis: &[Jti], now: Timestamp) -> Result<(), StoreError> {
        self.check_open()?;
        if jtis.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "UPDATE used_tokens SET active_at = $1 WHERE active_at < $1 AND jti IN ({})",
            places(2, jtis)
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(to_column(now));
        let query = jtis.iter().fold(query, |query, jti| query.bind(jti.to_string()));
        query.execute(&self.writer).await.map_err(backend("note what is being sent"))?;
        Ok(())
    }

    async fn revoke(&self, jti: Jti, now: Timestamp, forget_at: Timestamp) -> Result<(), StoreError> {
        self.check_open()?;
        sqlx::query(
            "INSERT INTO used_tokens (jti, marked_at, forget_at, revoked) VALUES ($1, $2, $3, 1) \
             ON CONFLICT (jti) DO UPDATE SET revoked = 1, marked_at = excluded.marked_at, \
             forget_at = CASE WHEN used_tokens.forget_at > excluded.forget_at \
                              THEN used_tokens.forget_at ELSE excluded.forget_at END, \
             resume_key = NULL, lease_until = NULL, file_len = NULL, file_modified_ns = NULL, \
             file_inode = NULL, file_changed_ns = NULL, file_edges = NULL, reserved = 0, active_at = NULL",
        )
        .bind(jti.to_string())
        .bind(to_column(now))
        .bind(to_column(forget_at))
        .execute(&self.writer)
        .await
        .map_err(backend("revoke a token"))?;
        self.moved.store(true, Ordering::Release);
        Ok(())
    }

    async fn purge(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            self.check_open()?;
            let deleted = sqlx::query(
                "DELETE FROM used_tokens WHERE jti IN \
                 (SELECT jti FROM used_tokens WHERE forget_at <= $1 LIMIT $2)",
            )
            .bind(to_column(now))
            .bind(PURGE_PORTION)
            .execute(&self.writer)
            .await
            .map_err(backend("purge"))?
            .rows_affected();
            forgotten += deleted;
            if deleted < PURGE_PORTION.unsigned_abs() {
                return Ok(forgotten);
            }
        }
    }

    async fn keep_time(&self, now: Timestamp) -> Result<(), StoreError> {
        self.check_open()?;
        // A process that doesn't know yet that the time was reset must not restore the old one.
        let keep = "UPDATE used_tokens_state SET moment = $1 WHERE name = 'mark' AND moment < $1 \
                    AND (SELECT moment FROM used_tokens_state WHERE name = 'epoch') = $2";
        sqlx::query(keep)
            .bind(to_column(now))
            .bind(self.epoch.load(Ordering::Acquire))
            .execute(&self.writer)
            .await
            .map_err(backend("keep the time"))?;
        Ok(())
    }

    fn fence(&self) -> Timestamp {
        Timestamp::from_secs(self.fence.load(Ordering::Acquire))
    }

    fn opened_mark(&self) -> Timestamp {
        self.opened_mark
    }

    async fn standing(&self, now: Timestamp) -> Result<Option<Standing>, StoreError> {
        self.check_open()?;
        self.stand(now).await.map(Some)
    }

    fn has_moved(&self) -> bool {
        self.moved.load(Ordering::Acquire)
    }

    async fn put_back(&self, remembered: &Standing, now: Timestamp) -> Result<bool, StoreError> {
        self.check_open()?;
        self.begin_epoch_after(remembered, now).await
    }

    fn time_reset(&self) -> Option<Timestamp> {
        self.time_reset.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Writes, because a read-only database can't accept claims.
    async fn ready(&self) -> Result<(), StoreError> {
        self.check_open()?;
        sqlx::query("UPDATE used_tokens_state SET moment = moment WHERE name = 'mark'")
            .execute(&self.writer)
            .await
            .map_err(backend("write"))?;
        Ok(())
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        if self.owned {
            self.reader.close().await;
            self.writer.close().await;
        }
    }
}

async fn add_later_columns(connection: &mut AnyConnection, is_postgres: bool) -> Result<(), sqlx::Error> {
    let question = if is_postgres { HAS_LATER_COLUMNS_POSTGRES } else { HAS_LATER_COLUMNS_SQLITE };
    let found: i64 = sqlx::query_scalar(question).fetch_one(&mut *connection).await?;
    if found == 0 {
        connection.execute(sqlx::raw_sql(LATER_COLUMNS)).await?;
    }
    Ok(())
}

/// Returns `$1, $2, …` for these jtis, starting with `first`.
fn places(first: usize, jtis: &[Jti]) -> String {
    let places: Vec<String> = (first..).take(jtis.len()).map(|place| format!("${place}")).collect();
    places.join(", ")
}

fn from_row(jti: Jti, row: &AnyRow) -> Result<UsedToken, sqlx::Error> {
    let revoked = row.try_get::<i64, _>("revoked")? != 0;
    let mark = if revoked { Mark::Revoked } else { Mark::Redeemed(lease_from_row(row)?) };
    Ok(UsedToken {
        jti,
        marked_at: from_column(row.try_get("marked_at")?),
        forget_at: from_column(row.try_get("forget_at")?),
        mark,
    })
}

fn lease_from_row(row: &AnyRow) -> Result<Option<Lease>, sqlx::Error> {
    let Some(key) = row.try_get::<Option<String>, _>("resume_key")? else { return Ok(None) };
    let mut bytes = [0; 32];
    if !matches!(URL_SAFE_NO_PAD.decode_slice(key, &mut bytes), Ok(32)) {
        return Err(sqlx::Error::Decode("a resume key's digest is not 32 bytes of base64url".into()));
    }
    let inode: Option<i64> = row.try_get("file_inode")?;
    let active_at: Option<i64> = row.try_get("active_at")?;
    let trace = |inode: i64| {
        Ok::<Trace, sqlx::Error>(Trace {
            inode: inode.cast_unsigned(),
            changed_ns: row.try_get::<i64, _>("file_changed_ns")?.cast_unsigned(),
            edges: Edges::from_bytes(row.try_get::<i64, _>("file_edges")?.to_be_bytes()),
        })
    };
    Ok(Some(Lease {
        resume_key: Digest::from_bytes(bytes),
        until: from_column(row.try_get("lease_until")?),
        trace: inode.map(trace).transpose()?,
        reserved: row.try_get::<i64, _>("reserved")?.cast_unsigned(),
        active_at: from_column(match active_at {
            Some(active_at) => active_at,
            None => row.try_get("marked_at")?,
        }),
        version: FileVersion {
            len: row.try_get::<i64, _>("file_len")?.cast_unsigned(),
            modified_ns: row.try_get::<i64, _>("file_modified_ns")?.cast_unsigned(),
        },
    }))
}

fn to_column(moment: Timestamp) -> i64 {
    i64::try_from(moment.secs()).unwrap_or(i64::MAX)
}

fn from_column(seconds: i64) -> Timestamp {
    Timestamp::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn backend(action: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Backend { action, source: source.into() }
}
