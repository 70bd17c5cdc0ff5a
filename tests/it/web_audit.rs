//! The audit log: its content, and that changed or missing lines are found.

use std::sync::{Arc, Mutex};

use oncelink::clock::Clock;
use oncelink::config::Settings;
use oncelink::telemetry;
use oncelink::web::audit::chain::{self, ChainVerdict};
use oncelink::web::audit::{self, Actor, AuditEvent};
use oncelink::web::services::Services;

use crate::support::postgres::empty_schema;
use crate::support::web::{PASSWORD, START, TestWeb};

async fn fill(desk: &Services) {
    for n in 0..5 {
        let mut transaction = desk.db.begin().await.unwrap();
        let actor = Actor::stranger("192.0.2.1".parse().unwrap());
        let subject = format!("person{n}@example.org");
        audit::append(&mut transaction, &actor, AuditEvent::SignedUp, &subject, START).await.unwrap();
        desk.db.commit(transaction).await.unwrap();
    }
}

/// Changes that are possible with write access to the database, and the verdict of the check on each.
fn tampering() -> Vec<(&'static str, ChainVerdict)> {
    vec![
        ("UPDATE audit SET at = at + 1 WHERE number = 3", ChainVerdict::Altered(3)),
        ("UPDATE audit SET actor = 'x' WHERE number = 1", ChainVerdict::Altered(1)),
        ("UPDATE audit SET who = 'x' WHERE number = 2", ChainVerdict::Altered(2)),
        ("UPDATE audit SET action = 'x' WHERE number = 5", ChainVerdict::Altered(5)),
        ("UPDATE audit SET subject = 'x' WHERE number = 4", ChainVerdict::Altered(4)),
        ("UPDATE audit SET address = '' WHERE number = 4", ChainVerdict::Altered(4)),
        ("UPDATE audit SET digest = 'x' WHERE number = 2", ChainVerdict::Altered(2)),
        ("DELETE FROM audit WHERE number = 1", ChainVerdict::Missing(1)),
        ("DELETE FROM audit WHERE number = 3", ChainVerdict::Missing(3)),
        ("DELETE FROM audit WHERE number = 5", ChainVerdict::Missing(5)),
        ("DELETE FROM audit", ChainVerdict::Missing(1)),
        ("UPDATE audit SET number = number + 10", ChainVerdict::Missing(1)),
        ("UPDATE audit SET number = -1 WHERE number = 5", ChainVerdict::Altered(-1)),
        (
            "INSERT INTO audit (number, at, actor, who, action, subject, address, digest) \
             VALUES (6, 1, '', '', '', '', '', '')",
            ChainVerdict::Altered(6),
        ),
        (
            "UPDATE audit SET number = 9 WHERE number = 2; UPDATE audit SET number = 2 WHERE number = 3; \
             UPDATE audit SET number = 3 WHERE number = 9",
            ChainVerdict::Altered(2),
        ),
        // As after adding a line with a matching digest beyond the counter.
        ("UPDATE generations SET number = 4 WHERE name = 'audit'", ChainVerdict::Altered(5)),
        ("DELETE FROM generations WHERE name = 'audit'", ChainVerdict::Altered(1)),
    ]
}

/// SQLite accepts any value for any column.
const STRANGE_VALUES: [(&str, ChainVerdict); 3] = [
    ("UPDATE audit SET at = 'noon' WHERE number = 3", ChainVerdict::Altered(3)),
    ("UPDATE audit SET who = x'ff00' WHERE number = 2", ChainVerdict::Altered(2)),
    ("UPDATE audit SET number = 'five' WHERE number = 5", ChainVerdict::Altered(5)),
];

async fn execute(desk: &Services, statements: &str) {
    for statement in statements.split("; ") {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(desk.db.writer()).await.unwrap();
    }
}

