//! Requests that aren't clicks spend nothing, and a refusal is never saved as the file.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::{Client, Partial};
use crate::support::{Node, pattern};

#[actix_web::test]
async fn only_a_click_spends_a_link() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(5000));
    let link = node.link("a.bin");
    let kinds = "audio audioworklet embed fencedframe font frame iframe image json manifest object paintworklet \
                 report script serviceworker sharedworker style track video webidentity worker xslt something-new";
    for dest in kinds.split_whitespace() {
        for site in ["cross-site", "same-site", "none"] {
            let fields = [("sec-fetch-dest", dest), ("sec-fetch-site", site), ("sec-fetch-mode", "no-cors")];
            let part = Client::default().get_with(&link, &fields).await;
            assert_eq!((part.status.as_u16(), part.slug().as_str()), (503, "prefetch-refused"), "{dest}");
        }
    }
    for mode in ["cors", "no-cors", "same-origin"] {
        let fields =
            [("sec-fetch-dest", "empty"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", mode)];
        assert_eq!(Client::default().get_with(&link, &fields).await.slug(), "prefetch-refused", "{mode}");
    }
    for guess in [
        ("x-purpose", "instant"),
        ("x-purpose", "preview"),
        ("purpose", "prefetch"),
        ("x-moz", "Prefetch"),
        ("sec-purpose", "prefetch;anonymous-client-ip"),
        ("sec-purpose", "prerender"),
    ] {
        assert_eq!(Client::default().get_with(&link, &[guess]).await.slug(), "prefetch-refused", "{guess:?}");
    }
    let click = [
        ("sec-fetch-dest", "document"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-user", "?1"),
    ];
    assert_eq!(Client::default().get_with(&link, &click).await.body, pattern(5000));
    node.stop().await;
}

#[actix_web::test]
async fn a_download_manager_of_a_browser_gets_the_file_and_is_cut_off_where_it_is_refused() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(5000));
    let link = node.link("a.bin");
    let manager = [("sec-fetch-dest", "empty"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-site", "none")];
    assert_eq!(Client::default().get_with(&link, &manager).await.status, 200);
    let lines: String = manager.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let (_, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
    for (path, more) in [(path, ""), (path, "Range: bytes=10-\r\n"), ("d/a.b.c", ""), ("nothing", "")] {
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        let head = format!("GET /{path} HTTP/1.1\r\nHost: {}\r\n{lines}{more}\r\n", node.address);
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        let _reset_or_not = stream.read_to_end(&mut said).await;
        assert_eq!(String::from_utf8_lossy(&said), "", "{path}");
    }
    // Programs get the error.
    assert_eq!(Client::default().get_with(&link, &[("range", "bytes=10-")]).await.slug(), "used-token");
    node.stop().await;
}

#[actix_web::test]
async fn what_a_download_manager_asks_for_again_is_served_where_the_rule_allows_it() {
    let node = Node::start().await;
    let content = pattern(24 * 1024 * 1024);
    node.put("a.bin", &content);
    let link = node.link("a.bin");
    drop(Partial::open(1, &link, "", 2_000_000).await);
    let manager = [("sec-fetch-dest", "empty"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-site", "none")];
    assert!(Client::default().get_with(&link, &manager).await.body == content);
    node.stop().await;
}
