//! A PostgreSQL schema of its own for a test, in the database that `ONCELINK_TEST_POSTGRES` names.

use oncelink::secret::Secret;
use sqlx::{AssertSqlSafe, Connection};

/// The address of a database with an empty schema, or `None` when no server is named. That is said
/// loudly, and is no excuse where `CI` is set.
#[expect(clippy::disallowed_methods, reason = "where the server is, only the environment can say")]
pub(crate) async fn empty_schema() -> Option<String> {
    let Ok(server) = std::env::var("ONCELINK_TEST_POSTGRES") else {
        assert!(std::env::var_os("CI").is_none(), "ONCELINK_TEST_POSTGRES must name a server in CI");
        eprintln!("NOT TESTED: ONCELINK_TEST_POSTGRES names no PostgreSQL server");
        return None;
    };
    sqlx::any::install_default_drivers();
    let random = Secret::random::<12>().unwrap();
    let name: String = random.reveal().chars().filter(char::is_ascii_alphanumeric).collect();
    let name = format!("t_{}", name.to_lowercase());
    let mut connection = sqlx::AnyConnection::connect(&server).await.unwrap();
    let create = AssertSqlSafe(format!("CREATE SCHEMA {name}"));
    sqlx::query(create).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let separator = if server.contains('?') { '&' } else { '?' };
    Some(format!("{server}{separator}options[search_path]={name}"))
}
