//! `POST /revocations`: a signed command revokes tokens, and cuts off their running downloads.

use hyper::Method;

use crate::support::client::{Client, Partial};
use crate::support::{Node, pattern};

async fn revoke(node: &Node, jti: oncelink::id::Jti) -> u16 {
    let command = node.issuer.issue_command(&[jti], node.clock.now()).unwrap();
    let bearer = format!("Bearer {}", command.token);
    let url = node.url("/revocations");
    let fields = [("authorization", bearer.as_str())];
    Client::default().request(Method::POST, &url, &fields).await.status.as_u16()
}

#[actix_web::test]
async fn a_revoked_token_is_refused_forever_and_revoking_may_be_repeated() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(1000));
    let issued = node.issue("a.bin", |_| {});
    assert_eq!(revoke(&node, issued.jti).await, 204);
    assert_eq!(revoke(&node, issued.jti).await, 204);
    assert_eq!(Client::default().get(&issued.address).await.slug(), "revoked-token");
    assert_eq!(Client::default().head(&issued.address).await.status, 410);
    let node = node.restart().await;
    assert_eq!(Client::default().get(&issued.address).await.slug(), "revoked-token");
    node.stop().await;
}

#[actix_web::test]
async fn a_revocation_ends_the_lease_and_the_transfer_under_way() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(24 * 1024 * 1024));
    let issued = node.issue("a.bin", |_| {});
    let mut running = Partial::open(1, &issued.address, "", 10_000).await;
    let key = running.header("etag").unwrap().to_owned();
    assert_eq!(revoke(&node, issued.jti).await, 204);
    assert!(running.read_to_end().await < 24 * 1024 * 1024, "the connection is cut");
    let resume = [("if-range", key.as_str()), ("range", "bytes=10000-")];
    assert_eq!(Client::default().get_with(&issued.address, &resume).await.slug(), "revoked-token");
    node.stop().await;
}

#[actix_web::test]
async fn only_a_signed_command_revokes() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(1000));
    let issued = node.issue("a.bin", |_| {});
    let url = node.url("/revocations");
    let download_token = format!("Bearer {}", issued.token);
    for fields in [&[][..], &[("authorization", "Bearer x")], &[("authorization", download_token.as_str())]] {
        assert_eq!(Client::default().request(Method::POST, &url, fields).await.slug(), "invalid-token");
    }
    let command = node.issuer.issue_command(&[issued.jti], node.clock.now()).unwrap();
    let as_link = Client::default().get(&node.url(&format!("/d/{}", command.token))).await;
    assert_eq!(as_link.slug(), "invalid-token");
    assert_eq!(Client::default().get(&url).await.status, 405);
    assert_eq!(Client::default().get(&issued.address).await.status, 200);
    node.stop().await;
}
