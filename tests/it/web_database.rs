//! The web app's database: its errors when it can't be used, that both engines behave alike, and the
//! used-token store in it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use oncelink::clock::{Clock, Timestamp};
use oncelink::config::Settings;
use oncelink::used_tokens::UsedTokens;
use oncelink::used_tokens::sql::SqlUsedTokens;
use oncelink::web::accounts::proof::{LoginProof, PasswordProof};
use oncelink::web::accounts::store::AddOutcome;
use oncelink::web::audit::Actor;
use oncelink::web::db::{Database, DatabaseError};
use oncelink::web::identity::NewAccount;
use oncelink::web::identity::client_info::ClientInfo;
use oncelink::web::identity::passwords::{Asker, Password};
use oncelink::web::membership::self_service::ChangeOutcome;
use oncelink::web::services::Services;
use oncelink::web::sessions::{NewSession, SessionLifetimes, Sessions};

use crate::support::postgres::empty_schema;
use crate::support::web::{START, TestWeb};
use crate::used_tokens::Backend;

/// Used tokens in the accounts' SQLite database.
pub(crate) struct Sqlite(tempfile::TempDir);

impl Backend for Sqlite {
    const PERSISTS: bool = true;

    async fn place() -> Option<Sqlite> {
        tempfile::tempdir().ok().map(Sqlite)
    }

    async fn open(&self, clock: &Clock, issued: Timestamp) -> Arc<dyn UsedTokens> {
        let settings = Settings { data_dir: self.0.path().to_owned(), ..Settings::default() };
        let db = Database::open(&settings).await.unwrap();
        let (reader, writer) = (db.reader().clone(), db.writer().clone());
        Arc::new(SqlUsedTokens::open(reader, writer, clock, Some(issued)).await.unwrap())
    }
}

fn settings(folder: &tempfile::TempDir) -> Settings {
    Settings { data_dir: folder.path().to_owned(), ..Settings::default() }
}

fn file(settings: &Settings) -> PathBuf {
    settings.data_dir.join("web").join("oncelink.sqlite")
}

#[actix_web::test]
async fn only_its_owner_may_read_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let outside = Services::open(&settings, Clock::manual(START)).await.unwrap();
    let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(settings.data_dir.join("web")), 0o700);
    assert_eq!(mode(file(&settings)), 0o600);
    assert_eq!(mode(file(&settings).with_extension("sqlite-wal")), 0o600);
    outside.db.close().await;
}

#[actix_web::test]
async fn the_settings_that_keep_a_commit_are_on() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(&settings(&folder)).await.unwrap();
    for pool in [db.reader(), db.writer()] {
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await.unwrap();
        assert_eq!(mode, "wal");
        for (pragma, expected) in
            [("PRAGMA synchronous", 2), ("PRAGMA foreign_keys", 1), ("PRAGMA busy_timeout", 5_000)]
        {
            let value: i64 = sqlx::query_scalar(pragma).fetch_one(pool).await.unwrap();
            assert_eq!(value, expected, "{pragma}");
        }
    }
}

#[actix_web::test]
async fn a_damaged_database_is_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    Services::open(&settings, Clock::manual(START)).await.unwrap().db.close().await;
    let sound = std::fs::read(file(&settings)).unwrap();

    let mut torn = sound.clone();
    torn[4_096..].fill(0x5a);
    for damaged in [torn, b"this is no database, but some text of someone".repeat(200)] {
        std::fs::write(file(&settings), damaged).unwrap();
        let error = Database::open(&settings).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Damaged { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains(file(&settings).to_str().unwrap()) && said.contains("backup"), "{said}");
    }
}

#[actix_web::test]
async fn a_database_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&folder);
    std::fs::write(settings.data_dir.join("web"), "in the way").unwrap();
    let error = Database::open(&settings).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Create { .. }), "{error:?}");

    settings.web.database = "postgres://user:hunter2@127.0.0.1:1/none".into();
    let error = Database::open(&settings).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Connect(_)), "{error:?}");
    assert!(!format!("{error:?}{error}").contains("hunter2"));

    settings.web.database = "mysql://127.0.0.1".into();
    assert!(matches!(Database::open(&settings).await, Err(DatabaseError::Address)));
}

#[actix_web::test]
async fn a_database_of_a_newer_release_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let db = Database::open(&settings).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (999, 'later', 1, x'00', 0)",
    )
    .execute(db.writer())
    .await
    .unwrap();
    db.close().await;
    assert!(matches!(Database::open(&settings).await, Err(DatabaseError::Newer(999))));
}

#[actix_web::test]
async fn accounts_behave_alike_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    accounts_behave(&settings(&folder)).await;
}

#[actix_web::test]
async fn accounts_behave_alike_in_postgresql() {
    let folder = tempfile::tempdir().unwrap();
    let Some(address) = empty_schema().await else { return };
    let mut settings = settings(&folder);
    settings.web.database = address.into();
    accounts_behave(&settings).await;
}

fn new(email: &str, admin: bool) -> NewAccount {
    NewAccount {
        email: email.parse().unwrap(),
        name: "Ada 我".parse().unwrap(),
        admin,
        groups: ["staff", "readers"].iter().map(|group| group.parse().unwrap()).collect(),
        password: None,
    }
}

