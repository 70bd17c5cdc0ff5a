//! Several download services: which get tokens, whose reports are accepted, and how revocations reach each.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::Method;
use oncelink::clock::{Clock, Timestamp};
use oncelink::config::{NodeSettings, Settings};
use oncelink::id::{Jti, LinkId};
use oncelink::receipt::{DeliveryState, Receipt, Report};
use oncelink::server::{self, Role, RunningServices};
use oncelink::used_tokens::sled::SledUsedTokens;
use oncelink::web::audit::Actor;
use tempfile::TempDir;

use crate::support::client::Client;
use crate::support::deliveries::{LINK, WebAccess, eventually, settings};
use crate::support::web::{Browser, PASSWORD};
use crate::support::{T0, unused_address};

/// A web app with two configured nodes, `one` and `two`, each with its own data directory. Their public
/// addresses lead nowhere: the tests reach them at their inner addresses.
pub(crate) struct Site {
    pub(crate) web: Option<RunningServices>,
    pub(crate) nodes: Vec<Option<RunningServices>>,
    pub(crate) settings: Settings,
    pub(crate) access: WebAccess,
    pub(crate) clock: Clock,
    pub(crate) folder: TempDir,
}

fn node(name: &str, at: SocketAddr) -> NodeSettings {
    NodeSettings {
        name: name.to_owned(),
        public_url: format!("https://{name}.example.org"),
        inner_url: format!("http://{at}"),
        weight: 1,
    }
}

impl Site {
    pub(crate) async fn start() -> Site {
        let folder = TempDir::new().unwrap();
        let mut settings = settings(&folder);
        settings.web.listen = unused_address().into();
        settings.web.public_url = format!("http://{}", settings.web.listen);
        settings.download.receipts = format!("{}/receipts", settings.web.public_url);
        settings.download.keys = format!("{}/.well-known/jwks.json", settings.web.public_url);
        settings.nodes = vec![node("one", unused_address()), node("two", unused_address())];
        let clock = Clock::manual(T0);
        let web = Box::pin(server::start(settings.clone(), Role::Web, clock.clone())).await.unwrap();
        let access = WebAccess::open(&settings, clock.clone()).await;
        access.link(None, "never").await;
        Site { web: Some(web), nodes: vec![None, None], settings, access, clock, folder }
    }

    /// Gives a node a key and starts it.
    pub(crate) async fn add(&mut self, at: usize) {
        let name = self.settings.nodes[at].name.clone();
        let key = self.access.db.nodes.add(&name, &Actor::operator(), T0).await.unwrap();
        std::fs::write(self.key_file(at), key.reveal()).unwrap();
        self.start_node(at).await;
    }

    pub(crate) fn key_file(&self, at: usize) -> std::path::PathBuf {
        self.folder.path().join(format!("key{at}"))
    }

    pub(crate) async fn start_node(&mut self, at: usize) {
        let listed = &self.settings.nodes[at];
        let mut own = self.settings.clone();
        own.nodes.clear();
        own.data_dir = self.folder.path().join(format!("node{at}"));
        let listen: SocketAddr = listed.inner_url.strip_prefix("http://").unwrap().parse().unwrap();
        own.download.listen = listen.into();
        own.download.public_url.clone_from(&listed.public_url);
        own.download.node_key = self.key_file(at);
        let path = own.used_tokens_dir();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let store = Arc::new(SledUsedTokens::open(&path, &self.clock, Some(T0)).unwrap());
        let node =
            Box::pin(server::start_with(own, Role::Download, self.clock.clone(), Some(store))).await.unwrap();
        self.nodes[at] = Some(node);
    }

    pub(crate) async fn stop_node(&mut self, at: usize) {
        self.nodes[at].take().unwrap().stop().await;
    }

    pub(crate) fn put(&self, name: &str, content: &[u8]) {
        std::fs::write(self.folder.path().join("share").join(name), content).unwrap();
    }

    pub(crate) async fn browser(&self) -> Browser {
        let mut browser = Browser::at(&self.settings.web.public_url);
        assert_eq!(browser.log_in("ada@example.org", PASSWORD).await.status, 303);
        browser
    }

