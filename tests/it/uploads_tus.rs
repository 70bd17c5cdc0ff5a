//! The tus 1.0 protocol, request by request.

use std::fs;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::Client;
use crate::support::deliveries::eventually;
use crate::support::pattern;
use crate::support::tus::{Uploader, metadata, writable};
use crate::support::web::TestWeb;

fn sha(algorithm: &'static aws_lc_rs::digest::Algorithm, bytes: &[u8]) -> String {
    STANDARD.encode(aws_lc_rs::digest::digest(algorithm, bytes))
}

#[actix_web::test]
async fn a_file_arrives_in_pieces_and_gets_its_name_only_when_it_is_complete() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let content = pattern(700_000);
    let address = ada.begin("/open", "我这一辈子 (1).bin", content.len()).await;
    let file = web.share("open").join("我这一辈子 (1).bin");
    assert_eq!(ada.head(&address).await.offset(), Some(0));
    let answer = ada.patch(&address, 0, &content[..300_000]).await;
    assert_eq!((answer.status, answer.offset()), (204, Some(300_000)), "{answer:?}");
    assert!(answer.header("upload-expires").unwrap().ends_with(" GMT"));
    assert!(!file.exists());
    let head = ada.head(&address).await;
    assert_eq!((head.status, head.offset()), (200, Some(300_000)));
    assert_eq!(head.header("upload-length"), Some("700000"));
    assert_eq!(head.header("cache-control"), Some("no-store"));
    assert_eq!(head.header("tus-resumable"), Some("1.0.0"));
    assert!(head.header("upload-metadata").unwrap().contains("filename "));
    let answer = ada.patch(&address, 300_000, &content[300_000..]).await;
    assert_eq!((answer.status, answer.offset()), (204, Some(700_000)), "{answer:?}");
    assert!(answer.header("content-location").unwrap().starts_with("/files/open/"));
    assert_eq!(fs::read(&file).unwrap(), content);
    let head = ada.head(&address).await;
    assert_eq!((head.status, head.offset()), (200, Some(700_000)), "after a lost response");
    assert_eq!(fs::read_dir(web.share("open").join(".oncelink/uploads")).unwrap().count(), 0);
    web.stop().await;
}

#[actix_web::test]
async fn anybody_may_ask_what_the_server_supports() {
    let web = TestWeb::spawn_with(|settings| settings.web.upload_max = 1000).await;
    let answer = Client::default().request(Method::OPTIONS, &format!("{}/uploads", web.base), &[]).await;
    assert_eq!(answer.status, 204);
    let header = |name: &str| answer.header(name).unwrap().to_owned();
    assert_eq!((header("tus-version"), header("tus-max-size")), ("1.0.0".to_owned(), "1000".to_owned()));
    for extension in
        ["creation", "creation-with-upload", "expiration", "checksum", "termination", "concatenation"]
    {
        assert!(header("tus-extension").split(',').any(|one| one == extension), "{extension}");
    }
    assert_eq!(header("tus-checksum-algorithm"), "sha1,sha256");
    web.stop().await;
}

