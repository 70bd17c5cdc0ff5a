//! Two nodes on one PostgreSQL: a link still works only once.

use oncelink::clock::Clock;

use oncelink::used_tokens::UsedTokens;
use oncelink::used_tokens::sql::SqlUsedTokens;

use crate::support::client::{Client, Partial};
use crate::support::{Node, Setup, pattern, postgres, unused_address};

/// Two nodes on one store, and the store's address; `None` without PostgreSQL.
pub(crate) async fn two_nodes() -> Option<(Node, Node, String)> {
    let database = postgres::empty_schema().await?;
    let mut first = Setup { clock: Clock::wall(), ..Setup::default() };
    first.settings.download.used_tokens = database.clone().into();
    first.settings.download.public_url = "http://files.example".to_owned();
    let mut second = Setup { clock: Clock::wall(), dir: first.dir.clone(), ..Setup::default() };
    second.settings = first.settings.clone();
    second.settings.data_dir = first.dir.path().join("data of the second");
    second.settings.download.listen = unused_address();
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
        let replies = futures_util::future::join_all(asked).await;
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
    store.revoke(issued.jti, now, now.plus(std::time::Duration::from_secs(9_000))).await.unwrap();
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
    store.revoke(issued.jti, now, now.plus(std::time::Duration::from_secs(9_000))).await.unwrap();
    store.close().await;
    // Much faster than the whole file could be read.
    assert!(running.count_to_end().await < size, "nothing cut it");
    first.stop().await;
    second.stop().await;
}