    /// Presses Download; returns the public address that it leads to, and the same at the node's inner
    /// address.
    pub(crate) async fn press(&self, browser: &mut Browser, file: &str) -> (String, String) {
        let answer = browser.fill("/files/files", "/download", &[("file", file)]).await;
        let public = answer.location.unwrap_or_else(|| panic!("{}", answer.body));
        let node = self.settings.nodes.iter().find(|node| public.starts_with(&node.public_url));
        let node = node.unwrap_or_else(|| panic!("{public} is not the address of a node"));
        (public.clone(), public.replace(&node.public_url, &node.inner_url))
    }

    pub(crate) async fn readyz(&self) -> String {
        let answer = Client::default().get(&format!("{}/readyz", self.settings.web.public_url)).await;
        assert_eq!(answer.status, 200);
        String::from_utf8(answer.body).unwrap()
    }

    pub(crate) async fn waiting(&self, at: usize) -> i64 {
        let waiting = self.access.db.issued.revocations.waiting().await.unwrap();
        waiting.get(&self.settings.nodes[at].public_url).copied().unwrap_or_default()
    }

    pub(crate) async fn stop(mut self) {
        for node in self.nodes.iter_mut().filter_map(Option::take) {
            Box::pin(node.stop()).await;
        }
        Box::pin(self.web.take().unwrap().stop()).await;
        self.access.db.db.close().await;
    }
}