#[actix_web::test]
async fn each_mistake_has_the_status_that_the_protocol_gives_it() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let named = metadata(&[("folder", "/open"), ("filename", "a.bin")]);
    let post: [(&[(&str, &str)], u16); 12] = [
        (&[], 400),
        (&[("upload-length", "x")], 400),
        (&[("upload-length", "-1")], 400),
        (&[("upload-length", "99999999999999999999")], 400),
        (&[("upload-length", "5"), ("upload-defer-length", "1")], 400),
        (&[("upload-defer-length", "2")], 400),
        (&[("upload-length", "5"), ("upload-metadata", "filename !!!")], 400),
        (&[("upload-length", "5"), ("upload-metadata", "filename YQ==,filename YQ==")], 400),
        (&[("upload-length", "5"), ("upload-metadata", "filename /w==,folder L29wZW4=")], 400),
        (&[("upload-length", "5"), ("upload-concat", "whole")], 400),
        (&[("upload-length", "5"), ("upload-concat", "final;/uploads/x")], 400),
        (
            &[
                ("upload-length", "5"),
                ("upload-checksum", "md5 AAAA"),
                ("upload-metadata", "folder L29wZW4="),
            ],
            400,
        ),
    ];
    for (headers, status) in post {
        assert_eq!(ada.send("POST", "/uploads", headers, Vec::new()).await.status, status, "{headers:?}");
    }
    let typed = ada
        .send(
            "POST",
            "/uploads",
            &[("upload-length", "5"), ("upload-metadata", &named), ("content-type", "text/plain")],
            b"hello".to_vec(),
        )
        .await;
    assert_eq!(typed.status, 415);
    let address = ada.begin("/open", "a.bin", 10).await;
    assert_eq!(ada.bare("HEAD", &address, &[], Vec::new()).await.status, 412);
    let old = [("tus-resumable", "0.2.2"), ("x-csrf-token", ada.csrf.as_str())];
    let answer = ada.bare("PATCH", &address, &old, Vec::new()).await;
    assert_eq!((answer.status, answer.header("tus-version")), (412, Some("1.0.0")));
    assert_eq!(ada.patch(&address, 3, b"abc").await.status, 409);
    assert_eq!(ada.patch(&address, 3, b"abc").await.offset(), Some(0));
    assert_eq!(ada.patch(&address, 0, b"more than ten").await.status, 413);
    let plain = [("content-type", "text/plain"), ("upload-offset", "0")];
    assert_eq!(ada.send("PATCH", &address, &plain, b"x".to_vec()).await.status, 415);
    let no_offset = [("content-type", "application/offset+octet-stream")];
    assert_eq!(ada.send("PATCH", &address, &no_offset, b"x".to_vec()).await.status, 400);
    assert_eq!(ada.patch_with(&address, 0, b"x", &[("upload-checksum", "md5 AAAA")]).await.status, 400);
    assert_eq!(ada.patch_with(&address, 0, b"x", &[("upload-length", "11")]).await.status, 400);
    for method in ["GET", "PUT"] {
        assert_eq!(ada.send(method, &address, &[], Vec::new()).await.status, 405, "{method}");
    }
    assert_eq!(ada.head(&address).await.offset(), Some(0), "none of it counted");
    for missing in ["/uploads/AAAAAAAAAAAAAAAAAAAAAA", "/uploads/x", "/uploads/..%2f..%2fetc"] {
        let answer = ada.head(missing).await;
        assert_eq!((answer.status, answer.offset()), (404, None), "{missing}");
        assert_eq!(ada.patch(missing, 0, b"x").await.status, 404, "{missing}");
    }
    web.stop().await;
}

#[actix_web::test]
async fn bytes_with_a_wrong_checksum_do_not_count_and_those_with_the_right_one_do() {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256};
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let content = pattern(600_000);
    let address = ada.begin("/open", "a.bin", content.len()).await;
    let (first, rest) = content.split_at(400_000);
    let wrong = format!("sha256 {}", sha(&SHA256, rest));
    let answer = ada.patch_with(&address, 0, first, &[("upload-checksum", &wrong)]).await;
    assert_eq!((answer.status, answer.problem().0.as_str()), (460, "wrong-checksum"));
    assert_eq!(ada.head(&address).await.offset(), Some(0));
    let right = format!("sha1 {}", sha(&SHA1_FOR_LEGACY_USE_ONLY, first));
    assert_eq!(ada.patch_with(&address, 0, first, &[("upload-checksum", &right)]).await.status, 204);
    let answer = ada.patch_with(&address, 400_000, rest, &[("upload-checksum", &right)]).await;
    assert_eq!((answer.status, answer.problem().0.as_str()), (460, "wrong-checksum"));
    let right = format!("sha256 {}", sha(&SHA256, rest));
    assert_eq!(ada.patch_with(&address, 400_000, rest, &[("upload-checksum", &right)]).await.status, 204);
    assert_eq!(fs::read(web.share("open").join("a.bin")).unwrap(), content);
    web.stop().await;
}

#[actix_web::test]
async fn an_upload_is_begun_with_its_bytes_and_one_of_no_bytes_is_done_at_once() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let named = metadata(&[("folder", "/open"), ("filename", "whole.bin")]);
    let headers = [
        ("upload-length", "5"),
        ("upload-metadata", named.as_str()),
        ("content-type", "application/offset+octet-stream"),
    ];
    let answer = ada.send("POST", "/uploads", &headers, b"hello".to_vec()).await;
    assert_eq!((answer.status, answer.offset()), (201, Some(5)), "{answer:?}");
    assert_eq!(fs::read(web.share("open").join("whole.bin")).unwrap(), b"hello");
    let answer = ada.send("POST", "/uploads", &headers, b"hel".to_vec()).await;
    assert_eq!((answer.status, answer.offset()), (201, Some(3)), "{answer:?}");
    let address = answer.header("location").unwrap().to_owned();
    assert_eq!(ada.patch(&address, 3, b"lo").await.offset(), Some(5));
    assert_eq!(fs::read(web.share("open").join("whole (2).bin")).unwrap(), b"hello");
    let answer = ada.try_begin("/open", "empty", 0).await;
    assert_eq!(answer.status, 201);
    assert!(answer.header("content-location").is_some(), "{answer:?}");
    assert_eq!(fs::read(web.share("open").join("empty")).unwrap(), b"");
    web.stop().await;
}

