//! A schema of its own on a PostgreSQL server.

use sqlx::{Connection, Executor};

/// A schema that a bench has for itself. Dropped with [`Schema::drop`].
pub(crate) struct Schema {
    server: String,
    name: String,
    /// The server's address with this schema as the search path.
    pub(crate) address: String,
}

impl Schema {
    /// Creates the schema `name`, with the number of this process.
    pub(crate) fn create(runtime: &tokio::runtime::Runtime, server: &str, name: &str) -> Schema {
        sqlx::any::install_default_drivers();
        let name = format!("{name}_{}", std::process::id());
        let separator = if server.contains('?') { '&' } else { '?' };
        let address = format!("{server}{separator}options[search_path]={name}");
        let schema = Schema { server: server.to_owned(), name, address };
        schema.execute(runtime, &format!("CREATE SCHEMA {}", schema.name));
        schema
    }

    /// Drops the schema and what is in it.
    pub(crate) fn drop(self, runtime: &tokio::runtime::Runtime) {
        self.execute(runtime, &format!("DROP SCHEMA {} CASCADE", self.name));
    }

    fn execute(&self, runtime: &tokio::runtime::Runtime, sql: &str) {
        runtime.block_on(async {
            let mut connection = sqlx::AnyConnection::connect(&self.server).await.unwrap();
            connection.execute(sqlx::AssertSqlSafe(sql.to_owned())).await.unwrap();
            connection.close().await.unwrap();
        });
    }
}
