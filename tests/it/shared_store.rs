//! Two nodes on one PostgreSQL: a link still works only once, also where claims are written in groups.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use oncelink::clock::Clock;
use oncelink::id::Jti;
use oncelink::used_tokens::sql::SqlUsedTokens;
use oncelink::used_tokens::{StoreError, Use, UsedToken, UsedTokens};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use tokio::task::JoinHandle;

use crate::support::client::{Client, Partial};
use crate::support::{Node, Setup, pattern, postgres, unused_address};
use crate::used_tokens::{NOW, at, jti, redeemed};

/// Two nodes on one store, and the store's address; `None` without PostgreSQL.
pub(crate) async fn two_nodes() -> Option<(Node, Node, String)> {
    let database = postgres::empty_schema().await?;
    let mut first = Setup { clock: Clock::wall(), ..Setup::default() };
    first.settings.download.used_tokens = database.clone().into();
    first.settings.download.public_url = "http://files.example".to_owned();
    let mut second = Setup { clock: Clock::wall(), dir: first.dir.clone(), ..Setup::default() };
    second.settings = first.settings.clone();
    second.settings.data_dir = first.dir.path().join("data of the second");
    second.settings.download.listen = unused_address().into();
    Some((first.start().await, second.start().await, database))
}

#[actix_web::test]
async fn two_nodes_that_share_a_store_serve_a_token_once() {
    let Some((first, second, _)) = two_nodes().await else { return };
    first.put("a.bin", &pattern(50_000));
    for _ in 0..10 {
        let path = format!("/d/{}", first.issue("a.bin", |_| {}).token);
        let urls = [first.url(&path), second.url(&path)];
        let asked = (0..32).map(|i| {
            let url = urls[i % 2].clone();
            async move { Client::default().get(&url).await }
        });
        let replies = join_all(asked).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
        assert!(replies.iter().all(|reply| reply.status == 200 || reply.slug() == "used-token"));
    }
    first.stop().await;
    second.stop().await;
}

#[actix_web::test]
async fn every_node_continues_by_key_or_continuation_what_another_began() {
    let Some((first, second, _)) = two_nodes().await else { return };
    let content = pattern(6 << 20);
    first.put("a.bin", &content);
    let issued = first.issue("a.bin", |_| {});
    let path = format!("/d/{}", issued.token);
    let begun = Partial::open(1, &first.url(&path), "", 1000).await;
    let key = begun.header("etag").unwrap().to_owned();
    drop(begun);
    let by_key = [("range", "bytes=1000-1999"), ("if-range", &*key)];
    for node in [&second, &first, &second] {
        let part = Client::at(2).get_with(&node.url(&path), &by_key).await;
        assert_eq!((part.status.as_u16(), part.body.as_slice()), (206, &content[1000..2000]));
    }
    assert_eq!(Client::at(1).get_with(&second.url(&path), &by_key[..1]).await.slug(), "used-token");
    let again = first.continuation(issued.jti, "a.bin", |_| {});
    let again = again.strip_prefix("http://files.example").unwrap();
    for node in [&second, &first] {
        let part = Client::at(3).get_with(&node.url(again), &[("range", "bytes=5000-")]).await;
        assert_eq!(part.status, 206);
        assert!(part.body == content[5000..]);
    }
    first.stop().await;
    second.stop().await;
}

#[actix_web::test]
async fn a_revocation_on_record_ends_what_another_node_sends_and_all_resumption() {
    let Some((first, second, database)) = two_nodes().await else { return };
    let size = 5_u64 << 30;
    std::fs::File::create(first.dir.path().join("share/huge.bin")).unwrap().set_len(size).unwrap();
    let issued = first.issue("huge.bin", |_| {});
    let path = format!("/d/{}", issued.token);
    let running = Partial::open(1, &first.url(&path), "", 1000).await;
    let key = running.header("etag").unwrap().to_owned();
    // Interrupted on both nodes, so that both remember it.
    let by_key = [("range", "bytes=1000-1999"), ("if-range", &*key)];
    assert_eq!(Client::default().get_with(&second.url(&path), &by_key).await.status, 206);
    let store = SqlUsedTokens::connect(&database, &Clock::wall(), None).await.unwrap();
    let now = Clock::wall().now();
    store.revoke(issued.jti, now, now.plus(Duration::from_secs(9_000))).await.unwrap();
    store.close().await;
    // Before the next poll of the revocations: each node checks before it resumes.
    let again = first.continuation(issued.jti, "huge.bin", |_| {});
    let again = again.strip_prefix("http://files.example").unwrap();
    for node in [&second, &first] {
        for fields in [&by_key[..], &by_key[..1], &[]] {
            assert_eq!(Client::default().get_with(&node.url(&path), fields).await.slug(), "revoked-token");
            assert_eq!(Client::default().get_with(&node.url(again), fields).await.slug(), "revoked-token");
        }
        assert_eq!(Client::default().head(&node.url(&path)).await.status, 410);
    }
    first.stop().await;
    second.stop().await;
}

