//! Limits: file size, quotas, disk space. What does not fit is refused before it is sent, and what fills up
//! during the transfer loses nothing.

use std::fs;

use oncelink::config::StoreAddress;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::deliveries::eventually;
use crate::support::pattern;
use crate::support::postgres::empty_schema;
use crate::support::tus::{Answer, Uploader, metadata, writable};
use crate::support::volume::{Volume, can_mount, make_image};
use crate::support::web::TestWeb;
use crate::support::web_process::WebSite;

fn slug(answer: &Answer) -> (u16, String) {
    (answer.status, answer.problem().0)
}

fn refused(status: u16, slug: &str) -> (u16, String) {
    (status, slug.to_owned())
}

#[actix_web::test]
async fn a_file_that_is_too_large_is_refused_before_a_byte_is_sent() {
    let web = TestWeb::spawn_with(|settings| {
        writable(settings);
        settings.web.upload_max = 1000;
    })
    .await;
    let ada = Uploader::ada(&web).await;
    assert_eq!(ada.try_begin("/open", "a.bin", 1000).await.status, 201);
    let answer = ada.try_begin("/open", "a.bin", 1001).await;
    assert_eq!(slug(&answer), refused(413, "file-too-large"));
    assert!(answer.problem().1.contains("at most 1.0 kB"), "{answer:?}");
    // An upload that declares its size later is stopped where it gets too large, and does not count.
    let named = metadata(&[("folder", "/open"), ("filename", "later.bin")]);
    let headers = [("upload-defer-length", "1"), ("upload-metadata", named.as_str())];
    let begun = ada.send("POST", "/uploads", &headers, Vec::new()).await;
    let address = begun.header("location").unwrap();
    assert_eq!(ada.patch(address, 0, &[1; 600]).await.offset(), Some(600));
    assert_eq!(slug(&ada.patch(address, 600, &[1; 401]).await), refused(413, "file-too-large"));
    assert_eq!(ada.head(address).await.offset(), Some(600));
    let longer = ada.patch_with(address, 600, &[1; 10], &[("upload-length", "1001")]).await;
    assert_eq!(slug(&longer), refused(413, "file-too-large"));
    assert_eq!(ada.patch_with(address, 600, &[1; 400], &[("upload-length", "1000")]).await.status, 204);
    web.stop().await;
}

#[actix_web::test]
async fn an_accounts_quota_counts_what_is_there_and_what_is_announced() {
    let web = TestWeb::spawn_with(|settings| {
        writable(settings);
        settings.web.account_quota = 1000;
    })
    .await;
    quota(&web, "account-quota").await;
    web.stop().await;
}

#[actix_web::test]
async fn a_shares_quota_counts_what_is_there_and_what_is_announced() {
    let web = TestWeb::spawn_with(|settings| {
        writable(settings);
        settings.shares[0].quota = 1000;
    })
    .await;
    let ada = quota(&web, "share-quota").await;
    assert_eq!(ada.try_begin("/private", "elsewhere.bin", 5000).await.status, 201, "another share");
    web.stop().await;
}

#[actix_web::test]
async fn quotas_hold_in_postgresql_too() {
    let Some(database) = empty_schema().await else { return };
    let web = TestWeb::spawn_with(|settings| {
        writable(settings);
        settings.web.database = StoreAddress::from(database);
        settings.web.account_quota = 1000;
    })
    .await;
    let ada = quota(&web, "account-quota").await;
    // And the alternative: partial uploads that are joined.
    let mut parts = Vec::new();
    for _ in 0..2 {
        let headers = [("upload-length", "50"), ("upload-concat", "partial")];
        let answer = ada.send("POST", "/uploads", &headers, Vec::new()).await;
        let address = answer.header("location").unwrap_or_else(|| panic!("{answer:?}")).to_owned();
        assert_eq!(ada.patch(&address, 0, &[7; 50]).await.status, 204);
        parts.push(address);
    }
    let concat = format!("final;{}", parts.join(" "));
    let named = metadata(&[("folder", "/open"), ("filename", "joined.bin")]);
    let headers = [("upload-concat", concat.as_str()), ("upload-metadata", named.as_str())];
    let joined = ada.send("POST", "/uploads", &headers, Vec::new()).await;
    assert_eq!(joined.status, 201, "{joined:?}");
    assert_eq!(fs::read(web.share("open").join("joined.bin")).unwrap(), [7; 100]);
    web.stop().await;
}

