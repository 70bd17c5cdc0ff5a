//! The tables of the store, and the columns that they got later.

use sqlx::{AnyConnection, Executor};

/// The advisory lock for creating the tables on PostgreSQL; any number that nobody else uses.
pub(super) const SCHEMA_LOCK: &str = "SELECT pg_advisory_xact_lock(7305808869231650157)";

pub(super) const TABLES: &str = "
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

/// Adds the columns that a table of the first release lacks.
pub(super) async fn add_later_columns(
    connection: &mut AnyConnection,
    is_postgres: bool,
) -> Result<(), sqlx::Error> {
    let question = if is_postgres { HAS_LATER_COLUMNS_POSTGRES } else { HAS_LATER_COLUMNS_SQLITE };
    let found: i64 = sqlx::query_scalar(question).fetch_one(&mut *connection).await?;
    if found == 0 {
        connection.execute(sqlx::raw_sql(LATER_COLUMNS)).await?;
    }
    Ok(())
}
