//! Continuations: a person who did not get the whole download continues it with another token of the same
//! jti.

use std::time::Duration;

use hyper::Method;
use oncelink::config::Resume;
use oncelink::id::LinkId;
use oncelink::receipt::DeliveryState;
use oncelink::web::tokens::issuer::DownloadTokenRequest;

use crate::support::client::{Client, Partial};
use crate::support::deliveries::{BothServices, LINK};
use crate::support::{Node, Setup, pattern};

const MIB: usize = 1024 * 1024;

/// The status and slug of a refusal.
async fn refusal(client: Client, link: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let reply = client.get_with(link, fields).await;
    (reply.status.as_u16(), reply.slug())
}

fn used() -> (u16, String) {
    (410, "used-token".to_owned())
}

#[actix_web::test]
async fn a_continuation_of_a_download_that_nobody_began_is_refused_and_spends_nothing() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(1000));
    let issued = node.issue("a.bin", |_| {});
    let again = node.continuation(issued.jti, "a.bin", |_| {});
    for _ in 0..3 {
        assert_eq!(refusal(Client::default(), &again, &[]).await, used());
        assert_eq!(refusal(Client::default(), &again, &[("range", "bytes=0-")]).await, used());
        assert_eq!(refusal(Client::default(), &again, &[("if-match", "\"x\"")]).await, used());
        assert_eq!(Client::default().head(&again).await.status, 410);
    }
    assert_eq!(Client::default().get(&issued.address).await.body, pattern(1000));
    assert_eq!(refusal(Client::default(), &again, &[]).await, used());
    node.stop().await;
}

#[actix_web::test]
async fn a_broken_download_continues_from_any_address_whole_or_in_part() {
    let node = Node::start().await;
    let content = pattern(24 * MIB);
    node.put("a.bin", &content);
    let issued = node.issue("a.bin", |_| {});
    let first = Partial::open(1, &issued.address, "", 12 * MIB).await;
    let key = first.header("etag").unwrap().to_owned();
    drop(first);
    assert_eq!(refusal(Client::default(), &issued.address, &[]).await, used(), "more than may be sent again");
    let again = node.continuation(issued.jti, "a.bin", |_| {});
    let head = Client::at(2).head(&again).await;
    assert_eq!((head.status.as_u16(), head.header("etag")), (200, None), "a HEAD does not reveal the key");
    assert_eq!(head.header("content-length"), Some("25165824"));
    let part = Client::at(2).get_with(&again, &[("range", "bytes=1000-1999")]).await;
    assert_eq!((part.status.as_u16(), part.etag()), (206, key.clone()));
    assert_eq!(part.body, content[1000..2000]);
    let whole = Client::at(3).get(&again).await;
    assert_eq!((whole.status.as_u16(), whole.etag()), (200, key.clone()));
    assert!(whole.body == content);
    for host in [1, 2, 3] {
        assert_eq!(refusal(Client::at(host), &again, &[]).await, used(), "it was sent completely");
        assert_eq!(refusal(Client::at(host), &again, &[("range", "bytes=5-")]).await, used());
    }
    assert_eq!(Client::at(2).head(&again).await.status, 410);
    let rest = Client::at(2).get_with(&again, &[("range", "bytes=5-14"), ("if-range", &key)]).await;
    assert_eq!((rest.status.as_u16(), rest.body.as_slice()), (206, &content[5..15]), "the key still works");
    node.stop().await;
}

#[actix_web::test]
async fn after_a_restart_a_continuation_works_and_both_its_tag_and_the_first_one_resume_it() {
    let node = Node::start().await;
    let content = pattern(6 * MIB);
    node.put("a.bin", &content);
    let issued = node.issue("a.bin", |_| {});
    let first = Partial::open(1, &issued.address, "", MIB).await.header("etag").unwrap().to_owned();
    let node = node.restart().await;
    let resumed = [("range", "bytes=100-199")];
    assert_eq!(refusal(Client::default(), &issued.address, &resumed).await, used(), "only a key works");
    let again = node.continuation(issued.jti, "a.bin", |_| {});
    let part = Client::at(2).get_with(&again, &resumed).await;
    let second = part.etag();
    assert_eq!((part.status.as_u16(), part.body.as_slice()), (206, &content[100..200]));
    assert_ne!(second, first, "only a digest of the first key is stored");
    let node = node.restart().await;
    for link in [&again, &issued.address] {
        for tag in [&second, &first] {
            for field in ["if-range", "if-match"] {
                let part = Client::at(3).get_with(link, &[resumed[0], (field, tag)]).await;
                assert_eq!((part.status.as_u16(), &part.etag()), (206, tag), "{field}");
                assert_eq!(part.body, content[100..200]);
            }
        }
    }
    let other = [resumed[0], ("if-range", "\"AAAAAAAAAAAAAAAAAAAAAA\"")];
    assert_eq!(refusal(Client::at(3), &issued.address, &other).await, used());
    assert_eq!(Client::at(3).get_with(&again, &other).await.status, 200, "another tag: the whole file");
    node.stop().await;
}

