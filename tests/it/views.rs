//! `GET /v/{token}` of the download service: a file is shown in the browser, any number of times within ten
//! minutes, and can neither run anything nor pass for a download.

use std::time::Duration;

use hyper::Method;
use oncelink::id::Jti;
use oncelink::token::TokenKind;
use oncelink::token::claims::{CommonClaims, ViewClaims};
use oncelink::web::tokens::issuer::{IssuedToken, ViewTokenRequest};

use crate::support::client::{Client, Partial};
use crate::support::shared::{SharedServer, on_every_shared_store};
use crate::support::{Node, Setup, path, pattern};

const MIB: usize = 1024 * 1024;

/// Issues a view of a file in the share, as it is now.
fn view(node: &Node, name: &str) -> IssuedToken {
    let (file, version) = (path(name), node.version(name));
    let order = ViewTokenRequest { subject: "tester", file: &file, size: None, version: Some(&version) };
    node.issuer.issue_view_as(Jti::random().unwrap(), &order, node.clock.now()).unwrap()
}

async fn revoke(node: &Node, jti: Jti) -> u16 {
    let command = node.issuer.issue_command(&[jti], node.clock.now()).unwrap();
    let bearer = format!("Bearer {}", command.token);
    let headers = [("authorization", bearer.as_str())];
    Client::default().request(Method::POST, &node.url("/revocations"), &headers).await.status.as_u16()
}

#[actix_web::test]
async fn each_kind_is_shown_in_place_as_its_own_type_and_in_a_sandbox() {
    let node = Node::start().await;
    let web = "http://127.0.0.1:8080";
    for (name, content_type, sandboxed) in [
        ("a picture.PNG", "image/png", true),
        ("a.jpg", "image/jpeg", true),
        ("a.pdf", "application/pdf", false),
        ("a.txt", "text/plain; charset=utf-8", true),
        ("page.html.txt", "text/plain; charset=utf-8", true),
        ("a.json", "text/plain; charset=utf-8", true),
        ("a.mp3", "audio/mpeg", true),
        ("a.mp4", "video/mp4", true),
    ] {
        node.put(name, b"<script>alert(1)</script>");
        let address = view(&node, name).address;
        for reply in [Client::default().get(&address).await, Client::default().head(&address).await] {
            assert_eq!(reply.status, 200, "{name}: {reply:?}");
            assert_eq!(reply.header("content-type"), Some(content_type), "{name}");
            let disposition = reply.header("content-disposition").unwrap();
            assert!(disposition.starts_with("inline; filename=\""), "{name}: {disposition}");
            assert_eq!(reply.header("content-length"), Some("25"), "{name}");
            assert_eq!(reply.header("accept-ranges"), Some("bytes"), "{name}");
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{name}");
            assert_eq!(reply.header("cache-control"), Some("private, no-store, no-transform"), "{name}");
            assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{name}");
            assert_eq!(reply.header("x-robots-tag"), Some("noindex"), "{name}");
            assert_eq!(reply.header("cross-origin-resource-policy"), Some("cross-origin"), "{name}");
            let policy = reply.header("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none';"), "{name}: {policy}");
            assert!(policy.ends_with(&format!("frame-ancestors {web}")), "{name}: {policy}");
            assert_eq!(policy.contains(" sandbox;"), sandboxed, "{name}: {policy}");
            assert!(!policy.contains("script"), "{name}: {policy}");
        }
        assert_eq!(Client::default().get(&address).await.body, b"<script>alert(1)</script>", "{name}");
    }
    node.stop().await;
}

#[actix_web::test]
async fn what_is_not_in_the_list_is_refused_with_a_clear_problem() {
    let node = Node::start().await;
    for name in ["a.html", "a.svg", "a.xml", "a.js", "a.zip", "a.docx", "a", "a.xhtml"] {
        node.put(name, b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>");
        let address = view(&node, name).address;
        let refused = Client::default().get(&address).await;
        assert_eq!((refused.status.as_u16(), refused.slug().as_str()), (415, "not-viewable"), "{name}");
    }
    let page = Client::default().get_with(&view(&node, "a.svg").address, &[("accept", "text/html")]).await;
    assert_eq!(page.status, 415);
    assert!(page.text().contains("Download the file instead."), "{}", page.text());
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("frame-ancestors http://127.0.0.1:8080;"),
        "shown in the web app's page: {policy}"
    );
    node.stop().await;
}

