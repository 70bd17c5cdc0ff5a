//! The rule: a link works once, only once, and is never lost.

use std::time::Duration;

use hyper::Method;
use oncelink::config::Resume;

use crate::support::client::{Client, Partial};
use crate::support::{Node, Setup, pattern};

const MIB: usize = 1024 * 1024;

#[actix_web::test]
async fn a_link_serves_the_file_once_and_is_gone_for_everybody_forever() {
    let node = Node::start().await;
    node.put("a.pdf", &pattern(300_000));
    let link = node.link("a.pdf");
    let first = Client::default().get(&link).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.body, pattern(300_000));
    let again = Client::default().get(&link).await;
    assert_eq!((again.status.as_u16(), again.slug().as_str()), (410, "used-token"));
    assert_eq!(again.header("etag"), None);
    assert_eq!(Client::at(2).get(&link).await.status, 410);
    let node = node.restart().await;
    assert_eq!(Client::default().get(&link).await.slug(), "used-token");
    node.stop().await;
}

#[actix_web::test]
async fn head_options_and_prefetch_spend_nothing() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(5000));
    let link = node.link("a.bin");
    for _ in 0..3 {
        let head = Client::default().head(&link).await;
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-length"), Some("5000"));
        assert_eq!(head.header("etag"), None, "the resume key exists only after the redemption");
        let options = Client::default().request(Method::OPTIONS, &link, &[]).await;
        assert_eq!(options.status, 204);
        for purpose in [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch"), ("x-moz", "prefetch")]
        {
            let prefetch = Client::default().get_with(&link, &[purpose]).await;
            assert_eq!(prefetch.status, 503);
            assert_eq!(prefetch.slug(), "prefetch-refused");
        }
    }
    assert_eq!(Client::default().get(&link).await.body, pattern(5000));
    assert_eq!(Client::default().head(&link).await.status, 410);
    node.stop().await;
}

#[actix_web::test]
async fn of_64_plain_gets_at_once_exactly_one_is_served() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(200_000));
    let clients: Vec<Client> = (0..64).map(|_| Client::default()).collect();
    for _ in 0..200 {
        let link = node.link("a.bin");
        let replies = futures_util::future::join_all(clients.iter().map(|client| client.get(&link))).await;
        let served: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
        assert_eq!(served.len(), 1);
        assert_eq!(served[0].body, pattern(200_000));
        assert!(replies.iter().all(|reply| reply.status == 200 || reply.slug() == "used-token"));
    }
    node.stop().await;
}

#[actix_web::test]
async fn the_resume_key_opens_any_range_even_after_the_whole_file_and_from_elsewhere() {
    let node = Node::start().await;
    let content = pattern(100_000);
    node.put("a.bin", &content);
    let link = node.link("a.bin");
    let key = Client::default().get(&link).await.etag();
    for (field, host) in [("if-range", 1), ("if-match", 2)] {
        let part = Client::at(host).get_with(&link, &[(field, &key), ("range", "bytes=500-999")]).await;
        assert_eq!(part.status, 206);
        assert_eq!(part.header("content-range"), Some("bytes 500-999/100000"));
        assert_eq!(part.body, content[500..1000]);
        assert_eq!(part.etag(), key);
    }
    let wrong = Client::at(2)
        .get_with(&link, &[("if-range", "\"AAAAAAAAAAAAAAAAAAAAAA\""), ("range", "bytes=0-1")])
        .await;
    assert_eq!(wrong.slug(), "used-token");
    let gzip = format!("{}-gzip\"", key.trim_end_matches('"'));
    for altered in [format!("W/{key}"), gzip] {
        for field in ["if-range", "if-match"] {
            let whole = Client::at(2).get_with(&link, &[(field, &altered), ("range", "bytes=0-1")]).await;
            assert_eq!(
                (whole.status.as_u16(), whole.header("content-range")),
                (200, None),
                "{field}: {altered}"
            );
            assert!(whole.body == content);
            assert_eq!(whole.etag(), key);
        }
    }
    node.stop().await;
}

#[actix_web::test]
async fn with_the_key_at_most_three_times_the_file_and_8_mib_are_sent() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(4 * MIB));
    let link = node.link("a.bin");
    let key = Client::default().get(&link).await.etag();
    let mut served = 1;
    while Client::default().get_with(&link, &[("if-match", &key)]).await.status == 200 {
        served += 1;
        assert!(served <= 5);
    }
    assert_eq!(served, 5, "3 × 4 MiB + 8 MiB");
    node.stop().await;
}

