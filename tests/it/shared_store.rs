//! Two nodes on one PostgreSQL: still once.

use oncelink::clock::Clock;

use crate::support::client::Client;
use crate::support::{Setup, pattern, postgres};

#[actix_web::test]
async fn two_nodes_that_share_a_store_serve_a_token_once() {
    let Some(database) = postgres::empty_schema().await else { return };
    let mut first = Setup { clock: Clock::wall(), ..Setup::default() };
    first.settings.download.used_tokens = database.into();
    first.settings.download.public_url = "http://files.example".to_owned();
    let mut second = Setup { clock: Clock::wall(), dir: first.dir.clone(), ..Setup::default() };
    second.settings = first.settings.clone();
    second.settings.data_dir = first.dir.path().join("data of the second");
    let (first, second) = (first.start().await, second.start().await);
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
