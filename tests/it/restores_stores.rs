//! A shared used-token store that is restored from a dump: what was redeemed since is refused on every node,
//! and nothing else is lost. The dump is a copy of the store's tables.

use std::fs;
use std::time::Duration;

use oncelink::clock::Clock;
use oncelink::id::Jti;
use oncelink::used_tokens::sql::SqlUsedTokens;
use oncelink::used_tokens::{Mark, Use, UsedToken, UsedTokens};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::support::client::Client;
use crate::support::{Node, Setup, T0, pattern, postgres, unused_address};
use crate::used_tokens::redeemed;

/// Longer than anything takes, unless the machine is stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// A database that nodes share, each with its own data directory.
struct Shared {
    database: String,
    /// The nodes' share and keys.
    first: Setup,
}

impl Shared {
    async fn new() -> Option<Shared> {
        let database = postgres::empty_schema().await?;
        let mut first = Setup { clock: Clock::wall(), ..Setup::default() };
        first.settings.download.used_tokens = database.clone().into();
        first.settings.download.public_url = "http://files.example".to_owned();
        Some(Shared { database, first })
    }

    /// A node that keeps its data in the folder `data`.
    async fn node(&self, data: &str) -> Node {
        let mut setup = Setup { clock: Clock::wall(), dir: self.first.dir.clone(), ..Setup::default() };
        setup.settings = self.first.settings.clone();
        setup.settings.data_dir = self.first.dir.path().join(data);
        setup.settings.download.listen = unused_address().into();
        setup.start().await
    }

    async fn execute(&self, statements: &[&str]) {
        let mut connection = sqlx::AnyConnection::connect(&self.database).await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        for statement in statements {
            transaction.execute(AssertSqlSafe((*statement).to_owned())).await.unwrap();
        }
        transaction.commit().await.unwrap();
        connection.close().await.unwrap();
    }

    async fn dump(&self) {
        self.execute(&[
            "CREATE TABLE dumped_tokens AS TABLE used_tokens",
            "CREATE TABLE dumped_state AS TABLE used_tokens_state",
            "CREATE TABLE dumped_branches AS TABLE used_tokens_branches",
        ])
        .await;
    }

