//! What Oncelink requires of a PostgreSQL server, for accounts and for used tokens. Checked before anything is
//! created there.

use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor};
use tokio::time::timeout;
use url::Url;

/// The oldest version that is accepted, as the server numbers them. Older ones get no security fixes.
const OLDEST: u32 = 130_000;

/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that was idle for longer is tested before it is used again. One that was in use a moment ago needs no
/// test, which would double the way of a short query.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Returns the options of a pool of at most `connections`, in which a query waits for a connection for at most
/// `patience`. What is confirmed over its connections is not lost, whatever the server's default is.
pub(crate) fn pool(connections: u32, patience: Duration) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(patience)
        .test_before_acquire(false)
        .before_acquire(|connection, state| {
            Box::pin(async move {
                if state.idle_for > TRUSTED_FOR {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute("SET synchronous_commit = on").await?;
                Ok(())
            })
        })
}

/// The server can't be used. The address isn't shown, because it may contain a password.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// It doesn't respond, or refuses the login.
    #[error("the PostgreSQL server can't be reached")]
    Connect(#[source] sqlx::Error),
    /// The file with the certificates to trust can't be read.
    #[error("cannot read the certificates in {} (`sslrootcert`)", path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// Why it can't be read.
        #[source]
        source: io::Error,
    },
    /// The server is too old.
    #[error("the PostgreSQL server has version {}; use version {} or later", shown(*.0), OLDEST / 10_000)]
    TooOld(u32),
}

/// Connects once to the server at this address and checks it.
///
/// # Errors
/// See [`PostgresError`].
pub async fn check(address: &str) -> Result<(), PostgresError> {
    // The driver's own error doesn't name the file.
    if let Some(path) = roots(address) {
        std::fs::File::open(&path).map_err(|source| PostgresError::Roots { path, source })?;
    }
    let options = PgConnectOptions::from_str(address).map_err(PostgresError::Connect)?;
    let connecting = timeout(PATIENCE, PgConnection::connect_with(&options)).await;
    let connected = connecting.map_err(|_| PostgresError::Connect(sqlx::Error::PoolTimedOut))?;
    let connection = connected.map_err(PostgresError::Connect)?;
    let version = connection.server_version_num().filter(|version| *version < OLDEST);
    // The server notices in any case.
    let _said_goodbye = connection.close().await;
    version.map_or(Ok(()), |version| Err(PostgresError::TooOld(version)))
}

/// The version as people write it. Before version 10, the second number was part of the main version.
fn shown(version: u32) -> String {
    match version {
        ..100_000 => format!("{}.{}", version / 10_000, version % 10_000 / 100),
        _ => format!("{}.{}", version / 10_000, version % 10_000),
    }
}

/// The file with the certificates to trust, if the address names one.
fn roots(address: &str) -> Option<PathBuf> {
    let url = Url::parse(address).ok()?;
    let mut parameters = url.query_pairs();
    let (_, path) =
        parameters.find(|(name, _)| matches!(&**name, "sslrootcert" | "ssl-root-cert" | "ssl-ca"))?;
    Some(PathBuf::from(path.into_owned()))
}
