//! Uploads through real proxies: clients that ask first (`Expect: 100-continue`), bodies without a length,
//! and bodies over a proxy's size limit.

use std::fs;

use tempfile::TempDir;

use crate::needs::has_program;
use crate::support::pattern;
use crate::support::programs::{Ended, run};
use crate::support::proxies::{Front, Kind};
use crate::support::tus::{Uploader, metadata, writable};
use crate::support::web::TestWeb;

const MIB: usize = 1024 * 1024;
/// nginx's default limit on bodies.
const LIMIT: usize = MIB;

/// Ada, who reaches the app through a proxy.
async fn behind(kind: Kind) -> Option<(TestWeb, Front, Uploader)> {
    let address = Front::free();
    let web = TestWeb::spawn_with(|settings| {
        writable(settings);
        settings.web.public_url = format!("http://{address}");
        settings.web.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let front = Front::start_at(kind, address, web.base.strip_prefix("http://").unwrap().parse().unwrap())?;
    let ada = Uploader { base: front.base(), ..Uploader::ada(&web).await };
    Some((web, front, ada))
}

/// curl with the headers that every upload request needs.
async fn curl(home: &TempDir, ada: &Uploader, path: &str, more: &[&str]) -> Ended {
    let (cookie, token) = (format!("Cookie: {}", ada.cookie), format!("X-CSRF-Token: {}", ada.csrf));
    let url = format!("{}{path}", ada.base);
    let common = ["-sS", "-v", "-H", &cookie, "-H", &token, "-H", "Tus-Resumable: 1.0.0", &url];
    run(home.path(), "curl", &[&common, more].concat()).await
}

/// Sends the bytes from `offset` on, once the proxy has asked for them.
async fn patch_when_asked(home: &TempDir, ada: &Uploader, path: &str, offset: usize, body: &[u8]) -> Ended {
    fs::write(home.path().join("piece"), body).unwrap();
    let offset = format!("Upload-Offset: {offset}");
    let kind = "Content-Type: application/offset+octet-stream";
    let arguments = ["-X", "PATCH", "-T", "piece", "-H", "Expect: 100-continue", "-H", kind, "-H", &offset];
    curl(home, ada, path, &arguments).await
}

fn status(ended: &Ended) -> Vec<u16> {
    let lines = ended.said.lines().filter_map(|line| line.strip_prefix("< HTTP/1.1 "));
    lines.map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect()
}

#[actix_web::test]
async fn a_client_that_asks_before_sending_is_told_to_continue_behind_every_proxy() {
    if !has_program("curl") {
        return;
    }
    let content = pattern(3 * MIB);
    for kind in Kind::ALL {
        let Some((web, front, ada)) = behind(kind).await else { continue };
        let home = TempDir::new().unwrap();
        let path = ada.begin("/open", "a.bin", content.len()).await;
        let pieces: Vec<&[u8]> = match kind {
            Kind::NginxDefaults => content.chunks(LIMIT / 2).collect(),
            _ => vec![&content],
        };
        let mut offset = 0;
        for piece in pieces {
            let done = patch_when_asked(&home, &ada, &path, offset, piece).await;
            // Some proxies send it twice: once for themselves, once for the app.
            let (last, before) =
                status(&done).split_last().map(|(last, before)| (*last, before.to_vec())).unwrap();
            assert!(
                last == 204 && !before.is_empty() && before.iter().all(|one| *one == 100),
                "{kind:?}: {}",
                done.said
            );
            offset += piece.len();
        }
        assert!(fs::read(web.share("open").join("a.bin")).unwrap() == content, "{kind:?}");
        drop(front);
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_piece_that_a_proxy_refuses_as_too_large_costs_nothing_and_smaller_ones_arrive() {
    if !has_program("curl") {
        return;
    }
    let Some((web, front, ada)) = behind(Kind::NginxDefaults).await else { return };
    let (home, content) = (TempDir::new().unwrap(), pattern(2 * MIB + 1));
    let path = ada.begin("/open", "a.bin", content.len()).await;
    for tries in 1..=2 {
        let refused = patch_when_asked(&home, &ada, &path, 0, &content).await;
        assert_eq!(status(&refused), [413], "{tries}: {}", refused.said);
        // This answer comes from nginx, not from the app.
        assert!(!refused.said.contains("problem+json"), "{}", refused.said);
        assert_eq!(ada.head(&path).await.offset(), Some(0));
    }
    let mut offset = 0;
    for piece in content.chunks(LIMIT) {
        assert_eq!(ada.patch(&path, offset as u64, piece).await.status, 204);
        offset += piece.len();
    }
    assert!(fs::read(web.share("open").join("a.bin")).unwrap() == content);
    drop(front);
    web.stop().await;
}

#[actix_web::test]
async fn an_upload_may_begin_with_an_empty_body_without_a_length_behind_every_proxy() {
    if !has_program("curl") {
        return;
    }
    for kind in Kind::ALL {
        let Some((web, front, ada)) = behind(kind).await else { continue };
        let home = TempDir::new().unwrap();
        let metadata =
            format!("Upload-Metadata: {}", metadata(&[("folder", "/open"), ("filename", "a.bin")]));
        let arguments = ["-X", "POST", "-H", "Upload-Length: 5", "-H", &metadata];
        let begun = curl(&home, &ada, "/uploads", &arguments).await;
        assert!(!begun.said.to_lowercase().contains("> content-length"), "{}", begun.said);
        assert_eq!(status(&begun), [201], "{kind:?}: {}", begun.said);
        let location = begun.said.lines().find_map(|line| {
            let (name, value) = line.strip_prefix("< ")?.split_once(": ")?;
            name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
        });
        assert_eq!(ada.patch(&location.unwrap(), 0, b"hello").await.status, 204, "{kind:?}");
        assert_eq!(fs::read(web.share("open").join("a.bin")).unwrap(), b"hello", "{kind:?}");
        drop(front);
        web.stop().await;
    }
}