#[actix_web::test]
async fn the_size_may_be_given_later() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let named = metadata(&[("folder", "/open"), ("filename", "later.bin")]);
    let headers = [("upload-defer-length", "1"), ("upload-metadata", named.as_str())];
    let address =
        ada.send("POST", "/uploads", &headers, Vec::new()).await.header("location").unwrap().to_owned();
    assert_eq!(ada.patch(&address, 0, b"hel").await.offset(), Some(3));
    let head = ada.head(&address).await;
    assert_eq!((head.header("upload-defer-length"), head.header("upload-length")), (Some("1"), None));
    assert_eq!(ada.patch_with(&address, 3, b"lo", &[("upload-length", "5")]).await.offset(), Some(5));
    assert_eq!(fs::read(web.share("open").join("later.bin")).unwrap(), b"hello");
    web.stop().await;
}

#[actix_web::test]
async fn an_upload_that_is_ended_leaves_nothing() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let address = ada.begin("/open", "a.bin", 10).await;
    ada.patch(&address, 0, b"abc").await;
    let deleted = ada.send("DELETE", &address, &[], Vec::new()).await;
    assert_eq!(deleted.status, 204);
    assert_eq!(ada.head(&address).await.status, 404);
    assert_eq!(fs::read_dir(web.share("open").join(".oncelink/uploads")).unwrap().count(), 0);
    // With a client that can't send DELETE or PATCH.
    let address = ada.begin("/open", "b.bin", 3).await;
    let headers = [
        ("x-http-method-override", "PATCH"),
        ("content-type", "application/offset+octet-stream"),
        ("upload-offset", "0"),
    ];
    assert_eq!(ada.send("POST", &address, &headers, b"abc".to_vec()).await.status, 204);
    assert_eq!(fs::read(web.share("open").join("b.bin")).unwrap(), b"abc");
    web.stop().await;
}

#[actix_web::test]
async fn parts_are_joined_in_order_and_then_removed() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let content = pattern(500_000);
    let mut parts = Vec::new();
    for piece in content.chunks(200_000) {
        let length = piece.len().to_string();
        let headers = [("upload-length", length.as_str()), ("upload-concat", "partial")];
        let answer = ada.send("POST", "/uploads", &headers, Vec::new()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let address = answer.header("location").unwrap().to_owned();
        if parts.len() < 2 {
            ada.patch(&address, 0, piece).await;
        }
        parts.push(address);
    }
    let named = metadata(&[("folder", "/open"), ("filename", "joined.bin")]);
    let list: Vec<String> = parts.iter().map(|part| format!("{}{part}", web.base)).collect();
    let concat = format!("final;{}", list.join(" "));
    let headers = [("upload-concat", concat.as_str()), ("upload-metadata", named.as_str())];
    let early = ada.send("POST", "/uploads", &headers, Vec::new()).await;
    assert_eq!((early.status, early.problem().0.as_str()), (409, "parts-missing"));
    let last = ada.patch(&parts[2], 0, &content[400_000..]).await;
    assert_eq!((last.status, last.header("content-location")), (204, None));
    assert_eq!(ada.head(&parts[2]).await.header("upload-concat"), Some("partial"));
    let joined = ada.send("POST", "/uploads", &headers, Vec::new()).await;
    assert_eq!((joined.status, joined.offset()), (201, Some(500_000)), "{joined:?}");
    assert_eq!(fs::read(web.share("open").join("joined.bin")).unwrap(), content);
    let address = joined.header("location").unwrap();
    let head = ada.head(address).await;
    assert_eq!((head.header("upload-concat"), head.offset()), (Some(concat.as_str()), Some(500_000)));
    assert_eq!(ada.patch(address, 500_000, b"").await.status, 403);
    for part in &parts {
        assert_eq!(ada.head(part).await.status, 404);
    }
    assert_eq!(fs::read_dir(web.share("open").join(".oncelink/uploads")).unwrap().count(), 0);
    web.stop().await;
}