    /// Waits until a node remembers a position of the store after the dump.
    async fn is_remembered_by(&self, data: &str) {
        let mut connection = sqlx::AnyConnection::connect(&self.database).await.unwrap();
        let position = "SELECT moment FROM dumped_state WHERE name = 'position'";
        let dumped: i64 = sqlx::query_scalar(position).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let path = self.first.dir.path().join(data).join("download/remembered");
        let looked = async {
            loop {
                let memory: Value = fs::read(&path)
                    .ok()
                    .and_then(|text| serde_json::from_slice(&text).ok())
                    .unwrap_or_default();
                if memory["stores"][0]["position"].as_i64() > Some(dumped) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, looked).await.unwrap();
    }

    async fn put_back(&self) {
        self.execute(&[
            "DELETE FROM used_tokens",
            "DELETE FROM used_tokens_state",
            "DELETE FROM used_tokens_branches",
            "INSERT INTO used_tokens SELECT * FROM dumped_tokens",
            "INSERT INTO used_tokens_state SELECT * FROM dumped_state",
            "INSERT INTO used_tokens_branches SELECT * FROM dumped_branches",
        ])
        .await;
    }
}

async fn status(node: &Node, path: &str) -> u16 {
    Client::default().get(&node.url(path)).await.status.as_u16()
}

/// The path of a new token.
fn fresh(node: &Node) -> String {
    format!("/d/{}", node.issue("a.bin", |_| {}).token)
}

async fn redeem(node: &Node) -> String {
    let path = fresh(node);
    assert_eq!(status(node, &path).await, 200);
    path
}

/// Sends requests until the status is `wanted`; before that only refusals may come.
async fn refused_until(node: &Node, path: &str, wanted: u16) {
    let asked = async {
        loop {
            let found = status(node, path).await;
            if found == wanted {
                return;
            }
            assert!([410, 503].contains(&found), "{found}");
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap();
}

#[actix_web::test]
async fn a_store_restored_from_a_dump_while_its_node_is_down_lets_nothing_in_twice() {
    let Some(shared) = Shared::new().await else { return };
    let mut node = shared.node("data").await;
    node.put("a.bin", &pattern(5000));
    shared.dump().await;
    for _restored in ["once", "and once more, from the same dump"] {
        let used = redeem(&node).await;
        let unused = fresh(&node);
        node.stop().await;
        shared.put_back().await;
        node = shared.node("data").await;
        let reply = Client::default().get(&node.url(&used)).await;
        assert_eq!((reply.status.as_u16(), reply.slug().as_str()), (410, "expired-token"));
        assert_eq!(status(&node, &unused).await, 410, "lost, but never served twice");
        redeem(&node).await;
    }
    node.stop().await;
}

#[actix_web::test]
async fn a_store_restored_under_running_nodes_lets_nothing_in_twice() {
    let Some(shared) = Shared::new().await else { return };
    let (first, second) = (shared.node("data").await, shared.node("data of the second").await);
    first.put("a.bin", &pattern(5000));
    shared.dump().await;
    let used = redeem(&first).await;
    shared.is_remembered_by("data of the second").await;
    shared.put_back().await;
    // The second node never saw that jti, and knows only that the store had been further.
    let reply = Client::default().get(&second.url(&used)).await;
    assert!([410, 503].contains(&reply.status.as_u16()), "{reply:?}");
    refused_until(&second, &used, 410).await;
    refused_until(&first, &used, 410).await;
    // Both have the new fence, and both work.
    for node in [&first, &second] {
        let served = async { while status(node, &fresh(node)).await != 200 {} };
        tokio::time::timeout(PATIENCE, served).await.unwrap();
        assert_eq!(status(node, &used).await, 410);
    }
    first.stop().await;
    second.stop().await;
}

#[actix_web::test]
async fn new_records_in_a_restored_store_do_not_hide_the_restore() {
    let Some(shared) = Shared::new().await else { return };
    let clock = Clock::manual(T0);
    let open = async || SqlUsedTokens::connect(&shared.database, &clock, Some(T0)).await.unwrap();
    let (first, second) = (open().await, open().await);
    shared.dump().await;
    let later = T0.plus(Duration::from_secs(600));
    let used = redeemed(Jti::random().unwrap(), later);
    assert!(matches!(first.claim(used).await, Ok(Use::First)));
    for node in [&first, &second] {
        node.standing(T0).await.unwrap();
    }
    shared.put_back().await;
    // A revocation is accepted in any case, and moves the store on to the position it had before.
    let before = second.fence();
    second.revoke(Jti::random().unwrap(), T0, later).await.unwrap();
    second.standing(T0).await.unwrap();
    assert!(second.fence() > before, "the node that recorded something has noticed");
    assert!(first.claim(used).await.is_err(), "nothing is claimed under the old fence");
    first.close().await;
    second.close().await;
}

#[actix_web::test]
async fn a_node_that_returns_late_detects_a_store_that_was_used_after_its_restore() {
    let Some(shared) = Shared::new().await else { return };
    let first = shared.node("data").await;
    first.put("a.bin", &pattern(5000));
    shared.dump().await;
    let used = redeem(&first).await;
    first.stop().await;
    shared.put_back().await;
    // No node that remembers is running, and the store goes past its old position.
    let second = shared.node("an empty disk").await;
    for _ in 0..5 {
        redeem(&second).await;
    }
    second.stop().await;
    let first = shared.node("data").await;
    assert_eq!(status(&first, &used).await, 410);
    first.stop().await;
}

#[actix_web::test]
async fn one_nodes_empty_disk_fences_nobody_else() {
    let Some(shared) = Shared::new().await else { return };
    let first = shared.node("data").await;
    first.put("a.bin", &pattern(5000));
    let used = redeem(&first).await;
    let unused = fresh(&first);
    let second = shared.node("an empty disk").await;
    assert_eq!(status(&second, &used).await, 410);
    assert_eq!(status(&second, &unused).await, 200);
    assert_eq!(status(&first, &fresh(&first)).await, 200);
    first.stop().await;
    second.stop().await;
}

#[actix_web::test]
async fn the_time_of_a_shared_store_is_reset_for_all_who_use_it() {
    let Some(database) = postgres::empty_schema().await else { return };
    let ahead = T0.plus(Duration::from_secs(400 * 86_400));
    let clock = Clock::manual(ahead);
    let running = SqlUsedTokens::connect(&database, &clock, Some(T0)).await.unwrap();
    running.record_time(ahead).await.unwrap();
    let right = Clock::manual(T0);
    let operator = SqlUsedTokens::connect(&database, &right, None).await.unwrap();
    assert_eq!(right.now(), ahead, "the mark stays until it is reset");
    assert_eq!(operator.reset_time(T0).await.unwrap(), ahead);
    // The running process no longer writes its old mark, and learns the new epoch.
    running.record_time(ahead.plus(Duration::from_secs(9))).await.unwrap();
    running.standing(T0).await.unwrap();
    assert_eq!((running.time_reset(), running.fence().secs()), (Some(T0), T0.secs() + 1));
    assert_eq!(running.time_reset(), None);
    let clock = Clock::manual(T0);
    let next = SqlUsedTokens::connect(&database, &clock, None).await.unwrap();
    assert_eq!((clock.now(), next.fence().secs()), (T0, T0.secs() + 1));
    for store in [running, operator, next] {
        store.close().await;
    }
}

#[actix_web::test]
async fn a_store_moves_on_even_if_the_task_that_recorded_its_position_is_gone() {
    let Some(database) = postgres::empty_schema().await else { return };
    let store = SqlUsedTokens::connect(&database, &Clock::manual(T0), Some(T0)).await.unwrap();
    let position = async || store.standing(T0).await.unwrap().unwrap().position;
    for turns in 0..80 {
        let before = position().await;
        let (jti, forget_at) = (Jti::random().unwrap(), T0.plus(Duration::from_secs(600)));
        store.claim(UsedToken { jti, marked_at: T0, forget_at, mark: Mark::Revoked }).await.unwrap();
        let gone = async {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = position() => {}
            () = gone => {}
        }
        assert!(position().await > before, "after {turns} turns");
    }
    store.close().await;
}
