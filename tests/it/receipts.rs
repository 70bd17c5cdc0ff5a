//! Receipts, with both services in one process: what is reported about a delivery when clients on real
//! sockets cause it, and what that does to the use of the link.

use hyper::Method;
use oncelink::config::Settings;
use oncelink::id::LinkId;
use oncelink::receipt::{DeliveryState, ReceiptSink};
use oncelink::web::audit::chain::{self, ChainVerdict};
use oncelink::web::deliveries::log;
use sqlx::AssertSqlSafe;

use crate::support::client::{Client, Partial};
use crate::support::deliveries::{BothServices, eventually};
use crate::support::pattern;
use crate::support::postgres::empty_schema;

const MIB: usize = 1024 * 1024;

fn strings(words: [&str; 2]) -> (String, String) {
    (words[0].to_owned(), words[1].to_owned())
}

/// BothServices on each available database.
async fn on_each_database() -> Vec<BothServices> {
    let mut all = vec![BothServices::start().await];
    if let Some(address) = empty_schema().await {
        let change = |settings: &mut Settings| settings.web.database = address.into();
        all.push(BothServices::start_with(change).await);
    }
    all
}

#[actix_web::test]
async fn a_download_is_reported_from_its_first_byte_to_its_last() {
    for services in on_each_database().await {
        Box::pin(a_download_is_reported(services)).await;
    }
}

async fn a_download_is_reported(services: BothServices) {
    services.put("a.bin", &pattern(20 * MIB));
    let access = &services.access;
    let (jti, link) = access.token("a.bin", services.clock.now()).await;
    assert_eq!(access.use_of(jti).await.states, strings(["reserved", "reserved"]));
    let mut partial = Partial::open(1, &link, "", MIB).await;
    let running = access.until(jti, "bytes", |seen| seen.bytes > 0).await;
    assert_eq!((running.state, running.size), (DeliveryState::Running, 20 * MIB as u64));
    assert_eq!(access.use_of(jti).await.states, strings(["used", "used"]));
    assert!(running.percent() < 100);
    assert_eq!(running.started_at, Some(services.clock.now()));
    assert_eq!(partial.read_to_end().await, 20 * MIB);
    drop(partial);
    let complete = access.until_state(jti, DeliveryState::Complete).await;
    assert_eq!((complete.bytes, complete.percent(), complete.resumed), (20 * MIB as u64, 100, 0));
    assert_eq!(complete.file.as_deref(), Some("/files/a.bin"));
    assert_eq!(complete.address, "127.0.0.0/24", "shortened, as configured");
    assert_eq!(access.steps(jti).await, ["started", "complete"]);
    assert_eq!(access.use_of(jti).await.taken, 1);
    services.stop().await;
}

#[actix_web::test]
async fn a_download_is_incomplete_after_a_hang_up_and_complete_once_resumed() {
    let services = BothServices::start().await;
    let content = pattern(20 * MIB);
    services.put("a.bin", &content);
    let access = &services.access;
    let (jti, link) = access.token("a.bin", services.clock.now()).await;
    let mut got = Partial::open(1, &link, "", 3 * MIB).await.body;
    let broken = access.until_state(jti, DeliveryState::Interrupted).await;
    assert!(broken.bytes >= 2 * MIB as u64 && broken.bytes < 20 * MIB as u64, "{broken:?}");
    assert_eq!(access.steps(jti).await, ["started", "broken"]);
    for times in 1..=2 {
        let range = format!("Range: bytes={}-\r\n", got.len());
        got.extend(Partial::open(1, &link, &range, 3 * MIB).await.body);
        access
            .until(jti, "resumption", |seen| {
                seen.resumed == times && seen.state == DeliveryState::Interrupted
            })
            .await;
    }
    let rest = Client::default().get_with(&link, &[("range", &format!("bytes={}-", got.len()))]).await;
    got.extend(rest.body);
    assert_eq!(got, content);
    let complete = access.until_state(jti, DeliveryState::Complete).await;
    assert_eq!(complete.resumed, 3);
    assert_eq!(access.use_of(jti).await.taken, 1, "one use, however often it broke");
    services.stop().await;
}

