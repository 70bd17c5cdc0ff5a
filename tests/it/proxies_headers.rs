//! How proxies handle headers: the client's address, what they compress, and whether they pass on the `Host`.

use std::time::Duration;

use hyper::Method;
use oncelink::config::ProxyHeader;

use crate::support::client::{Client, Partial};
use crate::support::deliveries::BothServices;
use crate::support::process::{Download, Site, wait_for};
use crate::support::proxies::{Front, Kind};
use crate::support::web::{Browser, PASSWORD, TestWeb};
use crate::support::{Node, Setup, pattern};

const MIB: usize = 1024 * 1024;

async fn node(change: impl FnOnce(&mut Setup)) -> Node {
    let mut setup = Setup::default();
    setup.settings.download.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    change(&mut setup);
    setup.start().await
}

#[actix_web::test]
async fn behind_a_proxy_that_compresses_a_file_comes_as_it_is_and_an_altered_key_still_proves_its_client() {
    // Compression halves its size.
    let content: Vec<u8> = pattern(MIB).iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
    for kind in Kind::COMPRESSING {
        let node = node(|_| {}).await;
        let Some(front) = Front::start(kind, node.address) else { continue };
        node.put("a.txt", &content);
        let link = front.link(&node.link("a.txt"));
        let first = Partial::open(1, &link, "Accept-Encoding: gzip\r\n", 100_000).await;
        assert_eq!(first.status(), 200, "{kind:?}");
        let (key, encoding) = (first.header("etag").unwrap().to_owned(), first.header("content-encoding"));
        // Only HAProxy respects no-transform. nginx makes the tag of a compressed file weak, Apache adds a
        // suffix to it, and Debian's Caddy leaves it unchanged.
        assert_eq!(encoding, (kind != Kind::HaproxyGzip).then_some("gzip"), "{kind:?}");
        let is_altered = key.starts_with("W/") || key.ends_with("-gzip\"");
        assert_eq!(is_altered, matches!(kind, Kind::NginxGzip | Kind::ApacheGzip), "{kind:?}: {key}");
        drop(first);
        let rest = Client::default().get_with(&link, &[("if-range", &key), ("range", "bytes=100000-")]).await;
        let (status, from) = if is_altered { (200, 0) } else { (206, 100_000) };
        assert_eq!(rest.status, status, "{kind:?}");
        assert!(rest.body == content[from..], "{kind:?}");
        // What other versions and settings of these proxies turn it into.
        let bare = key.trim_start_matches("W/").trim_matches('"').trim_end_matches("-gzip");
        for altered in [format!("W/\"{bare}\""), format!("\"{bare}-gzip\""), format!("W/\"{bare}-gzip\"")] {
            let fields = [("if-range", &*altered), ("range", "bytes=100000-")];
            let whole = Client::default().get_with(&link, &fields).await;
            assert_eq!(whole.status, 200, "{kind:?} {altered}");
            assert!(whole.body == content, "{kind:?} {altered}");
        }
        node.stop().await;
    }
}

#[actix_web::test]
async fn a_forwarding_header_from_an_untrusted_peer_makes_its_client_unknown() {
    let mut setup = Setup::default();
    setup.settings.download.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
    let node = setup.start().await;
    let content = pattern(24 * MIB);
    node.put("a.bin", &content);
    for header in ["X-Forwarded-For: 203.0.113.1", "Forwarded: for=203.0.113.1", "X-Real-IP: 203.0.113.1"] {
        let (name, _) = header.split_once(": ").unwrap();
        let link = node.link("a.bin");
        let first = Partial::open(1, &link, &format!("{header}\r\n"), MIB).await;
        let key = first.header("etag").unwrap().to_owned();
        drop(first);
        // Without the key, neither another client of that proxy nor a direct client can resume.
        let range = ("range", "bytes=1048576-");
        for other in [Some((name, "198.51.100.2")), Some((name, "203.0.113.1")), None] {
            let fields: Vec<_> = [range].into_iter().chain(other).collect();
            assert_eq!(Client::default().get_with(&link, &fields).await.slug(), "used-token", "{other:?}");
        }
        let fields = [range, (name, "203.0.113.1"), ("if-range", key.as_str())];
        let rest = Client::default().get_with(&link, &fields).await;
        assert_eq!(rest.status, 206, "{header}");
        assert!(rest.body == content[MIB..]);
    }
    node.stop().await;
}

#[test]
fn an_untrusted_proxy_is_logged_once() {
    let site = Site::new();
    let process = site.start();
    for _ in 0..3 {
        let ticket = site.ticket("small.bin");
        let extra = "X-Forwarded-For: 203.0.113.1\r\n";
        let answer = Download::begin(site.address, &ticket.path, extra).unwrap();
        assert_eq!(answer.status(), 200);
    }
    // The log is written by a thread of its own, which a kill may end first.
    wait_for("the third download in the log", || site.log().matches("redeemed").count() >= 3);
    drop(process);
    let log = site.log();
    assert_eq!(log.matches("download.trusted_proxies").count(), 1, "{log}");
}

