//! The cost of checking an API key with 10,000 keys in use, while one account changes each second; the server's cost for a
//! list of 1,000 links; and how many tokens are issued per second, each with its row on disk.
//!
//! `cargo bench --bench api_keys`

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench fails by panicking")]
#![allow(clippy::indexing_slicing, reason = "indices come from the lengths they index")]

#[path = "support/timing.rs"]
mod timing;

use std::cell::LazyCell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use actix_web::http::Method;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use futures_util::StreamExt;
use oncelink::clock::{Clock, Timestamp};
use oncelink::config::{Settings, ShareSettings};
use oncelink::files::ShareFolders;
use oncelink::web::WebApp;
use oncelink::web::api_keys::{KeyCheck, KeyForm, MakeKeyOutcome, PresentedKey};
use oncelink::web::audit::Actor;
use oncelink::web::identity::AccountId;
use oncelink::web::services::Services;

use crate::timing::{time, time_batches};

const KEYS: usize = 10_000;
const LINKS: usize = 1_000;
const AT_ONCE: usize = 256;
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn main() {
    key_check();
    requests();
}

fn key_check() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
    let desk = runtime.block_on(Services::open(&settings, Clock::manual(NOW))).unwrap();
    // Only if selected by name, because the setup takes a while.
    let keys = LazyCell::new(|| runtime.block_on(fill(&desk)));
    let (next, changed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let began = Instant::now();
    time("key check, 10,000 keys", || {
        let keys = &*keys;
        // One account changes each second, and all of its keys are read again.
        let second = usize::try_from(began.elapsed().as_secs()).unwrap();
        if changed.swap(second, Ordering::Relaxed) < second {
            let account = AccountId::from_store(&format!("account{}", second % (KEYS / 10)));
            let name = "Another Name".parse().unwrap();
            runtime.block_on(desk.self_service.rename(&account, &name)).unwrap();
        }
        // Far apart, so that consecutive checks share little.
        let at = next.fetch_add(7_919, Ordering::Relaxed) % KEYS;
        let presented = PresentedKey::parse(&keys[at]).unwrap();
        runtime.block_on(async {
            match desk.api_keys.find(&presented, HERE, NOW).await.unwrap() {
                Some(KeyCheck::Valid(key)) => key,
                None => match desk.api_keys.look_up(&presented, HERE, NOW).await.unwrap() {
                    KeyCheck::Valid(key) => key,
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        })
    });
    runtime.block_on(desk.db.close());
}

/// Makes ten keys of each of 1,000 accounts.
async fn fill(desk: &Services) -> Vec<String> {
    let mut keys = Vec::with_capacity(KEYS);
    for account in 0..KEYS / 10 {
        let id = format!("account{account}");
        add_account(desk, &id).await;
        for _ in 0..10 {
            keys.push(make_key(desk, &id, "links").await);
        }
    }
    // All of them are in use: each was read once.
    for key in &keys {
        desk.api_keys.look_up(&PresentedKey::parse(key).unwrap(), HERE, NOW).await.unwrap();
    }
    keys
}

async fn add_account(desk: &Services, id: &str) {
    sqlx::query(
        "INSERT INTO accounts (id, email, email_key, name, admin, disabled, password, created_at, activated_at) \
         VALUES ($1, $2, $2, 'Somebody', 0, 0, 'none', 0, 0)",
    )
    .bind(id)
    .bind(format!("{id}@example.org"))
    .execute(desk.db.writer())
    .await
    .unwrap();
}

async fn make_key(desk: &Services, account: &str, scopes: &str) -> String {
    let account = desk.accounts.by_id(&AccountId::from_store(account)).await.unwrap().unwrap();
    let form = KeyForm { name: "Bench".to_owned(), scopes: scopes.parse().unwrap(), ..KeyForm::default() };
    let terms = form.check(&Default::default(), false, NOW).unwrap();
    match desk.api_keys.make(&account, &terms, &Actor::operator(), NOW).await.unwrap() {
        MakeKeyOutcome::Made(_, key) => key.reveal().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn requests() {
    let system = actix_web::rt::System::new();
    let folder = tempfile::tempdir().unwrap();
    let share = folder.path().join("books");
    std::fs::create_dir_all(&share).unwrap();
    std::fs::write(share.join("report.pdf"), "content").unwrap();
    let mut settings = Settings { data_dir: folder.path().join("data"), ..Settings::default() };
    settings.api.requests = 0;
    settings.shares = vec![ShareSettings {
        name: "books".to_owned(),
        path: share,
        read: vec!["everyone".to_owned()],
        ..ShareSettings::default()
    }];
    let (app, key) = system.block_on(async {
        let clock = Clock::manual(NOW);
        let folders = ShareFolders::open(&settings.shares).unwrap();
        let app = WebApp::open(&settings, clock.clone(), folders).await.unwrap();
        let desk = Services::open(&settings, clock).await.unwrap();
        add_account(&desk, "ada").await;
        let key = make_key(&desk, "ada", "links tokens").await;
        fill_links(&desk).await;
        (app, format!("Bearer {key}"))
    });
    let service = system.block_on(init_service({
        let app = app.clone();
        actix_web::App::new().configure(move |cfg| app.configure(cfg))
    }));
    time("GET /api/v1/links, 1,000 links", || {
        system.block_on(async {
            let request = TestRequest::get().uri("/api/v1/links?limit=1000");
            let request = request.insert_header(("authorization", key.clone()));
            let answer = call_service(&service, request.to_request()).await;
            assert_eq!(answer.status(), 200);
            let body = read_body(answer).await;
            assert!(body.len() > LINKS * 100);
            body
        })
    });
    time_batches("POST /api/v1/tokens, 256 at once, per token", |count| {
        let began = Instant::now();
        system.block_on(async {
            let issue = |_| async {
                let request = TestRequest::default().method(Method::POST).uri("/api/v1/tokens");
                let request = request.insert_header(("authorization", key.clone()));
                let request = request.insert_header(("content-type", "application/json"));
                let request = request.set_payload(r#"{"file":"/books/report.pdf"}"#);
                let answer = call_service(&service, request.to_request()).await;
                assert_eq!(answer.status(), 201);
            };
            futures_util::stream::iter(0..count)
                .map(issue)
                .buffer_unordered(AT_ONCE)
                .collect::<Vec<_>>()
                .await
        });
        began.elapsed()
    });
}

/// Makes links of Ada, each for anyone who has it.
async fn fill_links(desk: &Services) {
    let mut transaction = desk.db.begin().await.unwrap();
    for n in 0..LINKS {
        for statement in [
            "INSERT INTO links (id, account, title, note, uses, mailed_code, notify, paused, created_at, mails_wait, \
             delete_files, hidden_files, viewable) VALUES ($1, 'ada', 'A usual title', '', 1, 0, 'never', 0, 0, 0, 0, 0, 0)",
            "INSERT INTO link_files (link, position, path) VALUES ($1, 0, '/books/report.pdf')",
            "INSERT INTO recipients (id, link, code_digest, taken, looks, position) VALUES ($1, $1, $1, 0, 0, 0)",
        ] {
            sqlx::query(statement).bind(format!("link{n:018}")).execute(&mut *transaction).await.unwrap();
        }
    }
    desk.db.commit(transaction).await.unwrap();
}