#[actix_web::test]
async fn a_pdf_is_shown_only_where_the_services_have_origins_of_their_own() {
    let mut setup = Setup::default();
    setup.settings.web.public_url = "https://files.example".to_owned();
    setup.settings.download.public_url = "https://files.example".to_owned();
    let node = setup.start().await;
    node.put("a.pdf", b"%PDF-1.4");
    node.put("a.txt", b"text");
    let local = |issued: IssuedToken| issued.address.replace("https://files.example", &node.url(""));
    assert_eq!(Client::default().get(&local(view(&node, "a.pdf"))).await.slug(), "not-viewable");
    let text = Client::default().get(&local(view(&node, "a.txt"))).await;
    assert_eq!(text.status, 200);
    assert_eq!(text.header("cross-origin-resource-policy"), Some("same-origin"));
    node.stop().await;
}

#[actix_web::test]
async fn a_view_uses_nothing_up_and_has_ranges_and_conditions() {
    let node = Node::start().await;
    let content = pattern(300_000);
    node.put("a.mp4", &content);
    let address = view(&node, "a.mp4").address;
    let whole = Client::default().get(&address).await;
    assert!(whole.body == content, "the whole file");
    let tag = whole.etag();
    assert!(tag.len() == 24 && !tag.starts_with("W/"), "{tag}");
    let get = async |headers: &[(&str, &str)]| Client::default().get_with(&address, headers).await;
    for (range, part) in
        [("bytes=0-0", 0..1), ("bytes=100000-", 100_000..300_000), ("bytes=-5", 299_995..300_000)]
    {
        let reply = get(&[("range", range)]).await;
        assert_eq!(reply.status, 206, "{range}");
        let expected = format!("bytes {}-{}/300000", part.start, part.end - 1);
        assert_eq!(reply.header("content-range"), Some(expected.as_str()));
        assert_eq!(reply.etag(), tag, "{range}");
        assert!(reply.body == content[part], "{range}");
    }
    let reply = get(&[("range", "bytes=300000-")]).await;
    assert_eq!((reply.status.as_u16(), reply.header("content-range")), (416, Some("bytes */300000")));
    assert_eq!(get(&[("range", "bytes=1-2"), ("if-range", tag.as_str())]).await.status, 206);
    let reply = get(&[("range", "bytes=1-2"), ("if-range", "\"another\"")]).await;
    assert!(reply.status == 200 && reply.body == content, "{reply:?}");
    let reply = get(&[("if-none-match", tag.as_str())]).await;
    assert_eq!((reply.status.as_u16(), reply.header("etag"), reply.body.len()), (304, Some(tag.as_str()), 0));
    assert_eq!(get(&[("if-match", "\"another\"")]).await.status, 412);
    let head = Client::default().request(Method::HEAD, &address, &[("range", "bytes=1-2")]).await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, Some("300000")));
    let options = Client::default().request(Method::OPTIONS, &address, &[]).await;
    assert_eq!((options.status.as_u16(), options.header("allow")), (204, Some("GET, HEAD, OPTIONS")));
    assert_eq!(Client::default().request(Method::POST, &address, &[]).await.status, 405);
    // From another address, in a part of a page, without the name: the token alone counts.
    let bare = address.rsplit_once('/').unwrap().0;
    let image = [("sec-fetch-dest", "video"), ("sec-fetch-site", "cross-site")];
    assert_eq!(Client::at(7).get_with(bare, &image).await.status, 200);
    // An empty file, too.
    node.put("empty.txt", b"");
    assert_eq!(
        Client::default().get(&view(&node, "empty.txt").address).await.header("content-length"),
        Some("0")
    );
    node.stop().await;
}