#[actix_web::test]
async fn an_upload_is_its_owners_and_asks_for_the_sessions_token() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    web.account("bob@example.org", &[]).await;
    let bob = Uploader::of(web.logged_in("bob@example.org").await).await;
    let address = ada.begin("/open", "a.bin", 3).await;
    assert_eq!(bob.head(&address).await.status, 404);
    assert_eq!(bob.patch(&address, 0, b"abc").await.status, 404);
    assert_eq!(bob.send("DELETE", &address, &[], Vec::new()).await.status, 404);
    let foreign: [&[(&str, &str)]; 4] = [
        &[],
        &[("x-csrf-token", &bob.csrf)],
        &[("x-csrf-token", &ada.csrf), ("origin", "https://evil.example")],
        &[("x-csrf-token", &ada.csrf), ("sec-fetch-site", "cross-site")],
    ];
    for headers in foreign {
        let headers = [&[("tus-resumable", "1.0.0")], headers].concat();
        for (method, path) in [("POST", "/uploads"), ("PATCH", address.as_str()), ("DELETE", &address)] {
            let answer = ada.bare(method, path, &headers, Vec::new()).await;
            assert_eq!(answer.status, 403, "{method} {headers:?}");
        }
    }
    let nobody = Uploader { cookie: "sid-00000000=x".to_owned(), ..ada.clone() };
    assert_eq!(nobody.head(&address).await.status, 401);
    assert_eq!(nobody.begin_status().await, 401);
    assert_eq!(ada.patch(&address, 0, b"abc").await.status, 204);
    assert_eq!(ada.try_begin("/staff", "a.bin", 3).await.status, 404, "a share that she can't write to");
    assert_eq!(ada.try_begin("/missing", "a.bin", 3).await.status, 404);
    assert_eq!(ada.try_begin("/open/missing", "a.bin", 3).await.status, 404);
    assert_eq!(ada.try_begin("/open/file.txt", "a.bin", 3).await.status, 404, "a file is not a folder");
    assert_eq!(ada.try_begin("/private", "a.bin", 3).await.status, 201);
    web.stop().await;
}

impl Uploader {
    async fn begin_status(&self) -> u16 {
        self.try_begin("/open", "a.bin", 3).await.status
    }
}

#[actix_web::test]
async fn an_abandoned_upload_is_removed() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let address = ada.begin("/open", "a.bin", 10).await;
    ada.patch(&address, 0, b"abc").await;
    ada.put("/open", "done.bin", b"abc").await;
    web.pass(24 * 3600 - 1);
    web.app.upkeep().prune().await;
    let uploads = web.share("open").join(".oncelink/uploads");
    assert_eq!(fs::read_dir(&uploads).unwrap().count(), 1);
    web.pass(1);
    web.app.upkeep().prune().await;
    assert_eq!(fs::read_dir(&uploads).unwrap().count(), 0);
    assert!(web.share("open").join("done.bin").exists());
    // A file of an upload whose row is gone, and an unrelated file.
    let orphan = uploads.join("AAAAAAAAAAAAAAAAAAAAAA");
    fs::write(&orphan, "x").unwrap();
    fs::write(uploads.join("something else"), "x").unwrap();
    web.app.upkeep().sweep_uploads().await;
    assert!(!orphan.exists() && uploads.join("something else").exists());
    web.stop().await;
}

/// A request on a raw socket whose body stops where the test wants.
async fn cut(ada: &Uploader, address: &str, offset: u64, length: usize, sent: &[u8]) -> TcpStream {
    cut_with(ada, address, offset, length, sent, "").await
}

