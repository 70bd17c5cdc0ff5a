//! Groups of claims in PostgreSQL: one statement and one commit for each.

use std::collections::HashSet;
use std::error::Error;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::files::identity::FileFingerprint;
use crate::id::Jti;
use crate::used_tokens::claim_queue::{GroupWriter, QueuedClaim};
use crate::used_tokens::sql::columns::{backend, to_column};
use crate::used_tokens::{Lease, Mark, StoreError};

/// How many groups are written at once: while one waits for the disk or for another node, the next is being
/// sent. More make the groups smaller.
const WRITERS: usize = 4;

/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a group may take. What happened to it is unknown afterwards.
const STATEMENT: Duration = Duration::from_secs(30);

/// After this time, a connection is tested before it is used: the database may have been restarted.
const TESTED: Duration = Duration::from_secs(1);

/// Returns the writers for the database at `address`. They connect when there is something to write.
///
/// # Errors
/// If `address` can't be parsed.
pub(super) fn writers(address: &str) -> Result<Vec<Arc<dyn GroupWriter>>, StoreError> {
    let options = PgConnectOptions::from_str(address).map_err(backend("connect"))?;
    let writer = || -> Arc<dyn GroupWriter> {
        Arc::new(PostgresWriter { options: options.clone(), connection: Mutex::default() })
    };
    Ok(std::iter::repeat_with(writer).take(WRITERS).collect())
}

struct PostgresWriter {
    options: PgConnectOptions,
    connection: Mutex<Option<OpenConnection>>,
}

struct OpenConnection {
    connection: PgConnection,
    used_at: Instant,
}

#[async_trait]
impl GroupWriter for PostgresWriter {
    async fn write(&self, claims: &[&QueuedClaim]) -> Result<HashSet<Jti>, Box<dyn Error + Send + Sync>> {
        let mut kept = self.connection.lock().await;
        // Taken out, so that a connection in an unknown state is never used again.
        let mut open = match kept.take() {
            Some(open) => open,
            None => self.connect().await?,
        };
        if open.used_at.elapsed() > TESTED
            && !matches!(timeout(PATIENCE, open.connection.ping()).await, Ok(Ok(())))
        {
            open = self.connect().await?;
        }
        let inserted = timeout(STATEMENT, insert(&mut open.connection, claims)).await.map_err(slow)??;
        open.used_at = Instant::now();
        *kept = Some(open);
        Ok(inserted)
    }

    async fn disconnect(&self) {
        if let Some(open) = self.connection.lock().await.take() {
            // The server notices in any case.
            let _said_goodbye = open.connection.close().await;
        }
    }
}

impl PostgresWriter {
    async fn connect(&self) -> Result<OpenConnection, sqlx::Error> {
        let connecting = async {
            let mut connection = PgConnection::connect_with(&self.options).await?;
            connection.execute("SET synchronous_commit = on").await?;
            // With any other level, one claim that meets another node's would fail the whole group.
            connection.execute("SET default_transaction_isolation = 'read committed'").await?;
            Ok(OpenConnection { connection, used_at: Instant::now() })
        };
        timeout(PATIENCE, connecting).await.map_err(slow)?
    }
}

/// Inserts these claims, and returns after the commit which of them were new.
async fn insert(connection: &mut PgConnection, claims: &[&QueuedClaim]) -> Result<HashSet<Jti>, sqlx::Error> {
    let all = |value: &dyn Fn(&QueuedClaim) -> i64| -> Vec<i64> {
        claims.iter().map(|claim| value(claim)).collect()
    };
    let leases = |value: &dyn Fn(Lease) -> i64| -> Vec<Option<i64>> {
        claims.iter().map(|claim| lease(claim).map(value)).collect()
    };
    let traces = |value: &dyn Fn(FileFingerprint) -> i64| -> Vec<Option<i64>> {
        claims.iter().map(|claim| lease(claim).and_then(|lease| lease.trace).map(value)).collect()
    };
    let key = |lease: Lease| URL_SAFE_NO_PAD.encode(lease.resume_key.as_bytes());
    let reserved = |lease: Lease| i64::try_from(lease.reserved).unwrap_or(i64::MAX);
    // Everything is read until the server is ready again, which means that the commit has returned.
    let rows: Vec<String> = sqlx::query_scalar(
        "INSERT INTO used_tokens \
         (jti, marked_at, forget_at, revoked, resume_key, lease_until, file_len, file_modified_ns, \
          file_inode, file_changed_ns, file_edges, reserved, active_at) \
         SELECT jti, marked_at, forget_at, revoked, resume_key, lease_until, file_len, file_modified_ns, \
          file_inode, file_changed_ns, file_edges, reserved, active_at \
         FROM UNNEST($1::TEXT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::TEXT[], $6::BIGINT[], \
          $7::BIGINT[], $8::BIGINT[], $9::BIGINT[], $10::BIGINT[], $11::BIGINT[], $12::BIGINT[], \
          $13::BIGINT[], $14::BIGINT[], $15::BIGINT[]) \
          AS claims (jti, marked_at, forget_at, revoked, resume_key, lease_until, file_len, \
          file_modified_ns, file_inode, file_changed_ns, file_edges, reserved, active_at, epoch, position) \
         WHERE (SELECT moment FROM used_tokens_state WHERE name = 'epoch') = claims.epoch \
         AND (SELECT moment FROM used_tokens_state WHERE name = 'position') >= claims.position \
         ON CONFLICT (jti) DO NOTHING RETURNING jti",
    )
    .bind(claims.iter().map(|claim| claim.used.jti.to_string()).collect::<Vec<_>>())
    .bind(all(&|claim| to_column(claim.used.marked_at)))
    .bind(all(&|claim| to_column(claim.used.forget_at)))
    .bind(all(&|claim| i64::from(claim.used.mark == Mark::Revoked)))
    .bind(claims.iter().map(|claim| lease(claim).map(key)).collect::<Vec<_>>())
    .bind(leases(&|lease| to_column(lease.until)))
    // Stored bit by bit, as in a single claim.
    .bind(leases(&|lease| lease.version.len.cast_signed()))
    .bind(leases(&|lease| lease.version.modified_ns.cast_signed()))
    .bind(traces(&|trace| trace.inode.cast_signed()))
    .bind(traces(&|trace| trace.changed_ns.cast_signed()))
    .bind(traces(&|trace| i64::from_be_bytes(*trace.edges.as_bytes())))
    .bind(all(&|claim| lease(claim).map_or(0, reserved)))
    .bind(leases(&|lease| to_column(lease.active_at)))
    .bind(all(&|claim| claim.epoch))
    .bind(all(&|claim| claim.position))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|jti| jti.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))).collect()
}

fn lease(claim: &QueuedClaim) -> Option<Lease> {
    match claim.used.mark {
        Mark::Redeemed(lease) => lease,
        Mark::Revoked => None,
    }
}

fn slow(_: tokio::time::error::Elapsed) -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}
