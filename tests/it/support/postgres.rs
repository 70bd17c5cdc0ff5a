//! A PostgreSQL schema for one test, in the database that `ONCELINK_TEST_POSTGRES` names.

use oncelink::secret::Secret;
use sqlx::{AssertSqlSafe, Connection};

use crate::needs;

/// The address of a database with an empty schema; `None`, with a printed note, when no server is named.
pub(crate) async fn empty_schema() -> Option<String> {
    let Some(server) = needs::variable("ONCELINK_TEST_POSTGRES") else {
        needs::skip("a PostgreSQL server, named by ONCELINK_TEST_POSTGRES");
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