#[actix_web::test]
async fn continuations_share_sixteen_connections_and_the_bound_with_the_key() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(8 * MIB));
    let issued = node.issue("a.bin", |_| {});
    let again = node.continuation(issued.jti, "a.bin", |_| {});
    let _first = Partial::open(1, &issued.address, "", 1000).await;
    let mut running = Vec::new();
    for n in 0..15 {
        let more = Partial::open(2, &again, &format!("Range: bytes={}-\r\n", n * 1000), 1).await;
        assert_eq!(more.status(), 206);
        running.push(more);
    }
    assert_eq!(refusal(Client::at(2), &again, &[]).await.0, 429);
    running.clear();
    let mut got = 0;
    while got < 40 * MIB {
        let part = Client::at(2).get_with(&again, &[("range", "bytes=0-8000000")]).await;
        if part.status != 206 {
            assert_eq!(part.slug(), "used-token");
            break;
        }
        got += part.body.len();
    }
    assert!(got > 0 && got < 32 * MIB, "{got}");
    node.stop().await;
}

#[actix_web::test]
async fn resume_off_refuses_continuations_and_resume_key_allows_them() {
    for (resume, goes_on) in [(Resume::Off, false), (Resume::ResumeKey, true)] {
        let mut setup = Setup::default();
        setup.settings.download.resume = resume;
        let node = setup.start().await;
        node.put("a.bin", &pattern(20 * MIB));
        let issued = node.issue("a.bin", |_| {});
        drop(Partial::open(1, &issued.address, "", 1000).await);
        let again = node.continuation(issued.jti, "a.bin", |_| {});
        for restarted in [false, true] {
            let reply = Client::default().get_with(&again, &[("range", "bytes=1000-1009")]).await;
            assert_eq!(reply.status, if goes_on { 206 } else { 410 }, "{resume:?}, restarted: {restarted}");
        }
        let node = node.restart().await;
        let reply = Client::default().get_with(&again, &[("range", "bytes=1000-1009")]).await;
        assert_eq!(reply.status, if goes_on { 206 } else { 410 }, "{resume:?} after a restart");
        node.stop().await;
    }
}

#[actix_web::test]
async fn an_expired_continuation_starts_nothing_and_what_it_began_is_resumed_by_its_tag() {
    let node = Node::start().await;
    let content = pattern(20 * MIB);
    node.put("a.bin", &content);
    let issued = node.issue("a.bin", |_| {});
    drop(Partial::open(1, &issued.address, "", 1000).await);
    let node = node.restart().await;
    let short = |order: &mut DownloadTokenRequest<'_>| order.lifetime = Some(Duration::from_secs(60));
    let again = node.continuation(issued.jti, "a.bin", short);
    let part = Partial::open(2, &again, "", 1000).await;
    assert_eq!(part.status(), 200);
    let tag = part.header("etag").unwrap().to_owned();
    drop(part);
    node.pass(Duration::from_secs(70));
    let ended = (410, "expired-token".to_owned());
    for host in [1, 2] {
        assert_eq!(refusal(Client::at(host), &again, &[]).await, ended);
        assert_eq!(refusal(Client::at(host), &again, &[("range", "bytes=1000-")]).await, ended);
        assert_eq!(Client::at(host).head(&again).await.status, 410);
    }
    let rest = Client::at(3).get_with(&again, &[("range", "bytes=1000-"), ("if-range", &tag)]).await;
    assert_eq!(rest.status, 206);
    assert!(rest.body == content[1000..]);
    let late = node.continuation(node.issue("a.bin", |_| {}).jti, "a.bin", short);
    node.pass(Duration::from_secs(70));
    assert_eq!(refusal(Client::default(), &late, &[]).await, ended, "also for a download that nobody began");
    node.stop().await;
}