async fn quota(web: &TestWeb, word: &str) -> Uploader {
    let ada = Uploader::ada(web).await;
    assert_eq!(ada.put("/open", "a.bin", &[1; 400]).await.status, 204);
    let begun = ada.begin("/open", "b.bin", 500).await;
    let answer = ada.try_begin("/open", "c.bin", 101).await;
    assert_eq!(slug(&answer), refused(413, word));
    assert!(answer.problem().1.contains("100 bytes"), "{answer:?}");
    // Of ten at the same time that would each fit alone, one is accepted.
    let all = (0..10).map(|number| {
        let ada = ada.clone();
        async move { ada.try_begin("/open", &format!("{number}.bin"), 60).await }
    });
    let answers = futures_util::future::join_all(all).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    for answer in answers {
        match answer.header("location") {
            Some(address) => assert_eq!(ada.send("DELETE", address, &[], Vec::new()).await.status, 204),
            None => assert_eq!(slug(&answer), refused(413, word)),
        }
    }
    assert_eq!(ada.send("DELETE", &begun, &[], Vec::new()).await.status, 204);
    let rest = ada.begin("/open", "d.bin", 600).await;
    assert_eq!(ada.patch(&rest, 0, &[1; 600]).await.status, 204);
    assert_eq!(slug(&ada.try_begin("/open", "e.bin", 1).await), refused(413, word));
    // Files that the operator deleted on disk do not count.
    fs::remove_file(web.share("open").join("d.bin")).unwrap();
    assert_eq!(ada.try_begin("/open", "e.bin", 100).await.status, 201);
    ada
}

#[actix_web::test]
async fn a_hundred_uploads_at_once_all_arrive() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let content = pattern(400_000);
    let all = (0..100).map(|number| {
        let (ada, content) = (ada.clone(), &content);
        async move {
            let name = format!("{number}.bin");
            let address = ada.begin("/open", &name, content.len()).await;
            assert_eq!(ada.patch(&address, 0, &content[..250_000]).await.status, 204);
            assert_eq!(ada.patch(&address, 250_000, &content[250_000..]).await.status, 204);
        }
    });
    futures_util::future::join_all(all).await;
    for number in 0..100 {
        assert!(fs::read(web.share("open").join(format!("{number}.bin"))).unwrap() == content, "{number}");
    }
    web.stop().await;
}

#[actix_web::test]
async fn a_share_whose_folder_is_gone_says_so() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let address = ada.begin("/open", "a.bin", 10).await;
    fs::remove_dir_all(web.share("open")).unwrap();
    for answer in [ada.try_begin("/open", "b.bin", 10).await, ada.patch(&address, 0, b"abc").await] {
        assert!(matches!(answer.status, 404 | 503), "{answer:?}");
        assert!(["share-gone", "not-found"].contains(&answer.problem().0.as_str()), "{answer:?}");
    }
    let begun = ada.try_begin("/open", "b.bin", 10).await;
    assert_eq!(slug(&begun), refused(503, "share-gone"));
    assert_eq!(ada.try_begin("/private", "b.bin", 10).await.status, 201, "the other shares work");
    web.stop().await;
}

#[actix_web::test]
async fn a_share_whose_folder_was_replaced_accepts_no_uploads() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let address = ada.begin("/open", "a.bin", 3).await;
    let aside = web.share("open").with_file_name("aside");
    fs::rename(web.share("open"), &aside).unwrap();
    fs::create_dir(web.share("open")).unwrap();
    // As if its disk was unmounted, or another one mounted over it.
    assert_eq!(slug(&ada.try_begin("/open", "b.bin", 10).await), refused(503, "share-gone"));
    assert_eq!(slug(&ada.patch(&address, 0, b"abc").await), refused(503, "share-gone"));
    assert_eq!(fs::read_dir(web.share("open")).unwrap().count(), 0);
    fs::remove_dir(web.share("open")).unwrap();
    fs::rename(&aside, web.share("open")).unwrap();
    assert_eq!(ada.patch(&address, 0, b"abc").await.status, 204, "it resumes when the folder is back");
    web.stop().await;
}

#[actix_web::test]
async fn uploads_whose_length_comes_later_keep_within_the_quota_together() {
    let web = TestWeb::spawn_with(|settings| {
        writable(settings);
        settings.web.account_quota = 1000;
    })
    .await;
    let ada = Uploader::ada(&web).await;
    let begin = async |name: &str| {
        let named = metadata(&[("folder", "/open"), ("filename", name)]);
        let headers = [("upload-defer-length", "1"), ("upload-metadata", named.as_str())];
        ada.send("POST", "/uploads", &headers, Vec::new()).await.header("location").unwrap().to_owned()
    };
    let (one, two, three) = (begin("1.bin").await, begin("2.bin").await, begin("3.bin").await);
    assert_eq!(ada.patch(&one, 0, &[1; 400]).await.status, 204);
    assert_eq!(ada.patch(&two, 0, &[1; 400]).await.status, 204);
    assert_eq!(slug(&ada.patch(&three, 0, &[1; 201]).await), refused(413, "account-quota"));
    assert_eq!(ada.patch(&three, 0, &[1; 200]).await.status, 204);
    assert_eq!(slug(&ada.patch(&one, 400, &[1; 1]).await), refused(413, "account-quota"));
    // Of several at the same time that would each fit alone, as many are kept as fit together.
    assert_eq!(ada.send("DELETE", &two, &[], Vec::new()).await.status, 204);
    let all: Vec<String> = vec![begin("4.bin").await, begin("5.bin").await, begin("6.bin").await];
    let answers =
        futures_util::future::join_all(all.iter().map(|address| ada.patch(address, 0, &[1; 300]))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 204).count(), 1, "{answers:?}");
    // Once it has a length, that is what counts, and it can be finished.
    assert_eq!(ada.patch_with(&one, 400, &[], &[("upload-length", "400")]).await.status, 204);
    assert_eq!(fs::read(web.share("open").join("1.bin")).unwrap(), [1; 400]);
    web.stop().await;
}