#[actix_web::test]
async fn a_running_transfer_is_cut_when_another_node_records_its_revocation() {
    let Some((first, second, database)) = two_nodes().await else { return };
    let size = 5_u64 << 30;
    std::fs::File::create(first.dir.path().join("share/huge.bin")).unwrap().set_len(size).unwrap();
    let issued = first.issue("huge.bin", |_| {});
    let mut running = Partial::open(1, &first.url(&format!("/d/{}", issued.token)), "", 1000).await;
    let store = SqlUsedTokens::connect(&database, &Clock::wall(), None).await.unwrap();
    let now = Clock::wall().now();
    store.revoke(issued.jti, now, now.plus(Duration::from_secs(9_000))).await.unwrap();
    store.close().await;
    // Much faster than the whole file could be read.
    assert!(running.count_to_end().await < size, "nothing cut it");
    first.stop().await;
    second.stop().await;
}

/// Two stores on one database, as two nodes have them, and its address.
async fn two_stores() -> Option<([Arc<SqlUsedTokens>; 2], String)> {
    let database = postgres::empty_schema().await?;
    let clock = Clock::manual(NOW);
    let open = async || Arc::new(SqlUsedTokens::connect(&database, &clock, Some(NOW)).await.unwrap());
    Some(([open().await, open().await], database.clone()))
}

fn claim(store: &Arc<SqlUsedTokens>, used: UsedToken) -> JoinHandle<Result<Use, StoreError>> {
    let store = store.clone();
    tokio::spawn(async move { store.claim(used).await })
}

/// Lets no claim be written until this transaction ends.
async fn block_claims(database: &str) -> PgConnection {
    let mut connection = PgConnection::connect(database).await.unwrap();
    connection.execute("BEGIN; LOCK TABLE used_tokens IN SHARE ROW EXCLUSIVE MODE").await.unwrap();
    connection
}

