//! The audit log: what stands in it, and that an altered or missing line is found.

use oncelink::clock::Clock;
use oncelink::config::Settings;
use oncelink::web::administration::Administration;
use oncelink::web::audit::{self, Actor, Deed, Verdict};

use crate::support::postgres::empty_schema;
use crate::support::web::{PASSWORD, START, TestWeb};

async fn fill(desk: &Administration) {
    for n in 0..5 {
        let mut transaction = desk.db.begin().await.unwrap();
        let actor = Actor::stranger("192.0.2.1".parse().unwrap());
        let subject = format!("person{n}@example.org");
        audit::append(&mut transaction, &actor, Deed::SignedUp, &subject, START).await.unwrap();
        desk.db.commit(transaction).await.unwrap();
    }
}

/// What somebody who can write into the database may do, and what is found.
fn tampering() -> Vec<(&'static str, Verdict)> {
    vec![
        ("UPDATE audit SET at = at + 1 WHERE number = 3", Verdict::Altered(3)),
        ("UPDATE audit SET actor = 'x' WHERE number = 1", Verdict::Altered(1)),
        ("UPDATE audit SET who = 'x' WHERE number = 2", Verdict::Altered(2)),
        ("UPDATE audit SET action = 'x' WHERE number = 5", Verdict::Altered(5)),
        ("UPDATE audit SET subject = 'x' WHERE number = 4", Verdict::Altered(4)),
        ("UPDATE audit SET address = '' WHERE number = 4", Verdict::Altered(4)),
        ("UPDATE audit SET digest = 'x' WHERE number = 2", Verdict::Altered(2)),
        ("DELETE FROM audit WHERE number = 1", Verdict::Missing(1)),
        ("DELETE FROM audit WHERE number = 3", Verdict::Missing(3)),
        ("DELETE FROM audit WHERE number = 5", Verdict::Missing(5)),
        ("DELETE FROM audit", Verdict::Missing(1)),
        ("UPDATE audit SET number = number + 10", Verdict::Missing(1)),
        ("UPDATE audit SET number = -1 WHERE number = 5", Verdict::Altered(0)),
        (
            "INSERT INTO audit (number, at, actor, who, action, subject, address, digest) \
             VALUES (6, 1, '', '', '', '', '', '')",
            Verdict::Altered(6),
        ),
    ]
}

async fn check(settings: &Settings) {
    let desk = Administration::open(settings, Clock::manual(START)).await.unwrap();
    fill(&desk).await;
    let Verdict::Whole { lines: 5, digest } = audit::verify(&desk.db).await.unwrap() else { panic!() };
    assert!(audit::ended_with(&desk.db, &format!("5:{digest}")).await.unwrap());
    sqlx::query("CREATE TABLE kept AS SELECT * FROM audit").execute(desk.db.writer()).await.unwrap();
    for (statement, expected) in tampering() {
        sqlx::query(statement).execute(desk.db.writer()).await.unwrap();
        let found = audit::verify(&desk.db).await.unwrap();
        // A number that was moved leaves a gap, which is found first.
        let is_found = found == expected || (statement.contains("-1") && found == Verdict::Altered(-1));
        assert!(
            is_found || matches!((&expected, &found), (Verdict::Altered(0), Verdict::Altered(_))),
            "{statement}: {found:?}"
        );
        sqlx::query("DELETE FROM audit").execute(desk.db.writer()).await.unwrap();
        sqlx::query("INSERT INTO audit SELECT * FROM kept").execute(desk.db.writer()).await.unwrap();
    }
    assert!(matches!(audit::verify(&desk.db).await.unwrap(), Verdict::Whole { lines: 5, .. }));
    // Who can write all of it can write all of it anew; what was noted elsewhere tells.
    sqlx::query("DELETE FROM audit").execute(desk.db.writer()).await.unwrap();
    sqlx::query("UPDATE generations SET number = 0 WHERE name = 'audit'")
        .execute(desk.db.writer())
        .await
        .unwrap();
    fill(&desk).await;
    let mut transaction = desk.db.begin().await.unwrap();
    audit::append(&mut transaction, &Actor::operator(), Deed::Disabled, "x", START).await.unwrap();
    desk.db.commit(transaction).await.unwrap();
    assert!(
        audit::ended_with(&desk.db, &format!("5:{digest}")).await.unwrap(),
        "the same lines, and one more"
    );
    assert!(!audit::ended_with(&desk.db, &format!("6:{digest}")).await.unwrap());
    assert!(!audit::ended_with(&desk.db, "nonsense").await.unwrap());
    desk.db.close().await;
}

#[actix_web::test]
async fn every_alteration_is_found_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    check(&Settings { data_dir: folder.path().to_owned(), ..Settings::default() }).await;
}

#[actix_web::test]
async fn every_alteration_is_found_in_postgresql() {
    let Some(address) = empty_schema().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
    settings.web.database = address.into();
    check(&settings).await;
}

#[actix_web::test]
async fn what_people_do_stands_in_the_log_with_who_when_and_where() {
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
    let deeds: Vec<&str> = lines.iter().rev().map(|line| line.action.as_str()).collect();
    assert_eq!(deeds, ["logged-in", "password-changed", "logged-in", "logged-out"]);
    for line in &lines {
        assert_eq!((line.who.as_str(), line.address.as_str()), ("ada@example.org", "127.0.0.1"));
    }
    assert_eq!(lines[3].at, START);
    assert_eq!(lines[2].at, START.plus(std::time::Duration::from_secs(60)));
    assert!(!format!("{lines:?}").contains("an entirely new password"));
    web.stop().await;
}
