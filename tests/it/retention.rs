//! What is deleted when, and what never is; and that a log that was cut can be verified from where it was cut, and
//! from nowhere else.

use std::time::Duration;

use oncelink::web::audit::chain::{self, ChainVerdict};
use oncelink::web::audit::cut::{self, CutOutcome};
use oncelink::web::audit::{self, Actor, AuditLine};
use oncelink::web::retention::{Deleted, Retention, RetentionRules};
use sqlx::AssertSqlSafe;

use crate::link_uses::LinkDatabase;
use crate::support::links::make;
use crate::support::web::{START, TestWeb};

const DAY: u64 = 24 * 60 * 60;

async fn number(web: &TestWeb, query: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(web.outside.db.reader()).await.unwrap()
}

#[actix_web::test]
async fn a_link_is_deleted_90_days_after_its_end_and_not_before() {
    for web in TestWeb::on_each_database(|settings| {
        settings.web.session_idle = Duration::from_secs(400 * DAY);
        settings.web.session_max = Duration::from_secs(400 * DAY);
    })
    .await
    {
        web.account("ada@example.org", &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        make(&mut ada, &[("title", "expires"), ("expires", "1d")]).await;
        let stopped = make(&mut ada, &[("title", "stopped")]).await;
        make(&mut ada, &[("title", "stays")]).await;
        web.browser().post(&stopped.public[0], &[]).await;
        ada.fill(&stopped.page, &format!("{}/revoke", stopped.page), &[]).await;
        let titles = async || {
            web.app.upkeep().prune().await;
            let mut titles: Vec<String> = sqlx::query_scalar("SELECT title FROM links")
                .fetch_all(web.outside.db.reader())
                .await
                .unwrap();
            titles.sort_unstable();
            titles.join(" ")
        };
        web.pass(90 * DAY);
        assert_eq!(titles().await, "expires stays stopped", "to the second");
        web.pass(1);
        assert_eq!(titles().await, "expires stays");
        web.pass(DAY);
        assert_eq!(titles().await, "stays");
        assert_eq!(number(&web, "SELECT COUNT(*) FROM recipients").await, 1);
        assert_eq!(number(&web, "SELECT COUNT(*) FROM link_uses").await, 0);
        assert!(ada.get("/links").await.body.contains("stays"));
        web.stop().await;
    }
}

#[actix_web::test]
async fn receipts_are_deleted_400_days_after_the_download_began() {
    for database in LinkDatabase::all(None).await {
        database.add_uses(2_500).await;
        let db = &database.processes[0].db;
        let day = Duration::from_secs(DAY);
        let rules = RetentionRules { receipts: day * 400, links: day * 90 };
        let retention = Retention::new(db.clone(), rules);
        // The downloads began 1, 2, 3 … seconds after the epoch.
        let at = oncelink::clock::Timestamp::from_secs(400 * DAY + 1_501);
        assert_eq!(retention.prune(at).await.unwrap(), Deleted { receipts: 1_500, links: 0 });
        assert_eq!(retention.prune(at).await.unwrap(), Deleted::default());
        let left: i64 =
            sqlx::query_scalar("SELECT MIN(redeemed_at) FROM receipts").fetch_one(db.reader()).await.unwrap();
        assert_eq!(left, 1_501);
    }
}

/// Adds a line to the audit log at `day`.
async fn line(web: &TestWeb, day: u64) {
    let at = START.plus(Duration::from_secs(day * DAY));
    let mut transaction = web.outside.db.begin().await.unwrap();
    let subject = format!("day {day}");
    audit::append(&mut transaction, &Actor::operator(), audit::AuditEvent::LoggedIn, &subject, at)
        .await
        .unwrap();
    web.outside.db.commit(transaction).await.unwrap();
}

#[actix_web::test]
async fn a_log_is_cut_at_a_checkpoint_from_which_it_can_be_verified() {
    for web in TestWeb::on_each_database(|_| {}).await {
        for day in 0..10 {
            line(&web, day).await;
        }
        let (db, key) = (&web.outside.db, &web.outside.links.key);
        let verify = async || chain::verify::<AuditLine>(db, Some(key)).await.unwrap();
        let ChainVerdict::Whole { lines: 10, digest: tenth } = verify().await else { panic!() };
        let before = START.plus(Duration::from_secs(4 * DAY));
        let cut = cut::cut::<AuditLine>(db, key, before, &Actor::operator(), web.clock.now()).await.unwrap();
        let CutOutcome::Cut { lines: 4, number: 4, digest } = cut else { panic!("{cut:?}") };
        assert_eq!(number(&web, "SELECT MIN(number) FROM audit").await, 5);
        assert!(matches!(verify().await, ChainVerdict::Whole { lines: 11, .. }), "and the cut is a line");
        let ended =
            async |expected: String| chain::ended_with::<AuditLine>(db, Some(key), &expected).await.unwrap();
        assert!(ended(format!("4:{digest}")).await && ended(format!("10:{tenth}")).await);
        assert!(!ended(format!("4:{tenth}")).await && !ended("3:x".to_owned()).await);
        line(&web, 10).await;
        assert!(matches!(verify().await, ChainVerdict::Whole { lines: 12, .. }), "the log goes on");
        // Without the key nobody can say that it was cut there.
        assert_eq!(chain::verify::<AuditLine>(db, None).await.unwrap(), ChainVerdict::Altered(4));
        // A second cut begins where the first one ended; the newest line always stays.
        let late = START.plus(Duration::from_secs(100 * DAY));
        let again = cut::cut::<AuditLine>(db, key, late, &Actor::operator(), web.clock.now()).await.unwrap();
        assert!(matches!(again, CutOutcome::Cut { lines: 7, number: 11, .. }), "{again:?}");
        assert!(matches!(verify().await, ChainVerdict::Whole { lines: 13, .. }));
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_log_that_was_cut_elsewhere_or_altered_is_noticed() {
    for (statement, expected) in [
        // Lines were deleted without a checkpoint, or with one that was moved or made up.
        ("DELETE FROM audit WHERE number <= 7", ChainVerdict::Missing(5)),
        ("DELETE FROM log_checkpoints", ChainVerdict::Missing(1)),
        ("UPDATE log_checkpoints SET number = 5", ChainVerdict::Altered(5)),
        ("UPDATE log_checkpoints SET digest = 'x'", ChainVerdict::Altered(4)),
        ("UPDATE log_checkpoints SET mark = 'x'", ChainVerdict::Altered(4)),
        ("UPDATE audit SET subject = 'x' WHERE number = 6", ChainVerdict::Altered(6)),
        ("UPDATE audit SET number = 2 WHERE number = 5", ChainVerdict::Altered(2)),
    ] {
        let web = TestWeb::spawn().await;
        for day in 0..10 {
            line(&web, day).await;
        }
        let (db, key) = (&web.outside.db, &web.outside.links.key);
        let before = START.plus(Duration::from_secs(4 * DAY));
        let cut = cut::cut::<AuditLine>(db, key, before, &Actor::operator(), web.clock.now()).await.unwrap();
        assert!(matches!(cut, CutOutcome::Cut { number: 4, .. }), "{cut:?}");
        sqlx::query(statement).execute(db.writer()).await.unwrap();
        assert_eq!(chain::verify::<AuditLine>(db, Some(key)).await.unwrap(), expected, "{statement}");
        // What is wrong stays visible.
        let late = START.plus(Duration::from_secs(100 * DAY));
        let again = cut::cut::<AuditLine>(db, key, late, &Actor::operator(), web.clock.now()).await.unwrap();
        assert_eq!(again, CutOutcome::NotWhole(expected), "{statement}");
        web.stop().await;
    }
}