#[actix_web::test]
async fn a_range_over_bytes_not_yet_sent_is_served_to_the_same_address_without_a_key() {
    let node = Node::start().await;
    let content = pattern(24 * MIB);
    node.put("a.bin", &content);
    let link = node.link("a.bin");
    let mut first = Partial::open(1, &link, "", 100_000).await;
    assert_eq!(first.status(), 200);
    let range = format!("bytes={}-", 20 * MIB);
    assert_eq!(Client::at(2).get_with(&link, &[("range", &range)]).await.status, 410, "another address");
    let tail = Client::default().get_with(&link, &[("range", &range)]).await;
    assert_eq!(tail.status, 206);
    assert_eq!(tail.body, content[20 * MIB..]);
    first.read(MIB).await;
    assert_eq!(first.body, content[..MIB + 100_000]);
    node.stop().await;
}

#[actix_web::test]
async fn a_transfer_that_broke_off_is_resumed_by_range_from_the_same_address() {
    let node = Node::start().await;
    let content = pattern(24 * MIB);
    node.put("a.bin", &content);
    let link = node.link("a.bin");
    let mut got = Partial::open(1, &link, "", 3 * MIB).await.body;
    for _ in 0..4 {
        let range = format!("Range: bytes={}-\r\n", got.len());
        let more = Partial::open(1, &link, &range, 3 * MIB).await;
        assert_eq!(more.status(), 206);
        got.extend_from_slice(&more.body);
    }
    let rest = Client::default().get_with(&link, &[("range", &format!("bytes={}-", got.len()))]).await;
    got.extend_from_slice(&rest.body);
    assert!(got == content);
    assert_eq!(Client::default().get(&link).await.slug(), "used-token");
    node.stop().await;
}

#[actix_web::test]
async fn a_plain_get_after_the_first_broke_off_is_served_as_a_retry_from_the_same_address_only() {
    let node = Node::start().await;
    let content = pattern(24 * MIB);
    node.put("a.bin", &content);
    let link = node.link("a.bin");
    drop(Partial::open(1, &link, "", 10_000).await);
    assert_eq!(Client::at(2).get(&link).await.slug(), "used-token");
    let retry = Client::default().get(&link).await;
    assert_eq!(retry.status, 200);
    assert!(retry.body == content);
    assert_eq!(Client::default().get(&link).await.slug(), "used-token");
    node.stop().await;
}

#[actix_web::test]
async fn a_small_file_whose_connection_broke_before_it_was_read_is_not_lost() {
    let node = Node::start().await;
    for size in [1, 5_000, 20_000, 200_000, 600_000] {
        let content = pattern(size);
        node.put("a.bin", &content);
        for with_range in [false, true] {
            let link = node.link("a.bin");
            // All of it may have left the node, but the client hangs up without having read it.
            let cut = Partial::open(1, &link, "", size / 10).await.body;
            assert_eq!(Client::at(2).get(&link).await.slug(), "used-token", "another address");
            let resume = format!("bytes={}-", cut.len());
            let fields = [("range", resume.as_str())];
            let again = Client::default().get_with(&link, if with_range { &fields } else { &[] }).await;
            let start = if with_range { cut.len() } else { 0 };
            assert!(again.body == content[start..], "{size} {with_range}: {}", again.status);
            assert_eq!(Client::default().get(&link).await.slug(), "used-token");
        }
    }
    node.stop().await;
}

#[actix_web::test]
async fn a_retry_that_would_send_more_than_8_mib_again_is_refused() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(24 * MIB));
    let link = node.link("a.bin");
    drop(Partial::open(1, &link, "", 9 * MIB).await);
    assert_eq!(Client::default().get(&link).await.slug(), "used-token");
    node.stop().await;
}

#[actix_web::test]
async fn a_plain_get_while_the_first_still_runs_waits_for_it_and_is_then_refused() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(24 * MIB));
    let link = node.link("a.bin");
    let mut first = Partial::open(1, &link, "", 10_000).await;
    assert_eq!(Client::default().get(&link).await.slug(), "used-token");
    first.read(10_000).await;
    node.stop().await;
}

#[actix_web::test]
async fn a_first_byte_probe_and_then_a_plain_get_are_one_delivery() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(100_000));
    let link = node.link("a.bin");
    let probe = Client::default().get_with(&link, &[("range", "bytes=0-0")]).await;
    assert_eq!((probe.status.as_u16(), probe.body.len()), (206, 1));
    assert_eq!(Client::at(2).get(&link).await.slug(), "used-token");
    let whole = Client::default().get(&link).await;
    assert_eq!(whole.status, 200);
    assert_eq!(whole.body, pattern(100_000));
    assert_eq!(whole.etag(), probe.etag());
    assert_eq!(Client::default().get(&link).await.status, 410);
    node.stop().await;
}