#[actix_web::test]
async fn unfinished_uploads_are_limited_per_account() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    ada.begin("/open", "first.bin", 10).await;
    let copies = "INSERT INTO uploads (id, account, share, folder, name, size, metadata, concat, state, created_at, expires_at) \
                  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999) \
                  SELECT 'copy' || i, account, share, folder, name, size, metadata, concat, state, created_at, expires_at \
                  FROM uploads, n";
    sqlx::query(copies).execute(web.outside.db.writer()).await.unwrap();
    assert_eq!(slug(&ada.try_begin("/open", "more.bin", 10).await), refused(429, "too-many-uploads"));
    sqlx::query("DELETE FROM uploads WHERE id = 'copy7'").execute(web.outside.db.writer()).await.unwrap();
    assert_eq!(ada.try_begin("/open", "more.bin", 10).await.status, 201);
    web.stop().await;
}

/// Begins a request of `length` bytes on a raw socket and sends some of them.
async fn half(ada: &Uploader, address: &str, offset: u64, length: usize, sent: &[u8]) -> TcpStream {
    let authority = ada.base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(authority).await.unwrap();
    let head = format!(
        "PATCH {address} HTTP/1.1\r\nHost: {authority}\r\nCookie: {}\r\nX-CSRF-Token: {}\r\n\
         Tus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\nUpload-Offset: {offset}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n",
        ada.cookie, ada.csrf
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream
}

#[actix_web::test]
async fn a_disk_that_fills_up_in_the_middle_loses_nothing_and_the_upload_continues_once_there_is_room() {
    if !can_mount() {
        return;
    }
    let disk = TempDir::new().unwrap();
    let image = disk.path().join("image");
    make_image(&image, 40);
    let volume = Volume::mount(&image, &disk.path().join("root"));
    let site = WebSite::new(Some(volume.root.join("share")), "");
    let server = site.start();
    let ada = site.ada().await;
    let content = pattern(12 << 20);
    assert_eq!(slug(&ada.try_begin("/open", "huge.bin", 100 << 20).await), refused(507, "no-room"));
    let address = ada.begin("/open", "a.bin", content.len()).await;
    let other = ada.try_begin("/open", "b.bin", 26 << 20).await;
    assert_eq!(slug(&other), refused(507, "no-room"), "announced bytes are reserved");
    assert_eq!(ada.patch(&address, 0, &content[..1 << 20]).await.status, 204);
    // While bytes arrive, so that the system itself reports the full disk.
    let mut stream =
        half(&ada, &address, 1 << 20, content.len() - (1 << 20), &content[1 << 20..2 << 20]).await;
    eventually("the bytes to arrive", async || site.staged() >= 3 << 19).await;
    let filler = volume.fill();
    // The server may respond and close before it has read everything.
    let _sent = stream.write_all(&content[2 << 20..]).await;
    let mut answer = Vec::new();
    let _closed = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 507"), "{answer}\n{}", site.log());
    assert!(answer.contains("no-room"), "{answer}");
    let offset = ada.head(&address).await.offset().unwrap();
    assert!(offset >= 1 << 20 && offset < content.len() as u64, "{offset}");
    let at = usize::try_from(offset).unwrap();
    assert_eq!(slug(&ada.patch(&address, offset, &content[at..at + 1000]).await), refused(507, "no-room"));
    assert_eq!(slug(&ada.try_begin("/open", "c.bin", 1).await), refused(507, "no-room"));
    assert!(!site.share.join("a.bin").exists(), "no partial file is published");
    fs::remove_file(filler).unwrap();
    // The upload even survives a restart.
    server.kill();
    let server = site.start();
    let offset = ada.head(&address).await.offset().unwrap();
    let at = usize::try_from(offset).unwrap();
    let answer = ada.patch(&address, offset, &content[at..]).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(fs::read(site.share.join("a.bin")).unwrap() == content);
    server.kill();
    drop(volume);
}

#[actix_web::test]
async fn a_folder_on_another_disk_is_refused_at_the_start() {
    if !can_mount() {
        return;
    }
    let disk = TempDir::new().unwrap();
    let image = disk.path().join("image");
    make_image(&image, 8);
    let web = TestWeb::spawn_with(writable).await;
    let volume = Volume::mount(&image, &web.share("open").join("other disk"));
    let ada = Uploader::ada(&web).await;
    assert_eq!(slug(&ada.try_begin("/open/other disk", "a.bin", 3).await), refused(409, "other-disk"));
    web.stop().await;
    drop(volume);
}