/// Claims tokens until each writer of this store waits for `blocker`, so that further claims are queued.
async fn occupy_writers(
    store: &Arc<SqlUsedTokens>,
    blocker: &mut PgConnection,
) -> Vec<JoinHandle<Result<Use, StoreError>>> {
    let mut claims = Vec::new();
    for writer in 1..=4 {
        claims.push(claim(store, redeemed(jti(), at(9_000))));
        let waiting =
            "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = 'used_tokens'::regclass";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut *blocker).await.unwrap() < writer {
            tokio::task::yield_now().await;
        }
    }
    claims
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_claims_of_each_token_in_groups_of_two_nodes_one_is_first() {
    let Some((stores, _)) = two_stores().await else { return };
    for round in 0..20 {
        let mut jtis: Vec<Jti> = (0..40).map(|_| jti()).collect();
        let mut claims = Vec::new();
        for repetition in 0..10 {
            // In another order each time, so that groups meet each other's tokens crosswise.
            jtis.rotate_left(7);
            jtis.reverse();
            for (n, jti) in jtis.iter().enumerate() {
                let used = redeemed(*jti, at(9_000 + repetition));
                claims.push((*jti, used, claim(&stores[(n + round) % 2], used)));
                claims.push((*jti, used, claim(&stores[(n + round + 1) % 2], used)));
            }
        }
        let (mut firsts, mut replays) = (Vec::new(), Vec::new());
        for (jti, used, claim) in claims {
            match claim.await.unwrap().unwrap() {
                Use::First => firsts.push((jti, used)),
                Use::Replay(record) => replays.push((jti, record)),
            }
        }
        assert_eq!(firsts.len(), jtis.len());
        for jti in jtis {
            let first = firsts.iter().find(|(first, _)| *first == jti).unwrap().1;
            assert!(replays.iter().all(|(replayed, record)| *replayed != jti || *record == first));
        }
    }
    for store in stores {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_claims_of_one_token_in_one_group_exactly_one_is_first() {
    let Some(([store, other], database)) = two_stores().await else { return };
    let mut blocker = block_claims(&database).await;
    let mut claims = occupy_writers(&store, &mut blocker).await;
    let (once, spent) = (jti(), redeemed(jti(), at(9_000)));
    let same = (0..64).map(|n| claim(&store, redeemed(once, at(9_000 + n)))).collect::<Vec<_>>();
    claims.extend((0..64).map(|_| claim(&store, redeemed(jti(), at(9_000)))));
    blocker.execute("COMMIT").await.unwrap();
    assert!(matches!(other.claim(spent).await, Ok(Use::First)));
    for claim in claims {
        assert!(matches!(claim.await.unwrap(), Ok(Use::First)));
    }
    let answers = join_all(same).await.into_iter().map(|answer| answer.unwrap().unwrap());
    let record = store.find(once).await.unwrap().unwrap();
    let (firsts, replays): (Vec<Use>, Vec<Use>) = answers.partition(|answer| *answer == Use::First);
    assert_eq!(firsts.len(), 1);
    assert!(replays.iter().all(|replay| *replay == Use::Replay(record)));
    assert!(matches!(store.claim(spent).await, Ok(Use::Replay(record)) if record == spent));
    for store in [store, other] {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_fence_that_rises_while_claims_are_queued_fails_all_of_them() {
    let Some(([store, other], database)) = two_stores().await else { return };
    let mut blocker = block_claims(&database).await;
    let mut claims = occupy_writers(&store, &mut blocker).await;
    let queued: Vec<UsedToken> = (0..64).map(|_| redeemed(jti(), at(9_000))).collect();
    claims.extend(queued.iter().map(|used| claim(&store, *used)));
    let rise = "UPDATE used_tokens_state SET moment = moment + 1 WHERE name IN ('epoch', 'position', 'fence'); \
                COMMIT";
    blocker.execute(rise).await.unwrap();
    for claim in claims {
        assert!(claim.await.unwrap().is_err());
    }
    assert!(store.fence() > NOW, "the claims that failed have noticed");
    for used in queued {
        assert_eq!(other.find(used.jti).await.unwrap(), None);
        assert!(matches!(store.claim(used).await, Ok(Use::First)));
    }
    for store in [store, other] {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_queued_claim_whose_caller_has_gone_spends_nothing_and_a_closed_store_finishes_the_rest() {
    let Some(([store, other], database)) = two_stores().await else { return };
    let mut blocker = block_claims(&database).await;
    let claims = occupy_writers(&store, &mut blocker).await;
    let (gone, waits) = (redeemed(jti(), at(9_000)), redeemed(jti(), at(9_000)));
    let leaves = tokio::time::timeout(Duration::from_millis(50), store.claim(gone));
    assert!(leaves.await.is_err());
    let waiting = claim(&store, waits);
    let closing = tokio::spawn(async move { store.close().await });
    blocker.execute("COMMIT").await.unwrap();
    closing.await.unwrap();
    for claim in claims {
        assert!(matches!(claim.await.unwrap(), Ok(Use::First)));
    }
    // It was queued before the store was closed, or after.
    let is_first = matches!(waiting.await.unwrap(), Ok(Use::First));
    assert_eq!(other.find(waits.jti).await.unwrap().is_some(), is_first);
    assert!(matches!(other.claim(gone).await, Ok(Use::First)));
    other.close().await;
}

#[tokio::test]
async fn claims_continue_when_the_server_has_closed_all_connections() {
    let Some(database) = postgres::empty_schema().await else { return };
    let name = Jti::random().unwrap();
    let clock = Clock::manual(NOW);
    let named = format!("{database}&application_name={name}");
    let store = SqlUsedTokens::connect(&named, &clock, Some(NOW)).await.unwrap();
    let used = redeemed(jti(), at(9_000));
    assert!(matches!(store.claim(used).await, Ok(Use::First)));
    let mut operator = PgConnection::connect(&database).await.unwrap();
    let close = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
    sqlx::query(close).bind(name.to_string()).execute(&mut operator).await.unwrap();
    // A connection that was just used isn't tested first, so a claim may fail; the next one connects again.
    let (first, second) = (redeemed(jti(), at(9_000)), redeemed(jti(), at(9_000)));
    let _first_or_error = store.claim(first).await;
    assert!(matches!(store.claim(second).await, Ok(Use::First)));
    assert!(matches!(store.claim(used).await, Ok(Use::Replay(record)) if record == used));
    store.close().await;
}