#[actix_web::test]
async fn views_head_requests_and_refusals_are_not_deliveries() {
    let services = BothServices::start().await;
    services.put("a.bin", &pattern(5000));
    let access = &services.access;
    let (jti, link) = access.token("a.bin", services.clock.now()).await;
    let client = Client::default();
    assert_eq!(client.head(&link).await.status, 200);
    assert_eq!(client.request(Method::OPTIONS, &link, &[]).await.status, 204);
    assert_eq!(client.get_with(&link, &[("sec-purpose", "prefetch")]).await.status, 503);
    assert_eq!(client.get_with(&link, &[("range", "bytes=9000-")]).await.status, 416);
    let (late, late_link) = access.token("b.bin", services.clock.now()).await;
    assert_eq!(client.get(&late_link).await.status, 404);
    assert_eq!(client.get(&link).await.body, pattern(5000));
    access.until_state(jti, DeliveryState::Complete).await;
    assert_eq!(access.delivery(late).await, None);
    assert_eq!(access.steps(jti).await, ["started", "complete"]);
    services.stop().await;
}

#[actix_web::test]
async fn parallel_requests_are_one_delivery_and_one_use() {
    let services = BothServices::start().await;
    services.put("a.bin", &pattern(100_000));
    let access = &services.access;
    let (jti, link) = access.token("a.bin", services.clock.now()).await;
    let clients: Vec<Client> = (0..32).map(|_| Client::default()).collect();
    let replies = futures_util::future::join_all(clients.iter().map(|client| client.get(&link))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    let complete = access.until_state(jti, DeliveryState::Complete).await;
    assert_eq!((access.deliveries().await.len(), complete.resumed), (1, 0));
    assert_eq!(access.use_of(jti).await.taken, 1);
    // The holder of the resume key can download it again; it stays one delivery, and complete.
    let key = replies.iter().find(|reply| reply.status == 200).unwrap().etag();
    let again = Client::default().get_with(&link, &[("if-match", &key)]).await;
    assert_eq!(again.body.len(), 100_000);
    let again = access.until(jti, "resumption", |seen| seen.resumed == 1).await;
    assert_eq!(again.state, DeliveryState::Complete);
    assert_eq!(Client::at(2).get(&link).await.slug(), "used-token");
    assert_eq!(access.use_of(jti).await.taken, 1);
    services.stop().await;
}

#[actix_web::test]
async fn a_use_is_released_when_its_token_expires_unredeemed() {
    for services in on_each_database().await {
        Box::pin(a_use_is_released(services)).await;
    }
}

async fn a_use_is_released(services: BothServices) {
    services.put("a.bin", &pattern(5000));
    let access = &services.access;
    let (forgotten, link) = access.token("a.bin", services.clock.now()).await;
    let (taken, other) = access.token("a.bin", services.clock.now()).await;
    assert_eq!(Client::default().get(&other).await.status, 200);
    access.until_state(taken, DeliveryState::Complete).await;
    services.pass(121);
    // The watermark is reported every few seconds of the clock; it must not release a use before the leeway.
    eventually("a watermark", async || {
        let nodes = access.receipts.nodes().await.unwrap();
        nodes.iter().any(|node| node.reported_until == services.clock.now())
    })
    .await;
    assert_eq!(access.use_of(forgotten).await.states, strings(["reserved", "reserved"]));
    services.pass(60);
    eventually("the release", async || access.use_of(forgotten).await.states.0 == "released").await;
    assert_eq!(access.use_of(forgotten).await.taken, 1, "the other one counts");
    assert_eq!(access.use_of(taken).await.states, strings(["used", "used"]));
    assert_eq!(Client::default().get(&link).await.slug(), "expired-token");
    services.stop().await;
}

#[actix_web::test]
async fn with_several_nodes_a_use_is_released_once_each_has_reported() {
    for services in on_each_database().await {
        Box::pin(several_nodes_release_a_use(services)).await;
    }
}

async fn several_nodes_release_a_use(services: BothServices) {
    let (access, audience, since) = (&services.access, "http://nodes.test", services.clock.now());
    let tell = async |node: &str| {
        let report = oncelink::receipt::Report {
            node: format!("{audience}#{node}"),
            reported_since: since,
            reported_until: services.clock.now(),
            receipts: Vec::new(),
            store: None,
            database: None,
        };
        access.receipts.record(&report, audience).await.unwrap();
    };
    for node in ["a", "b", "c"] {
        tell(node).await;
    }
    let (forgotten, _) = access.token("a.bin", since).await;
    let ends = since.secs() + 10;
    access.sql(&format!("UPDATE link_tokens SET node = '{audience}', expires_at = {ends}")).await;
    // At twice the leeway after its end no node can have redeemed it. That is less than the minute after
    // which each node writes its watermark anyway.
    services.pass(21);
    for node in ["a", "b"] {
        tell(node).await;
        assert_eq!(access.use_of(forgotten).await.states, strings(["reserved", "reserved"]));
    }
    tell("c").await;
    assert_eq!(access.use_of(forgotten).await.states.0, "released");
    services.stop().await;
}

#[actix_web::test]
async fn a_revocation_ends_a_delivery_that_is_under_way() {
    let services = BothServices::start().await;
    services.put("a.bin", &pattern(20 * MIB));
    let access = &services.access;
    let (jti, link) = access.token("a.bin", services.clock.now()).await;
    let mut partial = Partial::open(1, &link, "", MIB).await;
    let command = access.db.issuer.issue_command(&[jti], services.clock.now()).unwrap();
    let url = format!("{}/revocations", services.settings.download.public_url);
    let bearer = format!("Bearer {}", command.token);
    let answer = Client::default().request(Method::POST, &url, &[("authorization", &bearer)]).await;
    assert_eq!(answer.status, 204);
    let over = access.until_state(jti, DeliveryState::Ended).await;
    assert!(partial.read_to_end().await < 20 * MIB);
    assert!(over.started_at.is_some() && over.percent() < 100, "{over:?}");
    assert_eq!(access.use_of(jti).await.states, strings(["used", "used"]), "bytes were sent, so it counts");
    assert_eq!(access.steps(jti).await.last().unwrap(), "over");
    services.stop().await;
}

#[actix_web::test]
async fn a_delivery_that_nobody_continues_is_over_when_the_lease_ends() {
    let services = BothServices::start().await;
    services.put("a.bin", &pattern(20 * MIB));
    let access = &services.access;
    let (jti, link) = access.token("a.bin", services.clock.now()).await;
    drop(Partial::open(1, &link, "", MIB).await);
    access.until_state(jti, DeliveryState::Interrupted).await;
    services.pass(3601);
    let over = access.until_state(jti, DeliveryState::Ended).await;
    assert!(over.bytes < 20 * MIB as u64);
    assert_eq!(Client::default().get(&link).await.status, 410);
    services.stop().await;
}

#[actix_web::test]
async fn a_restart_forgets_nothing_and_the_key_completes_what_was_begun() {
    let mut services = BothServices::start().await;
    let content = pattern(20 * MIB);
    services.put("a.bin", &content);
    let (jti, link) = services.access.token("a.bin", services.clock.now()).await;
    let partial = Partial::open(1, &link, "", 2 * MIB).await;
    let key = partial.header("etag").unwrap().to_owned();
    let mut got = partial.body.clone();
    drop(partial);
    let before = services.access.until_state(jti, DeliveryState::Interrupted).await;
    services.restart().await;
    let access = &services.access;
    assert_eq!(Client::default().get(&link).await.slug(), "used-token");
    let range = format!("bytes={}-", got.len());
    let rest = Client::at(2).get_with(&link, &[("if-range", &key), ("range", &range)]).await;
    assert_eq!(rest.status, 206);
    got.extend(rest.body);
    assert_eq!(got, content);
    let complete = access.until_state(jti, DeliveryState::Complete).await;
    assert_eq!((complete.resumed, complete.started_at), (1, before.started_at));
    assert_eq!(access.steps(jti).await, ["started", "broken", "resumed", "complete"]);
    services.stop().await;
}

#[actix_web::test]
async fn after_a_restart_a_download_with_a_missing_part_is_not_called_complete() {
    let mut services = BothServices::start().await;
    services.put("a.bin", &pattern(20 * MIB));
    let (jti, link) = services.access.token("a.bin", services.clock.now()).await;
    let partial = Partial::open(1, &link, "", MIB).await;
    let key = partial.header("etag").unwrap().to_owned();
    drop(partial);
    services.access.until_state(jti, DeliveryState::Interrupted).await;
    services.restart().await;
    let range = format!("bytes={}-", 15 * MIB);
    let rest = Client::default().get_with(&link, &[("if-range", &key), ("range", &range)]).await;
    assert_eq!(rest.body.len(), 5 * MIB);
    let seen = services
        .access
        .until(jti, "the rest", |seen| seen.resumed == 1 && seen.state == DeliveryState::Interrupted)
        .await;
    assert!(seen.bytes > 5 * MIB as u64 && seen.bytes < 15 * MIB as u64, "{seen:?}");
    services.stop().await;
}

#[actix_web::test]
async fn an_empty_file_is_delivered_whole() {
    let services = BothServices::start().await;
    services.put("a.bin", b"");
    let access = &services.access;
    let (jti, link) = access.token("a.bin", services.clock.now()).await;
    assert_eq!(Client::default().get(&link).await.status, 200);
    let complete = access.until_state(jti, DeliveryState::Complete).await;
    assert!(complete.started_at.is_some());
    assert_eq!(access.use_of(jti).await.states, strings(["used", "used"]));
    services.stop().await;
}

#[actix_web::test]
async fn the_owner_gets_a_mail_on_the_first_or_on_every_complete_download() {
    // With "every", downloads soon after another are gathered into one mail.
    for (notify, expected) in [("never", 0), ("first", 1), ("every", 2)] {
        let services = BothServices::start().await;
        let outbox = || crate::support::mail::outbox(&services.settings.outbox_dir());
        services.put("plan.pdf", &pattern(5000));
        let access = &services.access;
        access.link(Some("bob@example.org"), notify).await;
        for n in 0..3 {
            let (jti, link) = access.token("plan.pdf", services.clock.now()).await;
            assert_eq!(Client::default().get(&link).await.status, 200);
            access.until_state(jti, DeliveryState::Complete).await;
            if n == 0 && expected > 0 {
                // A notice waits for further downloads for a minute.
                services.pass(61);
                eventually("the mail", async || !outbox().is_empty()).await;
            }
        }
        let (jti, link) = access.token("plan.pdf", services.clock.now()).await;
        assert_eq!(Client::default().head(&link).await.status, 200);
        let queued: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM mails WHERE kind = 'taken'")
            .fetch_one(access.db.db.reader())
            .await
            .unwrap();
        assert_eq!(queued, expected, "{notify}");
        assert_eq!(access.delivery(jti).await, None);
        if expected > 0 {
            let mail = outbox().remove(0);
            assert!(!mail.text.contains("downloads through"), "{}", mail.text);
            assert_eq!(mail.header("to"), "ada@example.org");
            assert_eq!(mail.header("subject"), "bob@example.org downloaded \"Plans\"");
            for words in ["plan.pdf", "bob@example.org", "127.0.0.0/24"] {
                assert!(mail.text.contains(words) && mail.html.contains(words), "{}", mail.text);
            }
            assert_eq!(mail.path(), "/links/the-link");
        }
        if expected == 2 {
            assert_eq!(outbox().len(), 1, "not within ten minutes");
            services.pass(600);
            eventually("the gathered mail", async || outbox().len() == 2).await;
            let mail = outbox().remove(1);
            assert!(mail.text.contains("2 downloads through your link are complete."), "{}", mail.text);
        }
        services.stop().await;
    }
}

#[actix_web::test]
async fn a_report_that_comes_twice_or_late_changes_nothing() {
    for services in on_each_database().await {
        Box::pin(a_report_counts_once(services)).await;
    }
}

async fn a_report_counts_once(services: BothServices) {
    services.put("a.bin", &pattern(5000));
    let access = &services.access;
    access.link(None, "every").await;
    let (jti, _) = access.token("a.bin", services.clock.now()).await;
    let now = services.clock.now();
    let receipt = |sequence, bytes, state| oncelink::receipt::Receipt {
        jti,
        link: LinkId::from_store(crate::support::deliveries::LINK),
        sequence,
        redeemed_at: now,
        started_at: Some(now),
        last_at: now,
        size: 5000,
        bytes,
        state,
        resumed: 0,
        address: None,
    };
    let report = |receipts| oncelink::receipt::Report {
        node: services.settings.download.public_url.clone(),
        reported_since: now,
        reported_until: now,
        receipts,
        store: None,
        database: None,
    };
    let running = receipt(3, 2000, DeliveryState::Running);
    let complete = receipt(5, 5000, DeliveryState::Complete);
    let reports = [
        vec![running.clone()],
        vec![running.clone(), running.clone()],
        vec![complete.clone(), running.clone()],
        vec![complete.clone()],
        vec![running],
    ];
    for receipts in reports {
        access.receipts.accept(report(receipts)).await.unwrap();
    }
    assert_eq!(access.steps(jti).await, ["started", "complete"]);
    assert_eq!(access.delivery(jti).await.unwrap().state, DeliveryState::Complete);
    assert_eq!(access.use_of(jti).await.taken, 1);
    let mails: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM mails").fetch_one(access.db.db.reader()).await.unwrap();
    assert_eq!(mails, 1);
    services.stop().await;
}

#[actix_web::test]
async fn a_line_of_the_log_that_was_altered_or_is_missing_is_found() {
    let services = BothServices::start().await;
    services.put("a.bin", &pattern(5000));
    let access = &services.access;
    for _ in 0..3 {
        let (jti, link) = access.token("a.bin", services.clock.now()).await;
        assert_eq!(Client::default().get(&link).await.status, 200);
        access.until_state(jti, DeliveryState::Complete).await;
    }
    let db = &access.db.db;
    let whole = chain::verify::<log::DeliveryLogLine>(db, None).await.unwrap();
    let ChainVerdict::Whole { lines: 6, digest } = whole else { panic!("{whole:?}") };
    assert!(chain::ended_with::<log::DeliveryLogLine>(db, None, &format!("6:{digest}")).await.unwrap());
    access.sql("CREATE TABLE kept AS SELECT * FROM receipt_log").await;
    for (statement, expected) in [
        ("UPDATE receipt_log SET at = at + 1 WHERE number = 3", ChainVerdict::Altered(3)),
        ("UPDATE receipt_log SET jti = 'x' WHERE number = 1", ChainVerdict::Altered(1)),
        ("UPDATE receipt_log SET link = 'x' WHERE number = 2", ChainVerdict::Altered(2)),
        ("UPDATE receipt_log SET event = 'over' WHERE number = 6", ChainVerdict::Altered(6)),
        ("UPDATE receipt_log SET bytes = 1 WHERE number = 4", ChainVerdict::Altered(4)),
        ("UPDATE receipt_log SET address = '' WHERE number = 4", ChainVerdict::Altered(4)),
        ("DELETE FROM receipt_log WHERE number = 2", ChainVerdict::Missing(2)),
        ("DELETE FROM receipt_log WHERE number = 6", ChainVerdict::Missing(6)),
        ("DELETE FROM receipt_log", ChainVerdict::Missing(1)),
    ] {
        sqlx::query(AssertSqlSafe(statement)).execute(db.writer()).await.unwrap();
        assert_eq!(chain::verify::<log::DeliveryLogLine>(db, None).await.unwrap(), expected, "{statement}");
        access.sql("DELETE FROM receipt_log").await;
        access.sql("INSERT INTO receipt_log SELECT * FROM kept").await;
    }
    services.stop().await;
}

#[actix_web::test]
async fn a_download_without_a_link_has_no_receipt() {
    let services = BothServices::start().await;
    services.put("a.bin", &pattern(5000));
    let access = &services.access;
    let path = "/files/a.bin".parse().unwrap();
    let order = oncelink::web::tokens::issuer::DownloadTokenRequest::new("somebody", &path);
    let plain = access.db.issuer.issue_download(&order, services.clock.now()).unwrap();
    assert_eq!(Client::default().get(&plain.address).await.status, 200);
    let (jti, link) = access.token("a.bin", services.clock.now()).await;
    assert_eq!(Client::default().get(&link).await.status, 200);
    access.until_state(jti, DeliveryState::Complete).await;
    let all: Vec<String> =
        sqlx::query_scalar("SELECT jti FROM receipts").fetch_all(access.db.db.reader()).await.unwrap();
    assert_eq!(all, [jti.to_string()]);
    services.stop().await;
}

#[actix_web::test]
async fn the_address_is_kept_as_configured() {
    use oncelink::config::ReceiptAddress;
    for (keep, expected) in [(ReceiptAddress::Full, "127.0.0.7"), (ReceiptAddress::None, "")] {
        let services = BothServices::start_with(|settings| settings.web.receipt_address = keep).await;
        services.put("a.bin", &pattern(5000));
        let (jti, link) = services.access.token("a.bin", services.clock.now()).await;
        assert_eq!(Client::at(7).get(&link).await.status, 200);
        let seen = services.access.until_state(jti, DeliveryState::Complete).await;
        assert_eq!(seen.address, expected);
        services.stop().await;
    }
}

#[actix_web::test]
async fn only_the_owner_sees_what_became_of_a_link() {
    let services = BothServices::start().await;
    services.put("a.bin", &pattern(5000));
    let access = &services.access;
    let (jti, link) = access.token("a.bin", services.clock.now()).await;
    assert_eq!(Client::default().get(&link).await.status, 200);
    access.until_state(jti, DeliveryState::Complete).await;
    let stranger = oncelink::web::identity::AccountId::from_store("somebody-else");
    let id = crate::support::deliveries::LINK;
    assert_eq!(access.receipts.of_link(&stranger, &LinkId::from_store(id)).await.unwrap(), None);
    let mut ada = crate::support::web::Browser::at(&services.settings.web.public_url);
    assert_eq!(ada.get(&format!("/links/{id}/deliveries")).await.status, 303, "nobody is logged in");
    ada.log_in("ada@example.org", crate::support::web::PASSWORD).await;
    let part = ada.get(&format!("/links/{id}/deliveries")).await;
    assert_eq!(part.status, 200);
    assert!(part.body.contains("complete") && part.body.contains("a.bin"), "{}", part.body);
    ada.headers = vec![("accept", "application/json".to_owned())];
    let facts = ada.get(&format!("/links/{id}/deliveries")).await;
    let facts: serde_json::Value = serde_json::from_str(&facts.body).unwrap();
    assert_eq!(facts["deliveries"][0]["jti"], jti.to_string());
    assert_eq!(facts["deliveries"][0]["state"], "complete");
    assert_eq!(ada.get("/links/another/deliveries").await.status, 404);
    services.stop().await;
}

#[actix_web::test]
async fn the_only_use_of_a_link_is_released_until_it_is_used_and_its_owner_sees_it_all() {
    use crate::support::web::{Browser, PASSWORD};
    // Press until it works.
    let mut services = BothServices::start_with(|settings| settings.links.presses = 0).await;
    services.put("a.bin", &pattern(50_000));
    let base = services.settings.web.public_url.clone();
    let mut ada = Browser::at(&base);
    ada.log_in("ada@example.org", PASSWORD).await;
    let made = crate::support::links::make(&mut ada, &[("files", "/files/a.bin"), ("uses", "1")]).await;
    let press = async || Browser::at(&base).post(&made.public[0], &[]).await;
    assert_eq!(press().await.status, 303);
    assert_eq!(press().await.status, 410, "it is reserved");
    services.pass(121);
    assert_eq!(press().await.status, 410, "its token may have been redeemed at the last moment");
    services.pass(60);
    let mut again = None;
    eventually("the use", async || {
        again = press().await.location;
        again.is_some()
    })
    .await;
    services.restart().await;
    assert_eq!(press().await.status, 410);
    assert_eq!(Client::default().get(&again.unwrap()).await.body, pattern(50_000));
    let mut page = String::new();
    eventually("the owner's page", async || {
        // The receipt may arrive while the page is rendered.
        page = ada.get(&made.page).await.body;
        page.contains("<strong>complete</strong>") && page.contains("1 of 1 download used;")
    })
    .await;
    assert!(page.contains("to 127.0.0.0/24") && page.contains("a.bin"), "{page}");
    assert_eq!(press().await.status, 410);
    services.stop().await;
}
