//! The servers on which nodes can share their used tokens. A test of what all of them promise takes one and is
//! named in `on_every_shared_store!`, which runs it on each.

use std::sync::Arc;

use oncelink::clock::{Clock, Timestamp};
use oncelink::used_tokens::UsedTokens;
use oncelink::used_tokens::redis::RedisUsedTokens;
use oncelink::used_tokens::sql::SqlUsedTokens;
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::support::postgres;
use crate::support::redis::RedisServer;
use crate::support::{Node, Setup, unused_address};

pub(crate) enum SharedServer {
    /// A schema of its own, by its address.
    Postgres(String),
    Redis(Box<RedisServer>),
}

/// Makes a test of each function for each server. It does nothing on a machine without the server.
macro_rules! on_every_shared_store {
    ($($test:ident)*) => {
        mod postgres_store {
            $(
                #[actix_web::test]
                async fn $test() {
                    if let Some(server) = $crate::support::shared::SharedServer::postgres().await {
                        super::$test(server).await;
                    }
                }
            )*
        }
        mod redis_store {
            $(
                #[actix_web::test]
                async fn $test() {
                    if let Some(server) = $crate::support::shared::SharedServer::redis().await {
                        super::$test(server).await;
                    }
                }
            )*
        }
    };
}
pub(crate) use on_every_shared_store;

impl SharedServer {
    pub(crate) async fn postgres() -> Option<SharedServer> {
        postgres::empty_schema().await.map(SharedServer::Postgres)
    }

    pub(crate) async fn redis() -> Option<SharedServer> {
        RedisServer::start().await.map(|server| SharedServer::Redis(Box::new(server)))
    }

    pub(crate) fn address(&self) -> String {
        match self {
            SharedServer::Postgres(address) => address.clone(),
            SharedServer::Redis(server) => server.address(),
        }
    }

    /// Opens the store as a node does.
    pub(crate) async fn open(&self, clock: &Clock, issued: Option<Timestamp>) -> Arc<dyn UsedTokens> {
        match self {
            SharedServer::Postgres(address) => {
                Arc::new(SqlUsedTokens::connect(address, clock, issued).await.unwrap())
            }
            SharedServer::Redis(server) => {
                Arc::new(RedisUsedTokens::connect(&server.address(), clock, issued).await.unwrap())
            }
        }
    }

    /// Resets the time of the store as an operator does; returns the latest time that it had.
    pub(crate) async fn reset_time(&self, now: Timestamp) -> Timestamp {
        let clock = Clock::manual(now);
        match self {
            SharedServer::Postgres(address) => {
                let store = SqlUsedTokens::connect(address, &clock, None).await.unwrap();
                let mark = store.reset_time(now).await.unwrap();
                store.close().await;
                mark
            }
            SharedServer::Redis(server) => {
                let store = RedisUsedTokens::connect(&server.address(), &clock, None).await.unwrap();
                let mark = store.reset_time(now).await.unwrap();
                store.close().await;
                mark
            }
        }
    }

    /// Nodes that use it, at the same public address and each with a data directory of its own.
    pub(crate) async fn nodes<const N: usize>(&self) -> [Node; N] {
        let mut first = Setup { clock: Clock::wall(), ..Setup::default() };
        first.settings.download.used_tokens = self.address().into();
        first.settings.download.public_url = "http://files.example".to_owned();
        let mut nodes = Vec::new();
        for n in 0..N {
            let mut next = Setup { clock: Clock::wall(), dir: first.dir.clone(), ..Setup::default() };
            next.settings = first.settings.clone();
            next.settings.data_dir = first.dir.path().join(format!("data{n}"));
            next.settings.download.listen = unused_address().into();
            nodes.push(next.start().await);
        }
        nodes.try_into().unwrap_or_else(|_| panic!("{N} nodes were started"))
    }

    /// Keeps a copy of the store.
    pub(crate) async fn dump(&self) {
        match self {
            SharedServer::Postgres(address) => {
                execute(
                    address,
                    &[
                        "CREATE TABLE dumped_tokens AS TABLE used_tokens",
                        "CREATE TABLE dumped_state AS TABLE used_tokens_state",
                        "CREATE TABLE dumped_branches AS TABLE used_tokens_branches",
                    ],
                )
                .await;
            }
            SharedServer::Redis(server) => server.copy("dump"),
        }
    }

    /// Puts the copy back.
    pub(crate) async fn put_back(&mut self) {
        match self {
            SharedServer::Postgres(address) => {
                execute(
                    address,
                    &[
                        "DELETE FROM used_tokens",
                        "DELETE FROM used_tokens_state",
                        "DELETE FROM used_tokens_branches",
                        "INSERT INTO used_tokens SELECT * FROM dumped_tokens",
                        "INSERT INTO used_tokens_state SELECT * FROM dumped_state",
                        "INSERT INTO used_tokens_branches SELECT * FROM dumped_branches",
                    ],
                )
                .await;
            }
            SharedServer::Redis(server) => server.put_back("dump").await,
        }
    }

    /// The position of the store.
    pub(crate) async fn position(&self) -> i64 {
        match self {
            SharedServer::Postgres(address) => {
                let mut connection = sqlx::AnyConnection::connect(address).await.unwrap();
                let position = "SELECT moment FROM used_tokens_state WHERE name = 'position'";
                let position = sqlx::query_scalar(position).fetch_one(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                position
            }
            SharedServer::Redis(server) => {
                server.text(&["HGET", "oncelink:used-tokens", "position"]).await.parse().unwrap()
            }
        }
    }
}

async fn execute(address: &str, statements: &[&str]) {
    let mut connection = sqlx::AnyConnection::connect(address).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    for statement in statements {
        transaction.execute(AssertSqlSafe((*statement).to_owned())).await.unwrap();
    }
    transaction.commit().await.unwrap();
    connection.close().await.unwrap();
}
