//! Receipts over HTTP, between a download service and a web app in two servers or processes: nothing is lost
//! while either is down, nothing counts twice, and nobody without the node key can report.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use hyper::Method;
use oncelink::clock::Clock;
use oncelink::config::Settings;
use oncelink::id::LinkId;
use oncelink::receipt::{DeliveryState, Receipt, Report};
use oncelink::server::{self, Role, RunningServices};
use tempfile::TempDir;

use crate::support::client::{Client, Partial};
use crate::support::deliveries::{LINK, WebAccess, eventually, settings};
use crate::support::process::{Download, Site};
use crate::support::{T0, pattern, unused_address};

const MIB: usize = 1024 * 1024;

/// A web app and a download service, separate, with a data directory each.
struct SeparateServices {
    web: Option<RunningServices>,
    download: Option<RunningServices>,
    web_settings: Box<Settings>,
    download_settings: Box<Settings>,
    clock: Clock,
    access: WebAccess,
    folder: TempDir,
}

impl SeparateServices {
    async fn start() -> SeparateServices {
        SeparateServices::start_for(None).await
    }

    /// The same, or only the web app for a download service at `address` that runs elsewhere.
    async fn start_for(elsewhere: Option<SocketAddr>) -> SeparateServices {
        let folder = TempDir::new().unwrap();
        let mut both = settings(&folder);
        // Each has to know the other's address in advance.
        both.web.listen = unused_address().into();
        both.web.public_url = format!("http://{}", both.web.listen);
        both.download.listen = elsewhere.unwrap_or_else(unused_address).into();
        both.download.public_url = format!("http://{}", both.download.listen);
        both.download.keys = format!("{}/.well-known/jwks.json", both.web.public_url);
        both.download.receipts = format!("{}/receipts", both.web.public_url);
        both.download.node_key = both.keys_dir().join("node-key");
        let mut download_settings = both.clone();
        download_settings.data_dir = folder.path().join("node");
        let clock = Clock::manual(T0);
        let web = server::start(both.clone(), Role::Web, clock.clone()).await.unwrap();
        let download = match elsewhere {
            Some(_) => None,
            None => Some(start_download(&download_settings, &clock).await),
        };
        let access = WebAccess::open(&both, clock.clone()).await;
        access.link(None, "never").await;
        let (web_settings, download_settings) = (Box::new(both), Box::new(download_settings));
        SeparateServices { web: Some(web), download, web_settings, download_settings, clock, access, folder }
    }

    fn put(&self, name: &str, content: &[u8]) {
        std::fs::write(self.folder.path().join("share").join(name), content).unwrap();
    }

    async fn web_down(&mut self) {
        self.web.take().unwrap().stop().await;
    }

    async fn web_up(&mut self) {
        let started = server::start(Settings::clone(&self.web_settings), Role::Web, self.clock.clone()).await;
        self.web = Some(started.unwrap());
    }

    async fn stop(mut self) {
        if let Some(download) = self.download.take() {
            download.stop().await;
        }
        self.web.take().unwrap().stop().await;
        self.access.db.db.close().await;
    }

    fn receipts_url(&self) -> String {
        self.web_settings.download.receipts.clone()
    }

    fn key(&self) -> String {
        std::fs::read_to_string(&self.download_settings.download.node_key).unwrap().trim().to_owned()
    }
}

async fn start_download(settings: &Settings, clock: &Clock) -> RunningServices {
    use oncelink::used_tokens::sled::SledUsedTokens;
    // As old as the keys: no token is older, so there is no need to wait for the fence.
    let path = settings.used_tokens_dir();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let store = std::sync::Arc::new(SledUsedTokens::open(&path, clock, Some(T0)).unwrap());
    Box::pin(server::start_with(settings.clone(), Role::Download, clock.clone(), Some(store))).await.unwrap()
}

#[actix_web::test]
async fn what_happened_while_the_web_app_was_down_arrives_once() {
    let mut apart = SeparateServices::start().await;
    apart.put("small.bin", &pattern(5000));
    apart.put("large.bin", &pattern(20 * MIB));
    let now = apart.clock.now();
    let mut whole = Vec::new();
    for _ in 0..20 {
        whole.push(apart.access.token("small.bin", now).await);
    }
    let (broken, broken_link) = apart.access.token("large.bin", now).await;
    let (silent, _) = apart.access.token("small.bin", now).await;
    apart.web_down().await;
    for (_, link) in &whole {
        assert_eq!(Client::default().get(link).await.body, pattern(5000));
    }
    drop(Partial::open(1, &broken_link, "", MIB).await);
    // Long enough for every token to expire: without the node's report nothing may be released.
    apart.clock.set(now.plus(Duration::from_secs(3000)));
    apart.web_up().await;
    for (jti, _) in &whole {
        apart.access.until_state(*jti, DeliveryState::Complete).await;
        assert_eq!(apart.access.steps(*jti).await, ["started", "complete"]);
        assert_eq!(apart.access.use_of(*jti).await.states.1, "used");
    }
    apart.access.until_state(broken, DeliveryState::Interrupted).await;
    eventually("the release", async || apart.access.use_of(silent).await.states.1 == "released").await;
    assert_eq!(apart.access.use_of(silent).await.taken, 21);
    apart.stop().await;
}