async fn check(settings: &Settings, more: &[(&'static str, ChainVerdict)]) {
    let desk = Services::open(settings, Clock::manual(START)).await.unwrap();
    fill(&desk).await;
    let ChainVerdict::Whole { lines: 5, digest } =
        chain::verify::<audit::AuditLine>(&desk.db, None).await.unwrap()
    else {
        panic!()
    };
    assert!(chain::ended_with::<audit::AuditLine>(&desk.db, None, &format!("5:{digest}")).await.unwrap());
    execute(&desk, "CREATE TABLE kept AS SELECT * FROM audit").await;
    for (statements, expected) in tampering().iter().chain(more) {
        execute(&desk, statements).await;
        assert_eq!(
            &chain::verify::<audit::AuditLine>(&desk.db, None).await.unwrap(),
            expected,
            "{statements}"
        );
        execute(&desk, "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept").await;
        execute(&desk, "DELETE FROM generations WHERE name = 'audit'").await;
        execute(&desk, "INSERT INTO generations (name, number) VALUES ('audit', 5)").await;
    }
    assert!(matches!(
        chain::verify::<audit::AuditLine>(&desk.db, None).await.unwrap(),
        ChainVerdict::Whole { lines: 5, .. }
    ));
    // Someone who can write all of it can replace all of it; a digest that was kept elsewhere shows that.
    execute(&desk, "DELETE FROM audit; UPDATE generations SET number = 0 WHERE name = 'audit'").await;
    for (expected, holds) in [("0:", true), ("1:", false), ("99:", false), ("-1:", false)] {
        assert_eq!(
            chain::ended_with::<audit::AuditLine>(&desk.db, None, expected).await.unwrap(),
            holds,
            "{expected}"
        );
    }
    fill(&desk).await;
    let mut transaction = desk.db.begin().await.unwrap();
    audit::append(&mut transaction, &Actor::operator(), AuditEvent::Disabled, "x", START).await.unwrap();
    desk.db.commit(transaction).await.unwrap();
    assert!(
        chain::ended_with::<audit::AuditLine>(&desk.db, None, &format!("5:{digest}")).await.unwrap(),
        "the same lines, and one more"
    );
    assert!(!chain::ended_with::<audit::AuditLine>(&desk.db, None, &format!("6:{digest}")).await.unwrap());
    assert!(!chain::ended_with::<audit::AuditLine>(&desk.db, None, "nonsense").await.unwrap());
    desk.db.close().await;
}

#[actix_web::test]
async fn lines_are_found_by_the_words_on_the_page_in_any_script() {
    let web = TestWeb::spawn().await;
    let mut transaction = web.outside.db.begin().await.unwrap();
    let actor = Actor::operator();
    audit::append(&mut transaction, &actor, AuditEvent::RightsChanged, "Группа Élan", START).await.unwrap();
    web.outside.db.commit(transaction).await.unwrap();
    for (words, found) in [
        ("rights changed", 1),
        ("rights-changed", 1),
        ("Группа", 1),
        ("Élan", 1),
        ("OPERATOR", 1),
        ("rights%", 0),
        ("_", 0),
        ("\0", 1),
        ("disabled", 0),
    ] {
        let (lines, _) = audit::list(&web.outside.db, words, 0, 50).await.unwrap();
        assert_eq!(lines.len(), found, "{words:?}");
    }
    web.stop().await;
}

#[actix_web::test]
async fn every_alteration_is_found_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
    check(&settings, &STRANGE_VALUES).await;
}

#[actix_web::test]
async fn every_alteration_is_found_in_postgresql() {
    let Some(address) = empty_schema().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
    settings.web.database = address.into();
    check(&settings, &[]).await;
}

#[actix_web::test]
async fn what_people_do_is_in_the_log_with_who_when_and_where() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    web.pass(60);
    let change = [
        ("current_password", PASSWORD),
        ("password", "an entirely new password"),
        ("password_again", "an entirely new password"),
    ];
    ada.fill("/account", "/account/password", &change).await;
    ada.fill("/account", "/logout", &[]).await;
    let (lines, more) = audit::list(&web.outside.db, "", 0, 50).await.unwrap();
    assert!(!more);
    let actions: Vec<&str> = lines.iter().rev().map(|line| line.action.as_str()).collect();
    assert_eq!(actions, ["logged-in", "password-changed", "logged-in", "logged-out"]);
    for line in &lines {
        assert_eq!((line.who.as_str(), line.address.as_str()), ("ada@example.org", "127.0.0.1"));
    }
    assert_eq!(lines[3].at, START);
    assert_eq!(lines[2].at, START.plus(std::time::Duration::from_secs(60)));
    assert!(!format!("{lines:?}").contains("an entirely new password"));
    web.stop().await;
}

/// The captured log.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[actix_web::test]
async fn the_log_stream_is_evidence_outside_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |name: &str| {
        let settings = Settings { data_dir: folder.path().join(name), ..Settings::default() };
        Services::open(&settings, Clock::manual(START)).await.unwrap()
    };
    // Log once before capturing: a log statement that a test on another thread meets first, while the
    // subscriber is being installed, may be cached as disabled.
    let unheard = open("unheard").await;
    fill(&unheard).await;
    unheard.db.close().await;
    let settings = Settings::default();
    let desk = open("heard").await;
    let written = Written::default();
    let writer = written.clone();
    let subscriber = telemetry::subscriber(&settings.log, move || writer.clone()).unwrap();
    let listening = tracing::subscriber::set_default(subscriber);
    fill(&desk).await;
    drop(listening);
    let lines = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let (kept, _) = audit::list(&desk.db, "", 0, 50).await.unwrap();
    assert_eq!(lines.matches("oncelink::audit").count(), 5, "{lines}");
    for line in kept {
        assert!(lines.contains(&line.digest), "line {} is not logged: {lines}", line.number);
    }
    assert!(!lines.contains("@example.org"), "the subject is stored only in the database: {lines}");
    desk.db.close().await;
}