#[actix_web::test]
async fn a_node_without_a_key_gets_no_tokens_and_where_no_node_has_one_nothing_is_issued() {
    let mut site = Site::start().await;
    site.put("a.bin", b"content");
    let mut browser = site.browser().await;
    let refused = browser.fill("/files/files", "/download", &[("file", "/files/a.bin")]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    assert!(site.readyz().await.contains("no download service can accept new downloads"));
    let issued: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM issued_tokens")
        .fetch_one(site.access.db.db.reader())
        .await
        .unwrap();
    assert_eq!(issued, 0, "nothing is spent");
    site.add(1).await;
    let (public, inner) = site.press(&mut browser, "/files/a.bin").await;
    assert!(public.starts_with("https://two.example.org/d/"), "the only node with a key: {public}");
    assert_eq!(Client::default().get(&inner).await.body, b"content");
    site.stop().await;
}

#[actix_web::test]
async fn a_revocation_reaches_each_tokens_node_and_one_that_is_down_delays_nobody() {
    let mut site = Site::start().await;
    site.put("a.bin", b"content");
    site.add(0).await;
    let mut browser = site.browser().await;
    let (_, waits_on_one) = site.press(&mut browser, "/files/a.bin").await;
    site.add(1).await;
    site.stop_node(0).await;
    let jti = |address: &str| claims(address)["jti"].as_str().unwrap().parse::<Jti>().unwrap();
    let revocations = &site.access.db.issued.revocations;
    let second = Jti::from_bytes([7; 16]);
    let both: Vec<&str> = site.settings.nodes.iter().map(|node| node.public_url.as_str()).collect();
    let (later, now) = (T0.plus(std::time::Duration::from_secs(3600)), site.clock.now());
    revocations.mark(&[second, jti(&waits_on_one)], &both, later, now).await.unwrap();
    eventually("the running node has both", async || site.waiting(1).await == 0).await;
    assert_eq!(site.waiting(0).await, 2, "the stopped node's revocations wait");
    assert!(site.readyz().await.contains("2 revocations are waiting"));
    let problem = "the download service `one` cannot be reached";
    eventually("the web app has noticed", async || site.readyz().await.contains(problem)).await;
    site.start_node(0).await;
    eventually("the restarted node has both", async || site.waiting(0).await == 0).await;
    assert_eq!(Client::default().get(&waits_on_one).await.slug(), "revoked-token");
    site.stop().await;
}

#[actix_web::test]
async fn the_web_app_reports_a_node_that_is_not_the_one_it_should_be() {
    let mut site = Site::start().await;
    site.add(0).await;
    eventually("the web app is ready again", async || site.readyz().await == "ready\n").await;
    // The node's file holds another key, so its reports would be refused.
    let right = std::fs::read(site.key_file(0)).unwrap();
    std::fs::write(site.key_file(0), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n").unwrap();
    let problem = "the download service `one` did not prove its node key";
    eventually("the wrong key is reported", async || site.readyz().await.contains(problem)).await;
    std::fs::write(site.key_file(0), right).unwrap();
    // The first node answers at the second's address: it must not pass for the second.
    site.access.db.nodes.add("two", &Actor::operator(), T0).await.unwrap();
    let mut nodes = site.settings.nodes.clone();
    nodes[1].inner_url = nodes[0].inner_url.clone();
    let mixed = Settings { nodes, ..site.settings.clone() };
    let services = oncelink::web::services::Services::open(&mixed, site.clock.clone()).await.unwrap();
    let asked = oncelink::web::nodes::monitor::ask_all(&services.nodes, &services.issuer, T0).await.unwrap();
    let states: Vec<(String, bool)> =
        asked.iter().map(|(node, answer)| (node.name.clone(), answer.is_ok())).collect();
    assert_eq!(states, [("one".to_owned(), true), ("two".to_owned(), false)]);
    services.db.close().await;
    site.stop().await;
}

#[actix_web::test]
async fn an_unsigned_question_learns_only_whether_the_node_is_ready() {
    let mut site = Site::start().await;
    site.add(0).await;
    let url = format!("{}/readyz", site.settings.nodes[0].inner_url);
    let plain = Client::default().get(&url).await;
    assert_eq!((plain.status.as_u16(), plain.header("oncelink-node-proof")), (200, None));
    let issuer = site.access.db.issuer.for_audience(&site.settings.nodes[0].public_url);
    let ask = async |token: &str| {
        let bearer = format!("Bearer {token}");
        Client::default().request(Method::GET, &url, &[("authorization", &bearer)]).await
    };
    let question = issuer.issue_readiness_probe(T0).unwrap();
    assert!(ask(&question.token).await.header("oncelink-node-proof").is_some());
    for wrong in [
        "x".to_owned(),
        issuer.issue_command(&[Jti::from_bytes([1; 16])], T0).unwrap().token,
        site.access
            .db
            .issuer
            .for_audience("https://two.example.org")
            .issue_readiness_probe(T0)
            .unwrap()
            .token,
    ] {
        let answer = ask(&wrong).await;
        assert_eq!((answer.status.as_u16(), answer.header("oncelink-node-proof")), (403, None));
    }
    site.stop().await;
}

/// A receipt for a token, as its node would report it.
fn receipt(jti: Jti, sequence: u64, started: bool, state: DeliveryState) -> Receipt {
    Receipt {
        jti,
        link: LinkId::from_store(LINK),
        sequence,
        redeemed_at: T0,
        started_at: started.then_some(T0),
        last_at: T0,
        size: 10,
        bytes: 0,
        state,
        resumed: 0,
        address: None,
    }
}

fn report(node: &str, until: Timestamp, receipts: Vec<Receipt>) -> Report {
    Report {
        node: node.to_owned(),
        reported_since: T0,
        reported_until: until,
        receipts,
        store: None,
        database: None,
    }
}

/// Posts a report with a key, and returns the status.
async fn tell(site: &Site, key: &str, report: &Report) -> u16 {
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = serde_json::to_vec(report).unwrap();
    let url = &site.settings.download.receipts;
    Client::default().send(Method::POST, url, &headers, body).await.status.as_u16()
}

#[actix_web::test]
async fn a_node_may_report_only_its_own_tokens_and_nothing_once_it_is_removed() {
    let site = Site::start().await;
    let one = site.access.db.nodes.add("one", &Actor::operator(), T0).await.unwrap();
    let two = site.access.db.nodes.add("two", &Actor::operator(), T0).await.unwrap();
    let (jti, _) = site.access.token("a.bin", T0).await;
    site.access.sql("UPDATE link_tokens SET node = 'https://one.example.org'").await;
    let begun = vec![receipt(jti, 3, true, DeliveryState::Running)];
    let foreign = report("https://two.example.org", T0, begun.clone());
    assert_eq!(tell(&site, two.reveal(), &foreign).await, 204, "accepted, but without effect");
    assert_eq!(site.access.use_of(jti).await.states.0, "reserved");
    assert_eq!(site.access.delivery(jti).await, None);
    let own = report("https://one.example.org", T0, begun);
    assert_eq!(tell(&site, two.reveal(), &own).await, 403, "a report in another node's name");
    assert_eq!(tell(&site, one.reveal(), &own).await, 204);
    assert_eq!(site.access.use_of(jti).await.states.0, "used");
    // The old key no longer works, nor does that of a removed node.
    let newer = site.access.db.nodes.rekey("one", &Actor::operator(), T0).await.unwrap();
    assert_eq!(tell(&site, one.reveal(), &own).await, 403);
    assert_eq!(tell(&site, newer.reveal(), &own).await, 204);
    site.access.db.nodes.remove("one", &Actor::operator(), T0).await.unwrap();
    assert_eq!(tell(&site, newer.reveal(), &own).await, 403);
    site.stop().await;
}

#[actix_web::test]
async fn a_use_is_not_released_by_a_report_that_it_is_over_before_its_token_has_expired() {
    let site = Site::start().await;
    let key = site.access.db.nodes.add("one", &Actor::operator(), T0).await.unwrap();
    let (jti, _) = site.access.token("a.bin", T0).await;
    let (silent, _) = site.access.token("a.bin", T0).await;
    site.access.sql("UPDATE link_tokens SET node = 'https://one.example.org'").await;
    let far = T0.plus(std::time::Duration::from_secs(1 << 30));
    let over = |sequence| vec![receipt(jti, sequence, false, DeliveryState::Ended)];
    let highest = u64::try_from(i64::MAX).unwrap();
    assert_eq!(tell(&site, key.reveal(), &report("https://one.example.org", far, over(highest))).await, 204);
    assert_eq!(site.access.use_of(jti).await.states.1, "reserved", "the token can still be redeemed");
    assert_eq!(site.access.use_of(silent).await.states.1, "reserved", "a watermark in the future is ignored");
    // A reported start counts, however high the sequence number that denied it.
    let begun = vec![receipt(jti, 1, true, DeliveryState::Running)];
    assert_eq!(tell(&site, key.reveal(), &report("https://one.example.org", T0, begun)).await, 204);
    assert_eq!(site.access.use_of(jti).await.states.1, "used");
    site.clock.set(T0.plus(std::time::Duration::from_secs(600)));
    assert_eq!(tell(&site, key.reveal(), &report("https://one.example.org", far, Vec::new())).await, 204);
    assert_eq!(site.access.use_of(jti).await.states.1, "used");
    assert_eq!(
        site.access.use_of(silent).await.states.1,
        "released",
        "its token has expired, and nothing was reported"
    );
    site.stop().await;
}

#[actix_web::test]
async fn an_unstarted_delivery_that_is_over_releases_its_use_once_its_token_has_expired() {
    let site = Site::start().await;
    let key = site.access.db.nodes.add("one", &Actor::operator(), T0).await.unwrap();
    let (jti, _) = site.access.token("a.bin", T0).await;
    site.access.sql("UPDATE link_tokens SET node = 'https://one.example.org'").await;
    let over = vec![receipt(jti, 2, false, DeliveryState::Ended)];
    assert_eq!(tell(&site, key.reveal(), &report("https://one.example.org", T0, over)).await, 204);
    assert_eq!(site.access.use_of(jti).await.states.1, "reserved");
    let later = T0.plus(std::time::Duration::from_secs(600));
    site.clock.set(later);
    assert_eq!(tell(&site, key.reveal(), &report("https://one.example.org", later, Vec::new())).await, 204);
    assert_eq!(site.access.use_of(jti).await.states.1, "released");
    site.stop().await;
}

#[actix_web::test]
async fn a_process_that_is_gone_for_good_holds_nothing_back_once_it_is_removed() {
    let site = Site::start().await;
    let key = site.access.db.nodes.add("one", &Actor::operator(), T0).await.unwrap();
    let (jti, _) = site.access.token("a.bin", T0).await;
    site.access.sql("UPDATE link_tokens SET node = 'https://one.example.org'").await;
    let (here, gone) = ("https://one.example.org#here", "https://one.example.org#gone");
    assert_eq!(tell(&site, key.reveal(), &report(gone, T0, Vec::new())).await, 204);
    let later = T0.plus(std::time::Duration::from_secs(600));
    site.clock.set(later);
    assert_eq!(tell(&site, key.reveal(), &report(here, later, Vec::new())).await, 204);
    assert_eq!(site.access.use_of(jti).await.states.1, "reserved", "the other node may still report it");
    site.access.db.nodes.remove(gone, &Actor::operator(), later).await.unwrap();
    assert_eq!(tell(&site, key.reveal(), &report(here, later, Vec::new())).await, 204);
    assert_eq!(site.access.use_of(jti).await.states.1, "released");
    assert_eq!(tell(&site, key.reveal(), &report(gone, later, Vec::new())).await, 403);
    assert!(site.access.db.nodes.remove("nobody", &Actor::operator(), later).await.is_err());
    site.stop().await;
}

#[actix_web::test]
async fn removing_a_node_releases_uses_begun_there_except_completed_ones() {
    let site = Site::start().await;
    let key = site.access.db.nodes.add("one", &Actor::operator(), T0).await.unwrap();
    let mut jtis = Vec::new();
    for _ in 0..3 {
        jtis.push(site.access.token("a.bin", T0).await.0);
    }
    site.access.sql("UPDATE link_tokens SET node = 'https://one.example.org'").await;
    let receipts = vec![
        receipt(jtis[0], 2, true, DeliveryState::Interrupted),
        receipt(jtis[1], 2, true, DeliveryState::Complete),
    ];
    assert_eq!(tell(&site, key.reveal(), &report("https://one.example.org", T0, receipts)).await, 204);
    let later = T0.plus(std::time::Duration::from_secs(600));
    site.clock.set(later);
    assert_eq!(site.access.receipts.release_of_removed(&site.access.db.nodes, later).await.unwrap(), 0);
    site.access.db.nodes.remove("one", &Actor::operator(), later).await.unwrap();
    assert_eq!(site.access.receipts.release_of_removed(&site.access.db.nodes, later).await.unwrap(), 2);
    let mut states = Vec::new();
    for jti in &jtis {
        states.push(site.access.use_of(*jti).await.states.1);
    }
    assert_eq!(states, ["released", "used", "released"]);
    site.stop().await;
}

/// The claims of the token in a download address.
fn claims(address: &str) -> serde_json::Value {
    use base64::Engine;
    let part = address.split("/d/").nth(1).unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[actix_web::test]
async fn times_in_the_future_that_a_node_reports_are_not_believed() {
    let site = Site::start().await;
    let key = site.access.db.nodes.add("one", &Actor::operator(), T0).await.unwrap();
    let (jti, _) = site.access.token("a.bin", T0).await;
    site.access.sql("UPDATE link_tokens SET node = 'https://one.example.org'").await;
    let far = T0.plus(std::time::Duration::from_secs(1 << 30));
    let complete = receipt(jti, 3, true, DeliveryState::Complete);
    let complete = Receipt { redeemed_at: far, started_at: Some(far), last_at: far, ..complete };
    assert_eq!(tell(&site, key.reveal(), &report("https://one.example.org", far, vec![complete])).await, 204);
    let latest: i64 = sqlx::query_scalar(
        "SELECT MAX(moment) FROM (SELECT redeemed_at AS moment FROM receipts UNION ALL SELECT started_at FROM \
         receipts UNION ALL SELECT last_at FROM receipts) AS moments",
    )
    .fetch_one(site.access.db.db.reader())
    .await
    .unwrap();
    let leeway = site.settings.token.leeway.as_secs();
    assert_eq!(latest.unsigned_abs(), T0.secs() + leeway);
    site.stop().await;
}

#[actix_web::test]
async fn a_flood_of_reports_about_other_nodes_tokens_changes_nothing_and_keeps_nobody_waiting() {
    let site = Site::start().await;
    let key = site.access.db.nodes.add("one", &Actor::operator(), T0).await.unwrap();
    site.access.db.nodes.add("two", &Actor::operator(), T0).await.unwrap();
    let (jti, _) = site.access.token("a.bin", T0).await;
    site.access.sql("UPDATE link_tokens SET node = 'https://two.example.org'").await;
    let receipts = |n: u64| -> Vec<Receipt> {
        let others = (1..200).map(|m| receipt(Jti::from_bytes([m; 16]), n, true, DeliveryState::Complete));
        std::iter::once(receipt(jti, n, true, DeliveryState::Complete)).chain(others).collect()
    };
    let flood = (1..40).map(|n| {
        let report = report("https://one.example.org", T0, receipts(n));
        let (site, key) = (&site, &key);
        async move { tell(site, key.reveal(), &report).await }
    });
    let page = format!("{}/login", site.settings.web.public_url);
    let (answers, seen) =
        tokio::join!(futures_util::future::join_all(flood), async { Client::default().get(&page).await });
    assert!(answers.iter().all(|status| [204, 503].contains(status)), "{answers:?}");
    assert_eq!(seen.status, 200);
    assert_eq!(site.access.use_of(jti).await.states.0, "reserved");
    let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM receipts")
        .fetch_one(site.access.db.db.reader())
        .await
        .unwrap();
    assert_eq!(rows, 0);
    site.stop().await;
}