#[actix_web::test]
async fn no_token_of_another_kind_is_a_view_and_a_view_is_nothing_else() {
    let node = Node::start().await;
    node.put("a.txt", b"text");
    let issued = view(&node, "a.txt");
    let download = node.issue("a.txt", |_| {});
    let command = node.issuer.issue_command(&[Jti::random().unwrap()], node.clock.now()).unwrap();
    for (what, token) in [("download", &download.token), ("command", &command.token)] {
        let reply = Client::default().get(&node.url(&format!("/v/{token}"))).await;
        assert_eq!((reply.status.as_u16(), reply.slug().as_str()), (403, "invalid-token"), "{what} at /v/");
    }
    let bearer = format!("Bearer {}", issued.token);
    let as_bearer = [("authorization", bearer.as_str())];
    let plain = node.url(&format!("/d/{}", issued.token));
    for reply in [
        Client::default().get(&plain).await,
        Client::default().get(&format!("{plain}?confirmed")).await,
        Client::default().request(Method::POST, &plain, &[]).await,
        Client::default().get_with(&node.url("/d"), &as_bearer).await,
        Client::default().request(Method::POST, &node.url("/revocations"), &as_bearer).await,
        Client::default().get(&node.url("/v/nonsense")).await,
        Client::default().get(&node.url("/v/")).await,
        // A bearer token is not a view: pages can't send one.
        Client::default().get_with(&node.url("/v/"), &as_bearer).await,
    ] {
        assert_eq!((reply.status.as_u16(), reply.slug().as_str()), (403, "invalid-token"), "{reply:?}");
    }
    assert_eq!(Client::default().get(&issued.address).await.body, b"text", "still a view");
    assert_eq!(Client::default().get(&download.address).await.body, b"text", "still a download");
    // The jti of a download opens no view, even if somebody signs one.
    let file = path("a.txt");
    let order = ViewTokenRequest { subject: "tester", file: &file, size: None, version: None };
    let same = node.issuer.issue_view_as(download.jti, &order, node.clock.now()).unwrap();
    assert_eq!(Client::default().get(&same.address).await.slug(), "used-token");
    node.stop().await;
}

#[actix_web::test]
async fn a_view_ends_after_ten_minutes_and_no_token_may_say_more() {
    let node = Node::start().await;
    node.put("a.txt", b"text");
    let issued = view(&node, "a.txt");
    node.pass(Duration::from_secs(10 * 60 + 4));
    assert_eq!(Client::default().get(&issued.address).await.status, 200, "within the leeway");
    node.pass(Duration::from_secs(1));
    assert_eq!(Client::default().get(&issued.address).await.slug(), "expired-token");
    let (now, file) = (node.clock.now(), path("a.txt"));
    for (seconds, status) in [(600, 200), (601, 403)] {
        let common = CommonClaims {
            iss: &node.issuer.issuer,
            aud: &node.issuer.audience,
            jti: Jti::random().unwrap(),
            iat: now,
            exp: now.plus(Duration::from_secs(seconds)),
        };
        let claims = ViewClaims { common, sub: "tester", file: &file, size: None, version: None };
        let token = node.issuer.signer.sign(TokenKind::View, &claims, now).unwrap();
        assert_eq!(
            Client::default().get(&node.url(&format!("/v/{token}"))).await.status,
            status,
            "{seconds} s"
        );
    }
    node.stop().await;
}

#[actix_web::test]
async fn a_revoked_view_is_refused_and_cut_off_while_it_is_sent() {
    let node = Node::start().await;
    node.put("a.mp4", &pattern(24 * MIB));
    let issued = view(&node, "a.mp4");
    let other = view(&node, "a.mp4");
    let mut running = Partial::open(1, &issued.address, "", 10_000).await;
    let mut range = Partial::open(1, &issued.address, "Range: bytes=1000-\r\n", 10_000).await;
    assert_eq!((running.status(), range.status()), (200, 206));
    assert_eq!(revoke(&node, issued.jti).await, 204);
    assert_eq!(Client::default().get(&issued.address).await.slug(), "revoked-token");
    assert!(running.read_to_end().await < 24 * MIB, "it was cut off");
    assert!(range.read_to_end().await < 24 * MIB - 1000, "and so was this");
    assert_eq!(Client::default().get(&other.address).await.body.len(), 24 * MIB);
    // It stays revoked after a restart.
    let node = node.restart().await;
    assert_eq!(Client::default().get(&issued.address).await.slug(), "revoked-token");
    assert_eq!(Client::default().get(&other.address).await.status, 200);
    node.stop().await;
}

