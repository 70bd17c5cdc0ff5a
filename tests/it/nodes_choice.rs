//! Which node a token is for: one that is ready, in proportion to the weights. Where none is ready, nothing is
//! issued and nothing is spent.

use std::collections::BTreeMap;

use oncelink::server::{self, Role};

use crate::nodes::Site;
use crate::support::deliveries::eventually;
use crate::support::links;
use crate::support::web::Browser;

impl Site {
    /// A site whose nodes have these weights.
    async fn weighted(weights: [u32; 2]) -> Site {
        let mut site = Site::start().await;
        Box::pin(site.web.take().unwrap().stop()).await;
        for (node, weight) in site.settings.nodes.iter_mut().zip(weights) {
            node.weight = weight;
        }
        let web = server::start(site.settings.clone(), Role::Web, site.clock.clone());
        site.web = Some(Box::pin(web).await.unwrap());
        site
    }

    /// How many of these presses led to each node.
    async fn presses(&self, browser: &mut Browser, count: usize) -> BTreeMap<String, usize> {
        let mut chosen = BTreeMap::new();
        for _ in 0..count {
            let (public, _) = self.press(browser, "/files/a.bin").await;
            let host = public.strip_prefix("https://").unwrap().split('.').next().unwrap();
            *chosen.entry(host.to_owned()).or_default() += 1;
        }
        chosen
    }

    async fn issued(&self) -> i64 {
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM issued_tokens");
        count.fetch_one(self.access.db.db.reader()).await.unwrap()
    }
}

#[actix_web::test]
async fn tokens_are_for_the_nodes_in_proportion_to_their_weights() {
    let mut site = Site::weighted([3, 1]).await;
    site.put("a.bin", b"content");
    site.add(0).await;
    site.add(1).await;
    eventually("both are ready", async || site.readyz().await == "ready\n").await;
    let mut browser = site.browser().await;
    let chosen = site.presses(&mut browser, 400).await;
    // 300 are expected, with a standard deviation of 8.7; these are six of them.
    assert!((248..=352).contains(&chosen["one"]), "{chosen:?}");
    site.stop().await;
}

#[actix_web::test]
async fn a_node_without_weight_gets_no_tokens() {
    let mut site = Site::weighted([0, 1]).await;
    site.put("a.bin", b"content");
    site.add(0).await;
    let mut browser = site.browser().await;
    let refused = browser.fill("/files/files", "/download", &[("file", "/files/a.bin")]).await;
    assert_eq!(refused.status, 503);
    site.add(1).await;
    assert_eq!(site.presses(&mut browser, 20).await, BTreeMap::from([("two".to_owned(), 20)]));
    site.stop().await;
}

#[actix_web::test]
async fn a_node_that_is_not_ready_gets_none_and_where_none_is_ready_nothing_is_spent() {
    let mut site = Site::start().await;
    site.put("a.bin", b"content");
    site.add(0).await;
    site.add(1).await;
    let mut browser = site.browser().await;
    site.stop_node(0).await;
    let problem = "the download service `one` cannot be reached";
    eventually("the web app has noticed", async || site.readyz().await.contains(problem)).await;
    assert_eq!(site.presses(&mut browser, 40).await, BTreeMap::from([("two".to_owned(), 40)]));
    site.stop_node(1).await;
    let none = "no download service can accept new downloads";
    eventually("the web app has noticed", async || site.readyz().await.contains(none)).await;
    let before = site.issued().await;
    let refused = browser.fill("/files/files", "/download", &[("file", "/files/a.bin")]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    assert_eq!((before, site.issued().await), (40, 40), "nothing is issued");
    // One that is ready again gets tokens at the next press, however recently it was not.
    site.start_node(0).await;
    assert_eq!(site.presses(&mut browser, 10).await, BTreeMap::from([("one".to_owned(), 10)]));
    site.stop().await;
}

#[actix_web::test]
async fn a_link_keeps_its_downloads_while_no_node_is_ready() {
    let mut site = Site::start().await;
    site.put("a.bin", b"content");
    let mut browser = site.browser().await;
    let made = links::make(&mut browser, &[("files", "/files/a.bin")]).await;
    let link = &made.public[0];
    let reserved = async |site: &Site| -> i64 {
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM link_tokens");
        count.fetch_one(site.access.db.db.reader()).await.unwrap()
    };
    let press = async |site: &Site| {
        let mut visitor = Browser::at(&site.settings.web.public_url);
        visitor.fill(link, link, &[("file", "0")]).await.status
    };
    assert_eq!((press(&site).await, reserved(&site).await), (503, 0));
    site.add(1).await;
    assert_eq!((press(&site).await, reserved(&site).await), (303, 1));
    site.stop().await;
}