async fn accounts_behave(settings: &Settings) {
    let clock = Clock::manual(START);
    let desk = Services::open(settings, clock.clone()).await.unwrap();
    let other = Services::open(settings, clock.clone()).await.unwrap();
    let (accounts, now) = (&desk.accounts, clock.now());
    assert!(!accounts.has_administrator().await.unwrap());
    let AddOutcome::New(ada) = accounts.add(new("Ada@Example.org", false), now).await.unwrap() else {
        panic!()
    };
    assert!(matches!(accounts.add(new("ada@EXAMPLE.org", true), now).await.unwrap(), AddOutcome::EmailTaken));
    let read = other.accounts.by_email(&"aDa@example.org".parse().unwrap()).await.unwrap();
    assert_eq!(read.as_ref(), Some(&ada), "it reads what was added");
    assert_eq!(other.accounts.by_id(&ada.id).await.unwrap(), read);

    // Of many concurrent first administrators, only one is created.
    let firsts = (0..8).map(|n| {
        let accounts = if n % 2 == 0 { desk.accounts.clone() } else { other.accounts.clone() };
        async move {
            accounts
                .add_first_administrator(
                    new(&format!("admin{n}@example.org"), false),
                    [192, 0, 2, 1].into(),
                    START,
                )
                .await
                .unwrap()
        }
    });
    let firsts = futures_util::future::join_all(firsts).await;
    assert_eq!(firsts.iter().filter(|added| matches!(added, AddOutcome::New(_))).count(), 1);
    assert!(other.accounts.has_administrator().await.unwrap());
    let listed = accounts.list().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&ada));

    // Only a session that knows the current password can change it, and that ends all sessions.
    let hashed = async |text: &str| {
        let password = Password::new(text, 15).unwrap();
        (desk.passwords.hash(Asker::Operator, password.clone()).await.unwrap(), password)
    };
    let ((one, first), (two, second)) =
        (hashed("the first long password").await, hashed("the second long password").await);
    assert!(accounts.set_password(&ada, &one, START).await.unwrap());
    assert!(!accounts.set_password(&ada, &two, START).await.unwrap(), "the password has changed since");
    let ends = SessionLifetimes {
        idle: settings.web.session_idle,
        max: settings.web.session_max,
        remember: settings.web.session_remember,
    };
    let sessions = |desk: &Services| {
        Sessions::new(desk.db.clone(), desk.accounts.clone(), desk.account_changes.clone(), ends)
    };
    let (here, there) = (sessions(&desk), sessions(&other));
    let proof = async |password: &Password| {
        let account = accounts.by_id(&ada.id).await.unwrap();
        let password = password.clone();
        let proof = PasswordProof::by_password(account, password, &desk.passwords, Asker::Operator).await;
        let factor = desk.second_factors.not_needed(&ada.id).await.unwrap().unwrap();
        proof.unwrap().and_then(|proof| LoginProof::new(proof, &factor))
    };
    assert!(proof(&second).await.is_none(), "another password proves nothing");
    let place = ClientInfo { address: "192.0.2.1".parse().unwrap(), agent: "a browser".to_owned() };
    let with_first = proof(&first).await.unwrap();
    let start = async |sessions: &Sessions, proof: &LoginProof| {
        sessions.start(&NewSession { proof, remembered: false, place: &place }, now).await.unwrap()
    };
    let id = start(&here, &with_first).await.unwrap();
    for sessions in [&here, &there] {
        let session = sessions.find(&id, now).await.unwrap().unwrap();
        assert_eq!((&session.account.id, session.account.groups.len()), (&ada.id, 2));
    }
    let seen = accounts.by_id(&ada.id).await.unwrap().unwrap();
    assert_eq!(seen.last_login_at, Some(now));
    assert!(accounts.set_password(&seen, &two, START).await.unwrap());
    assert!(here.find(&id, now).await.unwrap().is_none(), "at once in the process that ended it");
    assert!(there.find(&id, now.plus(std::time::Duration::from_secs(1))).await.unwrap().is_none());
    assert!(start(&here, &with_first).await.is_none(), "the password has changed since the proof");

    let with_second = proof(&second).await.unwrap();
    let id = start(&there, &with_second).await.unwrap();
    assert!(there.find(&id, now).await.unwrap().is_some());
    let operator = Actor::operator();
    let disabled = desk.account_admin.set_disabled(&ada, true, &operator, now).await.unwrap();
    assert_eq!(disabled, ChangeOutcome::Done);
    assert!(there.find(&id, now.plus(std::time::Duration::from_secs(2))).await.unwrap().is_none());
    assert!(start(&there, &with_second).await.is_none(), "a disabled account can't start a session");
    assert_eq!(here.prune(now).await.unwrap(), 0, "its sessions are gone already");
    desk.db.ready().await.unwrap();
    desk.db.close().await;
    other.db.close().await;
}

#[actix_web::test]
async fn pages_say_unavailable_and_no_more_when_the_database_is_gone() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut browser = web.logged_in("ada@example.org").await;
    assert_eq!(browser.get("/readyz").await.status, 200);
    web.app.close().await;
    for path in ["/readyz", "/files/", "/account"] {
        web.pass(1);
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(!answer.header("retry-after").is_empty());
        for word in ["sqlite", "SELECT", "pool", "closed"] {
            assert!(!answer.body.contains(word), "{path} says {word}");
        }
    }
    assert_eq!(browser.get("/healthz").await.status, 200, "the process is running");
    web.stop().await;
}