#[actix_web::test]
async fn only_the_header_in_the_settings_names_the_client() {
    for (header, name, value, other) in [
        (ProxyHeader::XForwardedFor, "X-Forwarded-For", "203.0.113.1", "Forwarded: for=198.51.100.9"),
        (ProxyHeader::Forwarded, "Forwarded", "for=203.0.113.1", "X-Forwarded-For: 198.51.100.9"),
    ] {
        let node = node(|setup| setup.settings.download.proxy_header = header).await;
        node.put("a.bin", &pattern(24 * MIB));
        let link = node.link("a.bin");
        drop(Partial::open(1, &link, &format!("{name}: {value}\r\n{other}\r\n"), MIB).await);
        let range = ("range", "bytes=1048576-");
        let stranger = [range, (other.split_once(": ").unwrap().0, "198.51.100.9")];
        assert_eq!(Client::default().get_with(&link, &stranger).await.slug(), "used-token");
        assert_eq!(Client::default().get_with(&link, &[range, (name, value)]).await.status, 206, "{name}");
        node.stop().await;
    }
}

#[actix_web::test]
async fn for_a_minute_after_the_last_byte_a_trusted_proxys_client_gets_what_was_buffered_and_no_more() {
    let node = node(|_| {}).await;
    let content = pattern(40 * MIB);
    node.put("a.bin", &content);
    let client = ("x-forwarded-for", "203.0.113.1");
    let link = node.link("a.bin");
    assert_eq!(Client::default().get_with(&link, &[client]).await.status, 200);
    let late = format!("bytes={}-", 20 * MIB);
    let rest = Client::default().get_with(&link, &[client, ("range", &late)]).await;
    assert_eq!(rest.status, 206);
    assert!(rest.body == content[20 * MIB..]);
    for refused in [
        vec![client],
        vec![client, ("range", "bytes=0-")],
        vec![("x-forwarded-for", "203.0.113.2"), ("range", "bytes=41000000-")],
        // More than the rest of the 32 MiB.
        vec![client, ("range", &late)],
    ] {
        assert_eq!(Client::default().get_with(&link, &refused).await.slug(), "used-token", "{refused:?}");
    }
    assert_eq!(Client::default().get_with(&link, &[client, ("range", "bytes=41943039-")]).await.status, 206);
    node.pass(Duration::from_secs(60));
    let after = Client::default().get_with(&link, &[client, ("range", "bytes=41943039-")]).await;
    assert_eq!(after.slug(), "used-token");
    node.stop().await;
}

#[actix_web::test]
async fn a_client_without_a_proxy_gets_nothing_after_the_last_byte() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(MIB));
    let link = node.link("a.bin");
    assert_eq!(Client::default().get(&link).await.status, 200);
    assert_eq!(Client::default().get_with(&link, &[("range", "bytes=1000-")]).await.slug(), "used-token");
    node.stop().await;
}

#[actix_web::test]
async fn a_program_behind_a_proxy_that_does_not_pass_on_the_host_is_told_so_and_a_browser_logs_in() {
    let address = Front::free();
    let base = format!("http://{address}");
    let web = TestWeb::spawn_with(|settings| {
        settings.web.public_url.clone_from(&base);
        settings.web.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    web.account("ada@example.org", &[]).await;
    let upstream = web.base.strip_prefix("http://").unwrap().parse().unwrap();
    let Some(_front) = Front::start_at(Kind::NginxNoHost, address, upstream) else { return };
    let program = [("accept", "application/json")];
    let answer = Client::default().request(Method::POST, &format!("{base}/login"), &program).await;
    assert_eq!((answer.status.as_u16(), answer.slug().as_str()), (403, "other-address"));
    let text = String::from_utf8(answer.body).unwrap();
    assert!(text.contains(&base) && text.contains("proxy_set_header Host"), "{text}");
    // A browser sends its form's origin, so the host is not needed.
    let mut browser = Browser::at(&base);
    browser.headers = vec![("origin", base.clone())];
    let answer = browser.log_in("ada@example.org", PASSWORD).await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/files/")), "{}", answer.body);
    web.stop().await;
}

#[actix_web::test]
async fn a_form_sent_to_another_name_is_told_the_apps_own() {
    let services = BothServices::start().await;
    let base = &services.settings.web.public_url;
    for (host, origin) in [("192.168.1.5:8080", Some("http://192.168.1.5:8080")), ("oncelink", None)] {
        let mut fields = vec![("host", host), ("accept", "application/json")];
        fields.extend(origin.map(|origin| ("origin", origin)));
        let answer = Client::default().request(Method::POST, &format!("{base}/login"), &fields).await;
        assert_eq!((answer.status.as_u16(), answer.slug().as_str()), (403, "other-address"), "{host}");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains(base) && text.contains("proxy_set_header Host"), "{text}");
    }
    let foreign = [("origin", "https://evil.example"), ("accept", "application/json")];
    let answer = Client::default().request(Method::POST, &format!("{base}/login"), &foreign).await;
    assert_eq!(answer.slug(), "foreign-form");
    services.stop().await;
}