#[actix_web::test]
async fn after_a_restart_only_the_key_opens_what_was_begun() {
    let node = Node::start().await;
    let content = pattern(24 * MIB);
    node.put("a.bin", &content);
    let link = node.link("a.bin");
    let first = Partial::open(1, &link, "", 10_000).await;
    let key = first.header("etag").unwrap().to_owned();
    drop(first);
    let node = node.restart().await;
    assert_eq!(Client::default().get(&link).await.slug(), "used-token");
    assert_eq!(Client::default().get_with(&link, &[("range", "bytes=10000-")]).await.slug(), "used-token");
    let rest = Client::default().get_with(&link, &[("range", "bytes=10000-"), ("if-range", &key)]).await;
    assert_eq!(rest.status, 206);
    assert!(rest.body == content[10_000..]);
    node.stop().await;
}

#[actix_web::test]
async fn the_lease_ends_an_hour_after_the_last_byte_and_a_day_after_the_redemption() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(1000));
    let link = node.issue("a.bin", |order| order.lifetime = Some(Duration::from_secs(2 * 86_400))).address;
    let key = Client::default().get(&link).await.etag();
    let resume = [("if-range", key.as_str()), ("range", "bytes=0-0")];
    for _ in 0..24 {
        node.pass(Duration::from_secs(3599));
        assert_eq!(Client::default().get_with(&link, &resume).await.status, 206);
    }
    node.pass(Duration::from_secs(60));
    assert_eq!(
        Client::default().get_with(&link, &resume).await.slug(),
        "used-token",
        "a day after the redemption"
    );

    let link = node.link("a.bin");
    let key = Client::default().get(&link).await.etag();
    node.pass(Duration::from_secs(3600));
    let late = Client::default().get_with(&link, &[("if-range", key.as_str()), ("range", "bytes=0-0")]).await;
    assert_eq!(late.status, 410, "an hour after the last byte");
    node.stop().await;
}

#[actix_web::test]
async fn exp_limits_the_start_and_not_the_finish() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(1000));
    let (used, unused) = (node.link("a.bin"), node.link("a.bin"));
    let key = Client::default().get(&used).await.etag();
    node.pass(Duration::from_secs(120 + 5));
    assert_eq!(Client::default().get(&unused).await.slug(), "expired-token");
    let resumed = Client::default().get_with(&used, &[("if-range", &key), ("range", "bytes=10-")]).await;
    assert_eq!(resumed.status, 206);
    node.stop().await;
}

#[actix_web::test]
async fn with_resume_key_the_address_does_not_count_and_with_off_nothing_does() {
    for resume in [Resume::ResumeKey, Resume::Off] {
        let mut setup = Setup::default();
        setup.settings.download.resume = resume;
        let node = setup.start().await;
        node.put("a.bin", &pattern(24 * MIB));
        let link = node.link("a.bin");
        let first = Partial::open(1, &link, "", 10_000).await;
        let key = first.header("etag").unwrap().to_owned();
        drop(first);
        assert_eq!(Client::default().get(&link).await.slug(), "used-token");
        let by_key =
            Client::default().get_with(&link, &[("range", "bytes=10000-"), ("if-range", &key)]).await;
        assert_eq!(by_key.status, if resume == Resume::ResumeKey { 206 } else { 410 });
        node.stop().await;
    }
}

#[actix_web::test]
async fn a_token_with_confirm_is_spent_by_the_button_only() {
    let node = Node::start().await;
    node.put("a.pdf", &pattern(1000));
    let link = node.issue("a.pdf", |order| order.confirm = true).address;
    for _ in 0..3 {
        let page = Client::default().get_with(&link, &[("accept", "text/html")]).await;
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").unwrap().starts_with("text/html"));
        assert!(String::from_utf8(page.body).unwrap().contains("a.pdf"));
        assert_eq!(Client::default().head(&link).await.status, 200);
    }
    let pressed = Client::default().request(Method::POST, &link, &[]).await;
    assert_eq!(pressed.status, 303);
    let target = pressed.header("location").unwrap();
    assert!(target.starts_with("/d/") && target.ends_with("?confirmed"));
    assert_eq!(Client::default().get(&node.url(target)).await.body, pattern(1000));
    assert_eq!(Client::default().get(&node.url(target)).await.slug(), "used-token");
    assert_eq!(Client::default().get(&link).await.slug(), "used-token");
    node.stop().await;
}

#[actix_web::test]
async fn the_token_may_come_as_a_bearer_or_with_any_name_after_it() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(1000));
    let issued = node.issue("a.bin", |_| {});
    let bearer = format!("Bearer {}", issued.token);
    assert_eq!(Client::default().get_with(&node.url("/d"), &[("authorization", &bearer)]).await.status, 200);
    for path in [format!("/d/{}", issued.token), format!("/d/{}/other/name.txt?x=1", issued.token)] {
        assert_eq!(Client::default().get(&node.url(&path)).await.slug(), "used-token");
    }
    assert_eq!(Client::default().get(&node.url("/d")).await.slug(), "invalid-token");
    node.stop().await;
}
