//! The source of the key ring: it is queried rarely, keeps its last good keys, and accepts none from another
//! host.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncelink::clock::Timestamp;
use oncelink::download::key_source::{KeySource, KeySourceError};
use oncelink::token::{HmacSecret, KeyRing, PublicKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn at(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

/// A key set with one key of this id.
fn jwks(kid: &str) -> String {
    let point = crate::token_vectors::keys::ed_public().try_into().unwrap();
    KeyRing::default().with_key(kid, PublicKey::ed25519(point).unwrap()).unwrap().to_jwks()
}

fn kids(source: &KeySource) -> Vec<String> {
    source.current().kids().map(str::to_owned).collect()
}

/// A web app that answers every request with the same bytes and counts the requests.
struct WebApp {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<Vec<u8>>>,
    task: tokio::task::JoinHandle<()>,
}

impl WebApp {
    async fn start() -> WebApp {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, answer) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<u8>>>::default());
        let (count, bytes) = (Arc::clone(&asked), Arc::clone(&answer));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let bytes = bytes.lock().unwrap().clone();
                let _ = stream.write_all(&bytes).await;
            }
        });
        WebApp { address, asked, answer, task }
    }

    fn url(&self) -> String {
        format!("http://{}/.well-known/jwks.json", self.address)
    }

    fn answers(&self, head: &str, body: &str) {
        let text =
            format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        *self.answer.lock().unwrap() = text.into_bytes();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for WebApp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn an_unknown_kid_queries_the_source_at_most_once_in_ten_seconds() {
    let app = WebApp::start().await;
    app.answers("200 OK", &jwks("one"));
    let source = KeySource::new(&app.url(), None, Vec::new()).unwrap();
    assert!(!source.is_ready());
    source.load(NOW).await.unwrap();
    assert!(source.is_ready());
    assert_eq!((kids(&source), app.asked()), (vec!["one".to_owned()], 1));

    // Right after the start an unknown kid causes one more request, and then none.
    let seen = source.current();
    for second in 0..10 {
        assert!(source.newer_than(&seen, at(second)).await.is_none(), "second {second}");
    }
    assert_eq!(app.asked(), 2);
    app.answers("200 OK", &jwks("two"));
    assert!(source.newer_than(&seen, at(9)).await.is_none());
    let newer = source.newer_than(&seen, at(10)).await.unwrap();
    assert_eq!(newer.kids().collect::<Vec<_>>(), ["two"]);
    assert_eq!(app.asked(), 3);
    // A caller with the old ring gets the new one without another request.
    assert!(source.newer_than(&seen, at(10)).await.is_some());
    assert!(source.newer_than(&newer, at(19)).await.is_none());
    assert_eq!(app.asked(), 3);
}

#[tokio::test]
async fn many_requests_with_an_unknown_kid_at_once_share_one_query() {
    let app = WebApp::start().await;
    app.answers("200 OK", &jwks("one"));
    let source = Arc::new(KeySource::new(&app.url(), None, Vec::new()).unwrap());
    source.load(NOW).await.unwrap();
    app.answers("200 OK", &jwks("two"));
    let seen = source.current();
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (source, seen) = (Arc::clone(&source), Arc::clone(&seen));
            tokio::spawn(async move { source.newer_than(&seen, at(10)).await.is_some() })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap(), "every caller gets the new ring");
    }
    assert_eq!(app.asked(), 2);
}

