//! A shared used-token store that is restored from a dump: what was redeemed since is refused on every node,
//! and nothing else is lost. The dump is a copy of PostgreSQL's tables, or of the files of Redis.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use oncelink::clock::Clock;
use oncelink::id::Jti;
use oncelink::used_tokens::{Mark, Use, UsedToken};
use serde_json::Value;

use crate::support::client::Client;
use crate::support::shared::{SharedServer, on_every_shared_store};
use crate::support::stores::Failing;
use crate::support::{Node, Setup, T0, pattern, unused_address};
use crate::used_tokens::redeemed;

/// Longer than anything takes, unless the machine is stuck.
const PATIENCE: Duration = Duration::from_secs(30);

on_every_shared_store! {
    a_store_restored_from_a_dump_while_its_node_is_down_lets_nothing_in_twice
    a_store_restored_under_running_nodes_lets_nothing_in_twice
    new_records_in_a_restored_store_do_not_hide_the_restore
    a_node_that_returns_late_detects_a_store_that_was_used_after_its_restore
    one_nodes_empty_disk_fences_nobody_else
    the_time_of_a_shared_store_is_reset_for_all_who_use_it
    a_store_moves_on_even_if_the_task_that_recorded_its_position_is_gone
}

/// A store that nodes share, each with its own data directory.
struct Shared {
    server: SharedServer,
    /// The position of the store in the dump.
    dumped: i64,
    /// The nodes' share and keys.
    first: Setup,
}

impl Shared {
    fn new(server: SharedServer) -> Shared {
        let mut first = Setup { clock: Clock::wall(), ..Setup::default() };
        first.settings.download.used_tokens = server.address().into();
        first.settings.download.public_url = "http://files.example".to_owned();
        Shared { server, dumped: 0, first }
    }

    /// A node that keeps its data in the folder `data`.
    async fn node(&self, data: &str) -> Node {
        let mut setup = Setup { clock: Clock::wall(), dir: self.first.dir.clone(), ..Setup::default() };
        setup.settings = self.first.settings.clone();
        setup.settings.data_dir = self.first.dir.path().join(data);
        setup.settings.download.listen = unused_address().into();
        setup.start().await
    }

    async fn dump(&mut self) {
        self.dumped = self.server.position().await;
        self.server.dump().await;
    }

    /// Waits until a node remembers a position of the store after the dump.
    async fn is_remembered_by(&self, data: &str) {
        let path = self.first.dir.path().join(data).join("download/remembered");
        let looked = async {
            loop {
                let memory: Value = fs::read(&path)
                    .ok()
                    .and_then(|text| serde_json::from_slice(&text).ok())
                    .unwrap_or_default();
                if memory["stores"][0]["position"].as_i64() > Some(self.dumped) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, looked).await.unwrap();
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

async fn a_store_restored_from_a_dump_while_its_node_is_down_lets_nothing_in_twice(server: SharedServer) {
    let mut shared = Shared::new(server);
    let mut node = shared.node("data").await;
    node.put("a.bin", &pattern(5000));
    shared.dump().await;
    for _restored in ["once", "and once more, from the same dump"] {
        let used = redeem(&node).await;
        let unused = fresh(&node);
        node.stop().await;
        shared.server.put_back().await;
        node = shared.node("data").await;
        let reply = Client::default().get(&node.url(&used)).await;
        assert_eq!((reply.status.as_u16(), reply.slug().as_str()), (410, "expired-token"));
        assert_eq!(status(&node, &unused).await, 410, "lost, but never served twice");
        redeem(&node).await;
    }
    node.stop().await;
}

async fn a_store_restored_under_running_nodes_lets_nothing_in_twice(server: SharedServer) {
    let mut shared = Shared::new(server);
    let (first, second) = (shared.node("data").await, shared.node("data of the second").await);
    first.put("a.bin", &pattern(5000));
    shared.dump().await;
    let used = redeem(&first).await;
    shared.is_remembered_by("data of the second").await;
    shared.server.put_back().await;
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

/// The token was compared with the fence that was known before.
#[actix_web::test]
async fn a_fence_that_rises_while_a_token_is_claimed_refuses_it() {
    let store = Arc::new(Failing::default());
    let node = Setup { store: Some(store.clone()), ..Setup::default() }.start().await;
    node.put("a.bin", &pattern(5000));
    let link = node.link("a.bin");
    store.raise_fence_at_claim();
    assert_eq!(Client::default().get(&link).await.status, 503);
    assert_eq!(Client::default().get(&link).await.slug(), "expired-token");
    node.stop().await;
}

async fn new_records_in_a_restored_store_do_not_hide_the_restore(server: SharedServer) {
    let mut shared = Shared::new(server);
    let clock = Clock::manual(T0);
    let open = async || shared.server.open(&clock, Some(T0)).await;
    let (first, second) = (open().await, open().await);
    shared.dump().await;
    let later = T0.plus(Duration::from_secs(600));
    let used = redeemed(Jti::random().unwrap(), later);
    assert!(matches!(first.claim(used).await, Ok(Use::First)));
    for node in [&first, &second] {
        node.standing(T0).await.unwrap();
    }
    shared.server.put_back().await;
    // A revocation is accepted in any case, and moves the store on to the position it had before.
    let before = second.fence();
    second.revoke(Jti::random().unwrap(), T0, later).await.unwrap();
    second.standing(T0).await.unwrap();
    assert!(second.fence() > before, "the node that recorded something has noticed");
    assert!(first.claim(used).await.is_err(), "nothing is claimed under the old fence");
    first.close().await;
    second.close().await;
}

async fn a_node_that_returns_late_detects_a_store_that_was_used_after_its_restore(server: SharedServer) {
    let mut shared = Shared::new(server);
    let first = shared.node("data").await;
    first.put("a.bin", &pattern(5000));
    shared.dump().await;
    let used = redeem(&first).await;
    first.stop().await;
    shared.server.put_back().await;
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

async fn one_nodes_empty_disk_fences_nobody_else(server: SharedServer) {
    let shared = Shared::new(server);
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

async fn the_time_of_a_shared_store_is_reset_for_all_who_use_it(server: SharedServer) {
    let ahead = T0.plus(Duration::from_secs(400 * 86_400));
    let clock = Clock::manual(ahead);
    let running = server.open(&clock, Some(T0)).await;
    running.record_time(ahead).await.unwrap();
    let right = Clock::manual(T0);
    let operator = server.open(&right, None).await;
    assert_eq!(right.now(), ahead, "the mark stays until it is reset");
    assert_eq!(server.reset_time(T0).await, ahead);
    // The running process no longer writes its old mark, and learns the new epoch.
    running.record_time(ahead.plus(Duration::from_secs(9))).await.unwrap();
    running.standing(T0).await.unwrap();
    assert_eq!((running.time_reset(), running.fence().secs()), (Some(T0), T0.secs() + 1));
    assert_eq!(running.time_reset(), None);
    let clock = Clock::manual(T0);
    let next = server.open(&clock, None).await;
    assert_eq!((clock.now(), next.fence().secs()), (T0, T0.secs() + 1));
    for store in [running, operator, next] {
        store.close().await;
    }
}

async fn a_store_moves_on_even_if_the_task_that_recorded_its_position_is_gone(server: SharedServer) {
    let store = server.open(&Clock::manual(T0), Some(T0)).await;
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
