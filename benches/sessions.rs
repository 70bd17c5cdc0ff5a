//! The cost of a session check with 100,000 live sessions, while one account changes each second; and the
//! server's cost for the page of a folder with 1,000 files.
//!
//! `cargo bench --bench sessions`

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench fails by panicking")]
#![allow(clippy::indexing_slicing, reason = "indices come from the lengths they index")]

#[path = "support/timing.rs"]
mod timing;

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use actix_web::test::{TestRequest, call_service, init_service, read_body};
use oncelink::clock::{Clock, Timestamp};
use oncelink::config::{Settings, ShareSettings};
use oncelink::files::ShareFolders;
use oncelink::secret::Secret;
use oncelink::web::WebApp;
use oncelink::web::accounts::proof::{LoginProof, PasswordProof};
use oncelink::web::accounts::store::AddOutcome;
use oncelink::web::http::cookies::Cookies;
use oncelink::web::identity::NewAccount;
use oncelink::web::identity::client_info::ClientInfo;
use oncelink::web::identity::passwords::{Asker, Password};
use oncelink::web::services::Services;
use oncelink::web::sessions::{NewSession, SessionLifetimes, Sessions};

use crate::timing::time;

const LIVE: usize = 100_000;
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn main() {
    session_check();
    folder_page();
}

fn session_check() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
    let clock = Clock::manual(NOW);
    let desk = runtime.block_on(Services::open(&settings, clock.clone())).unwrap();
    let ends = SessionLifetimes {
        idle: settings.web.session_idle,
        max: settings.web.session_max,
        remember: settings.web.session_remember,
    };
    let sessions = Sessions::new(desk.db.clone(), desk.accounts.clone(), desk.account_changes.clone(), ends);
    // Only if selected by name, because the setup takes a while.
    let ids = LazyCell::new(|| runtime.block_on(fill(&desk, &sessions)));
    let (next, changed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let began = Instant::now();
    time("session check, 100,000 live", || {
        let ids = &*ids;
        // One account changes each second, as with a logout or a change of password.
        let second = usize::try_from(began.elapsed().as_secs()).unwrap();
        if changed.swap(second, Ordering::Relaxed) < second {
            let (id, name) = (&ids[second % LIVE], "Another Name".parse().unwrap());
            runtime.block_on(async {
                let session = sessions.find(id, NOW).await.unwrap().unwrap();
                desk.self_service.rename(&session.account.id, &name).await.unwrap();
            });
        }
        // Far apart, so that consecutive checks share little.
        let at = next.fetch_add(7_919, Ordering::Relaxed) % LIVE;
        runtime.block_on(sessions.find(&ids[at], NOW)).unwrap().unwrap()
    });
    runtime.block_on(desk.db.close());
}

/// Creates live sessions of 1,000 accounts, all of them in the cache.
async fn fill(desk: &Services, sessions: &Sessions) -> Vec<Secret> {
    let mut transaction = desk.db.begin().await.unwrap();
    for account in 0..1_000 {
        sqlx::query(
            "INSERT INTO accounts (id, email, email_key, name, admin, disabled, password, created_at, activated_at) \
             VALUES ($1, $2, $2, 'Somebody', 0, 0, 'none', 0, 0)",
        )
        .bind(format!("account{account}"))
        .bind(format!("person{account}@example.org"))
        .execute(&mut *transaction)
        .await
        .unwrap();
    }
    let mut ids = Vec::with_capacity(LIVE);
    for n in 0..LIVE {
        let id = Secret::random::<32>().unwrap();
        sqlx::query(
            "INSERT INTO sessions (digest, name, account, created_at, last_seen_at, remembered, address, agent) \
             VALUES ($1, $2, $3, $4, $4, 0, '192.0.2.1', 'a browser')",
        )
        .bind(digest(&id))
        .bind(format!("session{n}"))
        .bind(format!("account{}", n % 1_000))
        .bind(i64::try_from(NOW.secs()).unwrap())
        .execute(&mut *transaction)
        .await
        .unwrap();
        ids.push(id);
    }
    desk.db.commit(transaction).await.unwrap();
    for id in &ids {
        sessions.find(id, NOW).await.unwrap().unwrap();
    }
    ids
}

fn digest(id: &Secret) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(id.digest().as_bytes())
}

fn folder_page() {
    let system = actix_web::rt::System::new();
    let folder = tempfile::tempdir().unwrap();
    let share = folder.path().join("books");
    std::fs::create_dir_all(&share).unwrap();
    for n in 0..1_000 {
        std::fs::write(share.join(format!("a file with a usual name {n:04}.pdf")), "content").unwrap();
    }
    let mut settings = Settings { data_dir: folder.path().join("data"), ..Settings::default() };
    settings.shares = vec![ShareSettings {
        name: "books".to_owned(),
        path: share,
        read: vec!["everyone".to_owned()],
        ..ShareSettings::default()
    }];
    let (app, cookie) = system.block_on(logged_in(&settings));
    let service = system.block_on(init_service({
        let app = app.clone();
        actix_web::App::new().configure(move |cfg| app.configure(cfg))
    }));
    time("/files/books, 1,000 entries", || {
        system.block_on(async {
            let request = TestRequest::get().uri("/files/books").insert_header(("cookie", cookie.clone()));
            let answer = call_service(&service, request.to_request()).await;
            assert_eq!(answer.status(), 200);
            read_body(answer).await
        })
    });
}

async fn logged_in(settings: &Settings) -> (WebApp, String) {
    let clock = Clock::manual(NOW);
    let folders = ShareFolders::open(&settings.shares).unwrap();
    let app = WebApp::open(settings, clock.clone(), folders).await.unwrap();
    let desk = Services::open(settings, clock).await.unwrap();
    let typed = Password::new("a long test password", 15).unwrap();
    let new = NewAccount {
        email: "ada@example.org".parse().unwrap(),
        name: "Ada".parse().unwrap(),
        admin: false,
        groups: BTreeSet::new(),
        password: Some(desk.passwords.hash(Asker::Operator, typed.clone()).await.unwrap()),
    };
    let AddOutcome::New(account) = desk.accounts.add(new, NOW).await.unwrap() else { panic!() };
    let factor = desk.second_factors.not_needed(&account.id).await.unwrap().unwrap();
    let proof = PasswordProof::by_password(Some(account), typed, &desk.passwords, Asker::Operator);
    let proof = LoginProof::new(proof.await.unwrap().unwrap(), &factor).unwrap();
    let ends = SessionLifetimes {
        idle: settings.web.session_idle,
        max: settings.web.session_max,
        remember: settings.web.session_remember,
    };
    let sessions = Sessions::new(desk.db.clone(), desk.accounts.clone(), desk.account_changes.clone(), ends);
    let place = ClientInfo { address: "192.0.2.1".parse().unwrap(), agent: "a browser".to_owned() };
    let new = NewSession { proof: &proof, remembered: false, place: &place };
    let id = sessions.start(&new, NOW).await.unwrap().unwrap();
    let cookie = Cookies::new(&settings.web.public_url).set_session(&id, None);
    (app, format!("{}={}", cookie.name(), cookie.value()))
}