#[actix_web::test]
async fn while_the_download_service_is_silent_nothing_is_released() {
    let mut apart = SeparateServices::start().await;
    apart.put("a.bin", &pattern(5000));
    let now = apart.clock.now();
    let (unknown, _) = apart.access.token("a.bin", now).await;
    let (taken, link) = apart.access.token("a.bin", now).await;
    apart.web_down().await;
    assert_eq!(Client::default().get(&link).await.status, 200);
    apart.download.take().unwrap().stop().await;
    apart.clock.set(now.plus(Duration::from_secs(3600)));
    apart.web_up().await;
    // Another process's upkeep changes nothing either.
    for jti in [unknown, taken] {
        assert_eq!(apart.access.use_of(jti).await.states.1, "reserved");
    }
    apart.download = Some(start_download(&apart.download_settings, &apart.clock).await);
    apart.access.until_state(taken, DeliveryState::Complete).await;
    eventually("the release", async || apart.access.use_of(unknown).await.states.1 == "released").await;
    assert_eq!(apart.access.use_of(taken).await.taken, 1);
    apart.stop().await;
}

#[actix_web::test]
async fn a_thousand_receipts_arrive_and_each_counts_once() {
    let apart = SeparateServices::start().await;
    let (now, access) = (apart.clock.now(), &apart.access);
    let (jti, _) = access.token("a.bin", now).await;
    let receipt = |number: u32| Receipt {
        jti: match number {
            0 => jti,
            number => {
                let mut bytes = [9; 16];
                bytes[..4].copy_from_slice(&number.to_be_bytes());
                oncelink::id::Jti::from_bytes(bytes)
            }
        },
        link: LinkId::from_store(LINK),
        sequence: 7,
        redeemed_at: now,
        started_at: Some(now),
        last_at: now,
        size: 10,
        bytes: 10,
        state: DeliveryState::Complete,
        resumed: 0,
        address: Some("2001:db8:1:2::3".parse().unwrap()),
    };
    for number in 1..1000 {
        access.use_again(jti, receipt(number).jti).await;
    }
    let bearer = format!("Bearer {}", apart.key());
    let client = Client::default();
    for _ in 0..2 {
        for portion in 0..5 {
            let report = Report {
                node: apart.web_settings.download.public_url.clone(),
                reported_since: now,
                reported_until: now,
                receipts: (portion * 200..(portion + 1) * 200).map(receipt).collect(),
                store: None,
                database: None,
            };
            let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
            let body = serde_json::to_vec(&report).unwrap();
            let reply = client.send(Method::POST, &apart.receipts_url(), &headers, body).await;
            assert_eq!(reply.status, 204);
        }
    }
    let count = async |query: &'static str| -> i64 {
        sqlx::query_scalar(query).fetch_one(access.db.db.reader()).await.unwrap()
    };
    assert_eq!(count("SELECT COUNT(*) FROM receipts").await, 1000);
    assert_eq!(count("SELECT COUNT(*) FROM receipt_log").await, 2000);
    assert_eq!(count("SELECT COUNT(*) FROM receipts WHERE address = '2001:db8:1::/48'").await, 1000);
    assert_eq!(access.use_of(jti).await.taken, 1);
    apart.stop().await;
}

