//! Pages and static files are compressed for clients that accept it, and never for a request that another site caused.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::support::client::{Client, Reply};
use crate::support::web::TestWeb;

const GZIP: (&str, &str) = ("accept-encoding", "gzip, deflate, br");

fn unpacked(reply: &Reply) -> String {
    assert_eq!(reply.header("content-encoding"), Some("gzip"), "{reply:?}");
    let mut text = String::new();
    GzDecoder::new(reply.body.as_slice()).read_to_string(&mut text).unwrap();
    text
}

fn varies(reply: &Reply) -> bool {
    reply
        .headers
        .get_all("vary")
        .iter()
        .any(|value| value.as_bytes().eq_ignore_ascii_case(b"accept-encoding"))
}

#[actix_web::test]
async fn a_page_is_compressed_only_for_a_client_that_accepts_it() {
    let web = TestWeb::spawn().await;
    let (client, login) = (Client::default(), format!("{}/login", web.base));
    let plain = client.get(&login).await;
    assert_eq!((plain.header("content-encoding"), varies(&plain)), (None, true), "{plain:?}");
    let packed = client.get_with(&login, &[GZIP]).await;
    assert!(varies(&packed) && packed.body.len() < plain.body.len(), "{packed:?}");
    // The token of the form is another one in each page.
    let without_token = |page: &str| {
        let (before, token) = page.split_once("name=\"csrf\" value=\"").unwrap();
        format!("{before}{}", token.split_once('"').unwrap().1)
    };
    assert_eq!(without_token(&unpacked(&packed)), without_token(&plain.text()));
    let refused = client.get_with(&login, &[("accept-encoding", "gzip;q=0, identity")]).await;
    assert_eq!(refused.header("content-encoding"), None);
    // A refusal is a page, too.
    let missing =
        client.get_with(&format!("{}/no-such-page", web.base), &[GZIP, ("accept", "text/html")]).await;
    assert_eq!(missing.status, 404);
    assert!(unpacked(&missing).contains("<html"));
    web.stop().await;
}

#[actix_web::test]
async fn what_another_site_causes_is_not_compressed() {
    let web = TestWeb::spawn().await;
    let (client, login) = (Client::default(), format!("{}/login", web.base));
    for (site, is_packed) in
        [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false), ("?", false)]
    {
        let page = client.get_with(&login, &[GZIP, ("sec-fetch-site", site)]).await;
        assert_eq!(page.header("content-encoding").is_some(), is_packed, "{site}");
        assert!(varies(&page), "{site}");
    }
    web.stop().await;
}

#[actix_web::test]
async fn static_files_are_compressed_beforehand_and_downloads_and_redirects_never() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let client = Client::default();
    let page = client.get(&web.base).await.text();
    let style = page.split('"').find(|text| text.ends_with("/oncelink.css")).unwrap();
    let style = format!("{}{style}", web.base);
    let (plain, packed) = (client.get(&style).await, client.get_with(&style, &[GZIP]).await);
    assert!(varies(&plain) && varies(&packed), "{plain:?} {packed:?}");
    assert_eq!(unpacked(&packed), plain.text());
    assert_eq!(packed.header("content-length"), Some(packed.body.len().to_string().as_str()));
    let mut ada = web.logged_in("ada@example.org").await;
    ada.headers.push(("accept-encoding", "gzip".to_owned()));
    let sent = ada.get("/files").await;
    assert_eq!((sent.status, sent.header("content-encoding")), (303, ""));
    web.stop().await;
}