async fn cut_with(
    ada: &Uploader,
    address: &str,
    offset: u64,
    length: usize,
    sent: &[u8],
    more: &str,
) -> TcpStream {
    let authority = ada.base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(authority).await.unwrap();
    let head = format!(
        "PATCH {address} HTTP/1.1\r\nHost: {authority}\r\nCookie: {}\r\nX-CSRF-Token: {}\r\n\
         Tus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\nUpload-Offset: {offset}\r\n\
         Content-Length: {length}\r\n{more}\r\n",
        ada.cookie, ada.csrf
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream
}

/// Waits until the upload has this offset.
async fn until_offset(ada: &Uploader, address: &str, offset: u64) {
    eventually("the bytes", async || ada.head(address).await.offset() == Some(offset)).await;
}

#[actix_web::test]
async fn what_arrived_before_a_connection_broke_is_kept() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let content = pattern(900_000);
    let address = ada.begin("/open", "a.bin", content.len()).await;
    drop(cut(&ada, &address, 0, content.len(), &content[..123_456]).await);
    until_offset(&ada, &address, 123_456).await;
    assert_eq!(free(&ada, &address).await, 123_456);
    // With a reset, in the middle of a larger chunk.
    let stream = cut(&ada, &address, 123_456, content.len() - 123_456, &content[123_456..700_000]).await;
    until_offset_beyond(&ada, &address, 300_000).await;
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    let mut offset = free(&ada, &address).await;
    assert!(offset > 300_000 && offset <= 700_000, "{offset}");
    eventually("the rest to be accepted", async || {
        let at = usize::try_from(offset).unwrap();
        let answer = ada.patch(&address, offset, &content[at..]).await;
        match answer.status {
            204 => offset = answer.offset().unwrap(),
            // The server does not know yet that the first connection is dead.
            409 | 423 => offset = ada.head(&address).await.offset().unwrap(),
            other => panic!("{other}: {answer:?}"),
        }
        offset >= 900_000
    })
    .await;
    assert_eq!(fs::read(web.share("open").join("a.bin")).unwrap(), content);
    web.stop().await;
}

async fn until_offset_beyond(ada: &Uploader, address: &str, offset: u64) {
    eventually("the bytes", async || ada.head(address).await.offset() >= Some(offset)).await;
}

/// The offset, once no request is writing to the upload.
async fn free(ada: &Uploader, address: &str) -> u64 {
    eventually("the writer to stop", async || {
        let offset = ada.head(address).await.offset().unwrap();
        ada.patch(address, offset, b"").await.status == 204
    })
    .await;
    ada.head(address).await.offset().unwrap()
}

#[actix_web::test]
async fn bytes_whose_checksum_never_came_do_not_count() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let content = pattern(600_000);
    let address = ada.begin("/open", "a.bin", content.len()).await;
    ada.patch(&address, 0, &content[..1000]).await;
    let more = format!("Upload-Checksum: sha256 {}\r\n", sha(&aws_lc_rs::digest::SHA256, &content[1000..]));
    let stream = cut_with(&ada, &address, 1000, 599_000, &content[1000..500_000], &more).await;
    let uploads = web.share("open").join(".oncelink/uploads");
    let len = || fs::read_dir(&uploads).unwrap().next().unwrap().unwrap().metadata().unwrap().len();
    eventually("the bytes to arrive", async || len() >= 200_000).await;
    assert_eq!(ada.head(&address).await.offset(), Some(1000), "not even while they arrive");
    drop(stream);
    assert_eq!(free(&ada, &address).await, 1000);
    assert_eq!(ada.patch(&address, 1000, &content[1000..]).await.status, 204);
    assert_eq!(fs::read(web.share("open").join("a.bin")).unwrap(), content);
    web.stop().await;
}

#[actix_web::test]
async fn of_two_that_write_at_once_one_is_told_to_wait() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let content = pattern(600_000);
    let address = ada.begin("/open", "a.bin", content.len()).await;
    let mut first = cut(&ada, &address, 0, content.len(), &content[..300_000]).await;
    until_offset_beyond(&ada, &address, 200_000).await;
    let at = ada.head(&address).await.offset().unwrap();
    let second = ada.patch(&address, at, b"xyz").await;
    assert!(matches!(second.status, 409 | 423), "{second:?}");
    first.write_all(&content[300_000..]).await.unwrap();
    let mut answer = vec![0; 12];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 204");
    assert_eq!(fs::read(web.share("open").join("a.bin")).unwrap(), content);
    web.stop().await;
}

#[actix_web::test]
async fn a_client_that_comes_back_takes_over_from_a_stalled_connection() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let content = pattern(600_000);
    let address = ada.begin("/open", "a.bin", content.len()).await;
    // Never closed, as when a phone changes networks.
    let first = cut(&ada, &address, 0, content.len(), &content[..262_144]).await;
    until_offset(&ada, &address, 262_144).await;
    eventually("the first request to be dropped", async || {
        let offset = ada.head(&address).await.offset().unwrap();
        let rest = &content[usize::try_from(offset).unwrap()..];
        let status = ada.patch(&address, offset, rest).await.status;
        assert!(matches!(status, 204 | 409 | 423), "{status}");
        status == 204
    })
    .await;
    assert_eq!(fs::read(web.share("open").join("a.bin")).unwrap(), content);
    drop(first);
    web.stop().await;
}