#[actix_web::test]
async fn a_store_that_lost_its_revocations_refuses_the_views_of_before() {
    let node = Node::start().await;
    node.put("a.txt", b"text");
    let issued = view(&node, "a.txt");
    assert_eq!(revoke(&node, issued.jti).await, 204);
    node.pass(Duration::from_secs(2));
    let lost = |settings: &mut oncelink::config::Settings| {
        std::fs::remove_dir_all(settings.used_tokens_dir()).unwrap();
    };
    let node = node.restart_with(lost).await;
    assert_eq!(Client::default().get(&issued.address).await.slug(), "expired-token");
    node.pass(Duration::from_secs(2));
    assert_eq!(Client::default().get(&view(&node, "a.txt").address).await.status, 200);
    node.stop().await;
}

#[actix_web::test]
async fn a_file_that_changed_is_refused_and_never_mixed() {
    let node = Node::start().await;
    let file = node.put("a.mp4", &pattern(24 * MIB));
    let issued = view(&node, "a.mp4");
    let mut running = Partial::open(1, &issued.address, "", 10_000).await;
    std::fs::write(&file, vec![7; 24 * MIB]).unwrap();
    assert!(running.read_to_end().await < 24 * MIB, "it was cut off");
    assert!(running.body == pattern(24 * MIB)[..running.body.len()], "no byte of the new file");
    assert_eq!(Client::default().get(&issued.address).await.slug(), "file-changed");
    assert_eq!(Client::default().get(&view(&node, "a.mp4").address).await.status, 200);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(Client::default().get(&issued.address).await.slug(), "file-not-found");
    node.stop().await;
}

#[actix_web::test]
async fn one_view_takes_at_most_sixteen_connections() {
    let node = Node::start().await;
    node.put("a.mp4", &pattern(24 * MIB));
    let issued = view(&node, "a.mp4");
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(Partial::open(1, &issued.address, "", 1_000).await);
    }
    for _ in 0..3 {
        let refused = Client::default().get(&issued.address).await;
        assert_eq!(
            (refused.slug().as_str(), refused.header("retry-after")),
            ("too-many-requests", Some("2"))
        );
    }
    assert_eq!(Client::default().head(&view(&node, "a.mp4").address).await.status, 200, "another view");
    drop(held);
    node.stop().await;
}

on_every_shared_store!(a_running_view_is_cut_when_another_node_records_its_revocation);

async fn a_running_view_is_cut_when_another_node_records_its_revocation(server: SharedServer) {
    let [first, second] = server.nodes().await;
    let size = 5_u64 << 30;
    std::fs::File::create(first.dir.path().join("share/huge.mp4")).unwrap().set_len(size).unwrap();
    let issued = view(&first, "huge.mp4");
    let address = |node: &Node| node.url(&format!("/v/{}", issued.token));
    let mut running = Partial::open(1, &address(&first), "", 1_000).await;
    assert_eq!(running.status(), 200, "{}", running.head);
    let command = first.issuer.issue_command(&[issued.jti], first.clock.now()).unwrap();
    let bearer = format!("Bearer {}", command.token);
    let headers = [("authorization", bearer.as_str())];
    let told = Client::default().request(Method::POST, &second.url("/revocations"), &headers).await;
    assert_eq!(told.status, 204);
    // Much faster than the whole file could be read.
    assert!(running.count_to_end().await < size, "nothing cut it");
    for node in [&first, &second] {
        assert_eq!(Client::default().get(&address(node)).await.slug(), "revoked-token");
    }
    first.stop().await;
    second.stop().await;
}