#[actix_web::test]
async fn reports_without_the_node_key_are_refused() {
    let apart = SeparateServices::start().await;
    let url = apart.receipts_url();
    let (good, client) = (format!("Bearer {}", apart.key()), Client::default());
    let own = apart.web_settings.download.public_url.clone();
    let report = format!(r#"{{"node":"{own}","told_since":0,"told_until":99999999999,"receipts":[]}}"#);
    let foreign = report.replace(&own, "http://elsewhere.example");
    let post = async |bearer: Option<&str>, body: String| {
        let headers: Vec<_> = bearer.map(|bearer| ("authorization", bearer)).into_iter().collect();
        client.send(Method::POST, &url, &headers, body.into_bytes()).await.status.as_u16()
    };
    let short = &good[..good.len() - 1];
    for (bearer, status) in [
        (None, 401),
        (Some("Basic abc"), 401),
        (Some("Bearer"), 401),
        (Some("Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), 403),
        (Some(short), 403),
        (Some(good.as_str()), 204),
    ] {
        assert_eq!(post(bearer, report.clone()).await, status, "{bearer:?}");
    }
    let nodes = apart.access.receipts.nodes().await.unwrap();
    assert_eq!(nodes.iter().filter(|node| node.name == own).count(), 1);
    assert_eq!(post(Some(good.as_str()), foreign).await, 403, "the key belongs to another node");
    for (body, status) in [
        ("", 400),
        ("[]", 400),
        (r#"{"node":"x","told_since":0,"told_until":1,"receipts":[],"more":1}"#, 400),
        (r#"{"node":"x","told_since":0,"told_until":-1,"receipts":[]}"#, 400),
        (r#"{"node":"x","told_since":0,"told_until":1,"receipts":[{"jti":"x"}]}"#, 400),
    ] {
        assert_eq!(post(Some(good.as_str()), body.to_owned()).await, status, "{body}");
    }
    let huge = " ".repeat(1024 * 1024 + 1);
    assert_eq!(post(Some(good.as_str()), huge.clone()).await, 413);
    assert_eq!(post(Some("Bearer wrong"), huge).await, 403, "without a key, the body is not read");
    let get = Client::default().request(Method::GET, &url, &[("authorization", &good)]).await;
    assert_eq!(get.status, 405);
    apart.stop().await;
}

#[actix_web::test]
async fn a_node_with_a_wrong_key_keeps_its_reports() {
    let mut apart = SeparateServices::start().await;
    apart.put("a.bin", &pattern(5000));
    let right = std::fs::read(&apart.download_settings.download.node_key).unwrap();
    apart.download.take().unwrap().stop().await;
    let own = apart.folder.path().join("own-key");
    std::fs::write(&own, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n").unwrap();
    apart.download_settings.download.node_key.clone_from(&own);
    apart.download = Some(start_download(&apart.download_settings, &apart.clock).await);
    let (jti, link) = apart.access.token("a.bin", apart.clock.now()).await;
    assert_eq!(Client::default().get(&link).await.status, 200, "downloads go on");
    assert_eq!(apart.access.delivery(jti).await, None);
    // The key is corrected while the service runs.
    std::fs::write(&own, right).unwrap();
    apart.access.until_state(jti, DeliveryState::Complete).await;
    apart.stop().await;
}

/// Starts a node again, and returns what its outbox reports to the web app of this test.
async fn reported_after_restart(site: &Site, web: &SeparateServices) -> Vec<(String, String, i64)> {
    let process = site.start();
    eventually("the node's report", async || {
        !web.access.deliveries().await.is_empty()
            && web.access.deliveries().await.iter().all(|seen| seen.state != DeliveryState::Running)
    })
    .await;
    process.kill();
    let all = web.access.deliveries().await;
    all.iter().map(|seen| (seen.jti.clone(), seen.state.as_str().to_owned(), seen.bytes as i64)).collect()
}

#[actix_web::test]
async fn a_node_that_was_killed_in_the_middle_reports_that_it_began_and_never_that_it_ended() {
    let site = Site::new();
    let web = SeparateServices::start_for(Some(site.address)).await;
    site.put("large.bin", &pattern(20 * MIB));
    let key = Path::new(&web.download_settings.download.node_key).display().to_string();
    site.write_settings(&format!("receipts = '{}'\nnode_key = '{key}'\n", web.receipts_url()));
    let process = site.start();
    let mut begun = Vec::new();
    for number in 0..8 {
        let ticket = site.ticket_of_link("large.bin", LINK);
        web.access.reserve(ticket.jti, "/files/large.bin", T0).await;
        // Some are killed right after their first byte, before their receipts are read.
        let download = Download::begin(site.address, &ticket.path, "").unwrap();
        assert_eq!(download.status(), 200);
        if number == 3 {
            let first = begun.first().map(|(ticket, _): &(crate::support::process::Ticket, _)| ticket.jti);
            web.access.until(first.unwrap(), "bytes", |seen| seen.bytes > 0).await;
        }
        begun.push((ticket, download));
    }
    process.kill();
    let reported = reported_after_restart(&site, &web).await;
    assert_eq!(reported.len(), 8, "{reported:?}");
    for (jti, state, bytes) in &reported {
        assert!(begun.iter().any(|(ticket, _)| ticket.jti.to_string() == *jti));
        assert_eq!(state, "broken", "{jti}");
        assert!(*bytes < 20 * MIB as i64);
    }
    let started: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM receipts WHERE started_at IS NOT NULL")
        .fetch_one(web.access.db.db.reader())
        .await
        .unwrap();
    assert_eq!(started, 8, "each of them sent a byte, so it counts");
    web.stop().await;
}