#[actix_web::test]
async fn a_file_that_took_the_name_meanwhile_stays_and_the_upload_gets_a_number() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let address = ada.begin("/open", "a.bin", 3).await;
    fs::write(web.share("open").join("a.bin"), "earlier").unwrap();
    let answer = ada.patch(&address, 0, b"abc").await;
    assert_eq!(answer.header("content-location"), Some("/files/open/a%20%282%29.bin"), "{answer:?}");
    assert_eq!(fs::read(web.share("open").join("a.bin")).unwrap(), b"earlier");
    assert_eq!(fs::read(web.share("open").join("a (2).bin")).unwrap(), b"abc");
    web.stop().await;
}

#[actix_web::test]
async fn twenty_uploads_of_one_name_at_once_get_twenty_names() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let all = (0..20_u8).map(|number| {
        let ada = ada.clone();
        async move { ada.put("/open", "same.bin", &[number; 1000]).await }
    });
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.status, 204, "{answer:?}");
    }
    let mut seen = std::collections::BTreeSet::new();
    for number in 1..=20 {
        let name = if number == 1 { "same.bin".to_owned() } else { format!("same ({number}).bin") };
        let content = fs::read(web.share("open").join(name)).unwrap();
        assert!(content.len() == 1000 && content.iter().all(|byte| *byte == content[0]));
        seen.insert(content[0]);
    }
    assert_eq!(seen.len(), 20);
    web.stop().await;
}

#[actix_web::test]
async fn two_processes_never_write_to_one_upload_at_once() {
    let mut web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let twin = Uploader { base: web.twin().await, ..ada.clone() };
    let content = pattern(600_000);
    let address = ada.begin("/open", "a.bin", content.len()).await;
    let mut first = cut(&ada, &address, 0, content.len(), &content[..300_000]).await;
    until_offset_beyond(&twin, &address, 200_000).await;
    let at = twin.head(&address).await.offset().unwrap();
    let second = twin.patch(&address, at, b"xyz").await;
    assert!(matches!(second.status, 409 | 423), "{second:?}");
    assert_eq!(twin.send("DELETE", &address, &[], Vec::new()).await.status, 423);
    first.write_all(&content[300_000..]).await.unwrap();
    let mut answer = vec![0; 12];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 204");
    assert_eq!(twin.head(&address).await.offset(), Some(600_000));
    assert_eq!(fs::read(web.share("open").join("a.bin")).unwrap(), content);
    web.stop().await;
}

#[actix_web::test]
async fn a_click_on_download_tells_the_download_service_the_digest_of_what_was_uploaded() {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let content = pattern(700_000);
    let address = ada.begin("/open", "a.bin", content.len()).await;
    assert_eq!(ada.patch(&address, 0, &content[..300_000]).await.status, 204);
    assert_eq!(ada.patch(&address, 300_000, &content[300_000..]).await.status, 204);
    let mut browser = web.logged_in("ada@example.org").await;
    let mut claims = async |file: &str| -> serde_json::Value {
        let answer = browser.fill("/account", "/download", &[("file", file)]).await;
        let token = answer.location.unwrap();
        let payload = token.rsplit("/d/").next().unwrap().split('.').nth(1).unwrap().to_owned();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    };
    let expected = sha(&aws_lc_rs::digest::SHA256, &content);
    assert_eq!(claims("/open/a.bin").await["digest"], expected);
    assert!(claims("/open/file.txt").await.get("digest").is_none(), "that file was not uploaded");
    fs::write(web.share("open").join("a.bin"), "another").unwrap();
    assert!(claims("/open/a.bin").await.get("digest").is_none(), "another version");
    web.stop().await;
}

#[actix_web::test]
async fn an_account_that_lost_the_right_to_write_can_t_continue_an_upload() {
    let web = TestWeb::spawn_with(|settings| {
        writable(settings);
        settings.shares[1].write = vec!["staff".to_owned()];
    })
    .await;
    let kim = web.account("kim@example.org", &["staff"]).await;
    let uploader = Uploader::of(web.logged_in("kim@example.org").await).await;
    let address = uploader.begin("/staff", "a.bin", 10).await;
    assert_eq!(uploader.patch(&address, 0, b"abc").await.status, 204);
    let actor = oncelink::web::audit::Actor::operator();
    let none = std::collections::BTreeSet::new();
    web.outside.account_admin.set_rights(&kim, &none, false, &actor, web.clock.now()).await.unwrap();
    web.pass(2);
    assert_eq!(uploader.patch(&address, 3, b"def").await.status, 404);
    web.stop().await;
}