#[tokio::test]
async fn a_failure_counts_against_the_limit_and_the_good_ring_stays() {
    let app = WebApp::start().await;
    app.answers("200 OK", &jwks("one"));
    let source = KeySource::new(&app.url(), None, Vec::new()).unwrap();
    source.load(NOW).await.unwrap();
    let seen = source.current();
    let private = jwks("two").replace("\"kty\"", "\"d\":\"AAAA\",\"kty\"");
    let long = format!("{}{}", jwks("two"), " ".repeat(64 * 1024));
    let answers = [
        ("500 Internal Server Error", jwks("two")),
        ("404 Not Found", jwks("two")),
        ("204 No Content", String::new()),
        ("200 OK", String::new()),
        ("200 OK", r#"{"keys":[]}"#.to_owned()),
        ("200 OK", private),
        ("200 OK", long),
    ];
    for (round, (head, body)) in (1..).zip(&answers) {
        app.answers(head, body);
        assert!(source.newer_than(&seen, at(round * 10)).await.is_none(), "{head}: {body}");
        assert!(source.newer_than(&seen, at(round * 10 + 9)).await.is_none());
        assert_eq!(app.asked() as u64, 1 + round);
        assert_eq!(kids(&source), ["one"]);
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let app = WebApp::start().await;
    *app.answer.lock().unwrap() =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", " ".repeat(1 << 20)).into_bytes();
    let source = KeySource::new(&app.url(), None, Vec::new()).unwrap();
    assert!(matches!(source.load(NOW).await, Err(KeySourceError::TooLong)));
}

#[tokio::test]
async fn a_redirect_is_followed_on_the_same_host_only() {
    let (app, stranger) = (WebApp::start().await, WebApp::start().await);
    stranger.answers("200 OK", &jwks("evil"));
    app.answers(&format!("302 Found\r\nlocation: {}", stranger.url()), "");
    let source = KeySource::new(&app.url(), None, Vec::new()).unwrap();
    assert!(matches!(source.load(NOW).await, Err(KeySourceError::Status(302))));
    assert_eq!((stranger.asked(), source.is_ready()), (0, false));

    app.answers("302 Found\r\nlocation: /elsewhere", "");
    assert!(matches!(source.load(NOW).await, Err(KeySourceError::Status(302))));
    assert!((3..=6).contains(&app.asked()), "a redirect loop ends, here after {} requests", app.asked());
}

#[tokio::test]
async fn the_last_good_ring_outlives_a_restart_while_the_web_app_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("download/jwks.json");
    let app = WebApp::start().await;
    app.answers("200 OK", &jwks("one"));
    let source = KeySource::new(&app.url(), Some(kept.clone()), Vec::new()).unwrap();
    source.load(NOW).await.unwrap();
    assert_eq!(fs::read_to_string(&kept).unwrap(), jwks("one"));

    app.answers("503 Service Unavailable", "");
    let restarted = KeySource::new(&app.url(), Some(kept.clone()), Vec::new()).unwrap();
    assert!(restarted.load(at(1)).await.is_err(), "the failure is returned");
    assert_eq!(kids(&restarted), ["one"]);

    fs::write(&kept, "{").unwrap();
    let damaged = KeySource::new(&app.url(), Some(kept), Vec::new()).unwrap();
    assert!(damaged.load(at(2)).await.is_err());
    assert!(!damaged.is_ready());
    app.answers("200 OK", &jwks("two"));
    damaged.refresh_if_due(at(11)).await;
    assert_eq!(app.asked(), 3, "without keys the source is queried every ten seconds");
    damaged.refresh_if_due(at(12)).await;
    assert_eq!(kids(&damaged), ["two"]);
}

#[tokio::test]
async fn the_ring_is_refreshed_every_twenty_seconds() {
    let app = WebApp::start().await;
    app.answers("200 OK", &jwks("one"));
    let source = KeySource::new(&app.url(), None, Vec::new()).unwrap();
    source.load(NOW).await.unwrap();
    let seen = source.current();
    source.refresh_if_due(at(19)).await;
    assert_eq!(app.asked(), 1);
    source.refresh_if_due(at(20)).await;
    assert_eq!(app.asked(), 2);
    assert!(Arc::ptr_eq(&seen, &source.current()), "the same keys keep the same ring");
}

#[tokio::test]
async fn a_file_is_read_again_and_kept_when_it_breaks() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let source = KeySource::new(file.to_str().unwrap(), None, Vec::new()).unwrap();
    assert!(matches!(source.load(NOW).await, Err(KeySourceError::File { .. })));
    fs::write(&file, jwks("one")).unwrap();
    let seen = source.current();
    assert!(source.newer_than(&seen, at(0)).await.is_some());
    fs::write(&file, "").unwrap();
    assert!(source.newer_than(&source.current(), at(10)).await.is_none());
    assert_eq!(kids(&source), ["one"]);
}

#[tokio::test]
async fn in_one_process_a_rotation_is_seen_at_once_and_secrets_stay_in_every_ring() {
    let text = Arc::new(Mutex::new(jwks("one")));
    let shown = Arc::clone(&text);
    let secret = HmacSecret::new("node-1", &[7; 32]).unwrap();
    let source =
        KeySource::in_process(Box::new(move || shown.lock().unwrap().clone()), vec![secret.clone()]).unwrap();
    source.load(NOW).await.unwrap();
    let seen = source.current();
    assert!(source.newer_than(&seen, NOW).await.is_none());
    *text.lock().unwrap() = jwks("two");
    assert!(source.newer_than(&seen, NOW).await.is_some());
    assert_eq!(kids(&source), ["two", "node-1"]);
    // A published key can't be used as a secret.
    *text.lock().unwrap() = jwks("node-1");
    assert!(source.newer_than(&source.current(), NOW).await.is_none());
    assert_eq!(kids(&source), ["two", "node-1"]);
    assert!(KeySource::new("/nowhere", None, vec![secret.clone(), secret]).is_err());
}

#[test]
fn invalid_addresses_are_refused() {
    for address in ["ftp://a/b", "http://", "://", "file:///etc/passwd", "https//x://"] {
        assert!(KeySource::new(address, None, Vec::new()).is_err(), "{address}");
    }
}