#[actix_web::test]
async fn a_continuation_ends_with_the_lease_and_with_a_revocation() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(20 * MIB));
    let begun = node.issue("a.bin", |_| {});
    drop(Partial::open(1, &begun.address, "", 1000).await);
    let revoked = node.issue("a.bin", |_| {});
    drop(Partial::open(1, &revoked.address, "", 1000).await);
    let command = node.issuer.issue_command(&[revoked.jti], node.clock.now()).unwrap();
    let bearer = format!("Bearer {}", command.token);
    let fields = [("authorization", bearer.as_str())];
    assert_eq!(Client::default().request(Method::POST, &node.url("/revocations"), &fields).await.status, 204);
    let again = node.continuation(revoked.jti, "a.bin", |_| {});
    assert_eq!(refusal(Client::default(), &again, &[]).await, (410, "revoked-token".to_owned()));
    // An hour after the last byte nothing can be continued, whatever was issued since.
    node.pass(Duration::from_secs(3601));
    let late = node.continuation(begun.jti, "a.bin", |_| {});
    assert_eq!(refusal(Client::default(), &late, &[]).await, used());
    let node = node.restart().await;
    assert_eq!(refusal(Client::default(), &again, &[]).await.0, 410);
    assert_eq!(refusal(Client::default(), &late, &[]).await.0, 410);
    node.stop().await;
}

#[actix_web::test]
async fn a_continuation_that_asks_first_shows_its_page_only_for_what_was_begun() {
    let node = Node::start().await;
    let content = pattern(20 * MIB);
    node.put("a.bin", &content);
    let issued = node.issue("a.bin", |_| {});
    let again = node.continuation(issued.jti, "a.bin", |order| order.confirm = true);
    assert_eq!(refusal(Client::default(), &again, &[]).await, used());
    drop(Partial::open(1, &issued.address, "", 10 * MIB).await);
    for _ in 0..3 {
        let page = Client::at(2).get(&again).await;
        assert_eq!(
            (page.status.as_u16(), page.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        assert_eq!(page.header("etag"), None);
    }
    let pressed = Client::at(2).request(Method::POST, &again, &[]).await;
    let place = node.url(pressed.header("location").unwrap());
    assert_eq!(pressed.status, 303);
    assert!(Client::at(2).get(&place).await.body == content);
    assert_eq!(refusal(Client::at(2), &again, &[]).await, used());
    node.stop().await;
}

#[actix_web::test]
async fn a_continuation_opens_no_other_file_and_none_of_another_node_or_signer() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(20 * MIB));
    node.put("b.bin", &pattern(20 * MIB));
    let issued = node.issue("a.bin", |_| {});
    drop(Partial::open(1, &issued.address, "", 1000).await);
    let other = node.continuation(issued.jti, "b.bin", |_| {});
    assert_eq!(refusal(Client::default(), &other, &[]).await, (409, "file-changed".to_owned()));
    let again = node.continuation(issued.jti, "a.bin", |_| {});
    let stranger = Node::start().await;
    let foreign = stranger.continuation(issued.jti, "a.bin", |_| {});
    let foreign = foreign.replace(&stranger.address.to_string(), &node.address.to_string());
    assert_eq!(refusal(Client::default(), &foreign, &[]).await, (403, "invalid-token".to_owned()));
    // Only the signer can set the claim: a single changed byte makes the token invalid.
    let token = again.rsplit("/d/").next().unwrap().split('/').next().unwrap();
    let (claims, signature) = token.rsplit_once('.').unwrap();
    let (_, plain_signature) = issued.token.rsplit_once('.').unwrap();
    for forged in [format!("{claims}.{plain_signature}"), format!("{claims}A.{signature}")] {
        let link = node.url(&format!("/d/{forged}"));
        assert_eq!(refusal(Client::default(), &link, &[]).await, (403, "invalid-token".to_owned()));
    }
    assert_eq!(Client::default().get_with(&again, &[("range", "bytes=0-0")]).await.status, 206);
    stranger.stop().await;
    node.stop().await;
}

#[actix_web::test]
async fn a_continuation_is_reported_as_a_resumption_of_the_same_delivery() {
    let services = BothServices::start().await;
    let content = pattern(20 * MIB);
    services.put("a.bin", &content);
    let access = &services.access;
    let (jti, link) = access.token("a.bin", services.clock.now()).await;
    drop(Partial::open(1, &link, "", 10 * MIB).await);
    access.until_state(jti, DeliveryState::Interrupted).await;
    let path = "/files/a.bin".parse().unwrap();
    let order = DownloadTokenRequest {
        again: true,
        link: Some(&LinkId::from_store(LINK)),
        ..DownloadTokenRequest::new("somebody", &path)
    };
    let again = access.db.issuer.issue_download_as(jti, &order, services.clock.now()).unwrap();
    assert!(Client::at(2).get(&again.address).await.body == content);
    let complete = access.until_state(jti, DeliveryState::Complete).await;
    assert_eq!(complete.resumed, 1);
    assert_eq!(access.use_of(jti).await.taken, 1, "one use");
    assert_eq!(access.steps(jti).await, ["started", "broken", "resumed", "complete"]);
    services.stop().await;
}
