//! Counting a link's uses, on SQLite and on PostgreSQL, with one process and with two.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use oncelink::clock::{Clock, Timestamp};
use oncelink::config::Settings;
use oncelink::id::{FilePath, Jti, LinkId, RecipientId};
use oncelink::web::accounts::store::AddOutcome;
use oncelink::web::identity::{AccountId, NewAccount};
use oncelink::web::links::progress::Visitor;
use oncelink::web::links::uses::{self, NodeTokens, UseDecision, UseRequest};
use oncelink::web::revocations::issued::TokenBasis;
use oncelink::web::services::Services;
use sqlx::AssertSqlSafe;
use tempfile::TempDir;

use crate::support::postgres::empty_schema;
use crate::support::web::START;

pub(crate) const RECIPIENT: &str = "recipient";

/// A database with one link for one recipient.
pub(crate) struct LinkDatabase {
    /// Two processes on one database, or the same one twice.
    pub(crate) processes: [Services; 2],
    pub(crate) owner: AccountId,
    _folder: TempDir,
}

impl LinkDatabase {
    /// One on each available database engine.
    pub(crate) async fn all(uses_per_recipient: Option<i64>) -> Vec<LinkDatabase> {
        let mut databases = vec![LinkDatabase::on("sqlite", uses_per_recipient).await];
        if let Some(postgres) = empty_schema().await {
            databases.push(LinkDatabase::on(&postgres, uses_per_recipient).await);
        }
        databases
    }

    pub(crate) async fn on(address: &str, uses_per_recipient: Option<i64>) -> LinkDatabase {
        let folder = TempDir::new().unwrap();
        let mut settings = Settings { data_dir: folder.path().join("data"), ..Settings::default() };
        settings.web.database = address.into();
        let one = Services::open(&settings, Clock::manual(START)).await.unwrap();
        let other = Services::open(&settings, Clock::manual(START)).await.unwrap();
        let new = NewAccount {
            email: "ada@example.org".parse().unwrap(),
            name: "Ada".parse().unwrap(),
            admin: false,
            groups: BTreeSet::new(),
            password: None,
        };
        let AddOutcome::New(owner) = one.accounts.add(new, START).await.unwrap() else {
            panic!("no account")
        };
        let database = LinkDatabase { processes: [one, other], owner: owner.id, _folder: folder };
        let uses = uses_per_recipient.map_or("NULL".to_owned(), |uses| uses.to_string());
        database
            .sql(&format!(
                "INSERT INTO links (id, account, title, note, uses, mailed_code, notify, paused, created_at) \
             VALUES ('link', '{}', '', '', {uses}, 0, 'never', 0, 0)",
                database.owner.as_str()
            ))
            .await;
        database
            .sql(&format!(
                "INSERT INTO recipients (id, link, code_digest, taken, looks, position) \
             VALUES ('{RECIPIENT}', 'link', 'digest', 0, 0, 0)"
            ))
            .await;
        database
    }

    pub(crate) async fn sql(&self, statement: &str) {
        sqlx::query(AssertSqlSafe(statement.to_owned()))
            .execute(self.processes[0].db.writer())
            .await
            .unwrap();
    }

    pub(crate) async fn press(&self, process: usize, visitor: Option<&str>, file: &str) -> UseDecision {
        let visitor = Visitor { mark: visitor.map(str::to_owned), client: None };
        self.press_by(process, &visitor, false, file).await
    }

    pub(crate) async fn press_by(
        &self,
        process: usize,
        visitor: &Visitor,
        named: bool,
        file: &str,
    ) -> UseDecision {
        let services = &self.processes[process];
        let file: FilePath = file.parse().unwrap();
        let press = UseRequest {
            owner: &self.owner,
            recipient: &RecipientId::from_store(RECIPIENT),
            named,
            visitor,
            file: &file,
            size: 7,
            version: "v",
            expires_at: later(120),
            basis: TokenBasis {
                node: &services.issuer.audience,
                kid: "",
                link: Some((&LinkId::from_store("link"), 0)),
            },
        };
        services.links.press(&press, START).await.unwrap()
    }

    /// Presses as this visitor, which must succeed, and returns the jti.
    pub(crate) async fn take(&self, visitor: Option<&str>, file: &str) -> Jti {
        match self.press(0, visitor, file).await {
            UseDecision::Token(jti) | UseDecision::Again(jti, _) => jti,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn started(&self, jti: Jti) {
        let mut transaction = self.processes[0].db.begin().await.unwrap();
        uses::mark_used(&mut transaction, jti, START).await.unwrap();
        transaction.commit().await.unwrap();
    }

    pub(crate) async fn unsent(&self, jti: Jti) {
        let mut transaction = self.processes[0].db.begin().await.unwrap();
        uses::release_unsent(&mut transaction, jti, START).await.unwrap();
        transaction.commit().await.unwrap();
    }

    pub(crate) async fn release(&self, before: Timestamp) -> u64 {
        let services = &self.processes[0];
        let of = NodeTokens { audience: &services.issuer.audience, unnamed: true };
        uses::release_unredeemed(&services.db, of, Timestamp::EPOCH, before, START).await.unwrap()
    }

    pub(crate) async fn number(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(self.processes[0].db.reader()).await.unwrap()
    }

    pub(crate) async fn taken(&self) -> i64 {
        self.number("SELECT taken FROM recipients").await
    }
}

pub(crate) fn later(seconds: u64) -> Timestamp {
    Timestamp::from_secs(START.secs() + seconds)
}

#[actix_web::test]
async fn a_hundred_presses_at_once_on_ten_uses_give_exactly_ten_tokens() {
    for database in LinkDatabase::all(Some(10)).await {
        // Every other press goes to the other process.
        let presses = join_all((0..100).map(|n| database.press(n % 2, None, "/books/a.txt"))).await;
        let tokens: BTreeSet<Jti> = presses
            .iter()
            .filter_map(|press| match press {
                UseDecision::Token(jti) => Some(*jti),
                UseDecision::UsedUp => None,
                UseDecision::Again(..) | UseDecision::Continue(_) => panic!("nobody pressed twice"),
                UseDecision::Closed => panic!("the link is open"),
            })
            .collect();
        assert_eq!(tokens.len(), 10);
        assert_eq!(database.taken().await, 10);
        assert_eq!(database.number("SELECT COUNT(*) FROM link_uses WHERE state = 'reserved'").await, 10);
        assert_eq!(database.number("SELECT COUNT(*) FROM issued_tokens WHERE revoke = 0").await, 10);
    }
}

#[actix_web::test]
async fn the_last_use_works_and_an_unlimited_link_never_ends() {
    for database in LinkDatabase::all(Some(2)).await {
        assert!(matches!(database.press(0, None, "/books/a.txt").await, UseDecision::Token(_)));
        assert!(matches!(database.press(1, None, "/books/a.txt").await, UseDecision::Token(_)));
        assert_eq!(database.press(0, None, "/books/a.txt").await, UseDecision::UsedUp);
        database.sql("UPDATE links SET uses = 3").await;
        assert!(matches!(database.press(1, None, "/books/a.txt").await, UseDecision::Token(_)));
        assert_eq!(database.press(1, None, "/books/a.txt").await, UseDecision::UsedUp);
    }
    for database in LinkDatabase::all(None).await {
        for _ in 0..20 {
            database.take(None, "/books/a.txt").await;
        }
        assert_eq!(database.taken().await, 20);
    }
}

#[actix_web::test]
async fn unredeemed_uses_are_released_and_redeemed_ones_are_not() {
    for database in LinkDatabase::all(Some(3)).await {
        let unredeemed = database.take(None, "/books/a.txt").await;
        let sent = database.take(None, "/books/a.txt").await;
        let told = database.take(None, "/books/a.txt").await;
        database.started(sent).await;
        // Redeemed, but it is not known yet whether a byte was sent.
        database.sql(&format!(
            "INSERT INTO receipts (jti, link, node, sequence, redeemed_at, last_at, size, bytes, state, resumed, address) \
             VALUES ('{told}', 'link', 'n', 1, 0, 0, 7, 0, 'running', 0, '')"
        ))
        .await;
        assert_eq!(
            database.release(later(120)).await,
            0,
            "a token may have been redeemed just before its end"
        );
        assert_eq!(database.press(0, None, "/books/a.txt").await, UseDecision::UsedUp);
        assert_eq!(database.release(later(121)).await, 1);
        assert_eq!(database.release(later(121)).await, 0, "once");
        assert_eq!(database.taken().await, 2);
        database.take(None, "/books/a.txt").await;
        assert_eq!(database.press(0, None, "/books/a.txt").await, UseDecision::UsedUp);
        // If it was redeemed nevertheless, it counts, whatever the limit is.
        database.started(unredeemed).await;
        database.started(unredeemed).await;
        assert_eq!(database.taken().await, 4);
    }
}

#[actix_web::test]
async fn a_delivery_that_sent_nothing_gives_its_use_back_once() {
    for database in LinkDatabase::all(Some(1)).await {
        let jti = database.take(None, "/books/a.txt").await;
        database.unsent(jti).await;
        database.unsent(jti).await;
        assert_eq!(database.taken().await, 0);
        let jti = database.take(None, "/books/a.txt").await;
        database.started(jti).await;
        database.unsent(jti).await;
        assert_eq!(database.taken().await, 1, "a byte was sent");
        assert_eq!(database.press(0, None, "/books/a.txt").await, UseDecision::UsedUp);
        database.started(Jti::random().unwrap()).await;
        database.unsent(Jti::random().unwrap()).await;
    }
}

#[actix_web::test]
async fn a_browser_gets_each_file_once_per_use() {
    for database in LinkDatabase::all(Some(2)).await {
        let a = database.take(Some("mark"), "/books/a.txt").await;
        let b = database.take(Some("mark"), "/books/b.txt").await;
        assert_eq!(database.taken().await, 1, "one use for both");
        database.take(Some("another"), "/books/a.txt").await;
        assert_eq!(database.taken().await, 2, "another visitor begins a use of their own");
        assert_eq!(database.press(0, None, "/books/b.txt").await, UseDecision::UsedUp);
        database.take(Some("another"), "/books/b.txt").await;
        assert_eq!(database.taken().await, 2);
        // A use is released with the last of its tokens, and is used with the first.
        database.unsent(a).await;
        assert_eq!(database.taken().await, 2);
        database.unsent(b).await;
        assert_eq!(database.taken().await, 1);
        let a = database.take(Some("mark"), "/books/a.txt").await;
        let b = database.take(Some("mark"), "/books/b.txt").await;
        database.started(a).await;
        database.unsent(b).await;
        assert_eq!(database.taken().await, 2);
        database.take(Some("mark"), "/books/b.txt").await;
        assert_eq!(database.taken().await, 2, "the file that was not sent can be taken within its use");
        assert_eq!(database.press(0, Some("mark"), "/books/a.txt").await, UseDecision::UsedUp);
    }
}

#[actix_web::test]
async fn a_second_press_on_the_last_use_by_the_same_browser_is_the_same_token() {
    for database in LinkDatabase::all(Some(1)).await {
        let jti = database.take(Some("mark"), "/books/a.txt").await;
        assert_eq!(database.take(Some("mark"), "/books/a.txt").await, jti);
        assert_eq!(database.press(0, Some("another"), "/books/a.txt").await, UseDecision::UsedUp);
        assert_eq!(database.taken().await, 1);
        database.sql("UPDATE issued_tokens SET revoke = 1").await;
        assert_eq!(
            database.press(0, Some("mark"), "/books/a.txt").await,
            UseDecision::UsedUp,
            "it was revoked"
        );
        database.sql("UPDATE issued_tokens SET revoke = 0").await;
        database.started(jti).await;
        assert_eq!(database.press(0, Some("mark"), "/books/a.txt").await, UseDecision::UsedUp);
    }
}

#[actix_web::test]
async fn a_link_that_is_closed_gives_nothing() {
    for database in LinkDatabase::all(None).await {
        for (close, open) in [
            ("UPDATE links SET paused = 1", "UPDATE links SET paused = 0"),
            ("UPDATE links SET withdrawn_at = 1", "UPDATE links SET withdrawn_at = NULL"),
            ("UPDATE accounts SET disabled = 1", "UPDATE accounts SET disabled = 0"),
        ] {
            database.sql(close).await;
            assert_eq!(database.press(0, None, "/books/a.txt").await, UseDecision::Closed, "{close}");
            database.sql(open).await;
            database.take(None, "/books/a.txt").await;
        }
        database.sql(&format!("UPDATE links SET ends_at = {}", START.secs())).await;
        assert_eq!(
            database.press(0, None, "/books/a.txt").await,
            UseDecision::Closed,
            "a link has ended at `ends_at` itself"
        );
        database.sql(&format!("UPDATE links SET ends_at = {}", START.secs() + 1)).await;
        database.take(None, "/books/a.txt").await;
    }
}

#[actix_web::test]
async fn presses_and_receipts_at_once_stay_exact_and_never_deadlock() {
    for database in LinkDatabase::all(Some(1_000)).await {
        let mut tokens = Vec::new();
        for n in 0..40 {
            let visitor = format!("mark {}", n % 10);
            tokens.push(database.take(Some(&visitor), &format!("/books/{}.txt", n / 10)).await);
        }
        assert_eq!(database.taken().await, 10);
        let press = |n: usize| {
            let database = &database;
            async move {
                database.press(n % 2, Some(&format!("mark {}", n % 10)), &format!("/books/{n}.txt")).await
            }
        };
        let tell = |n: usize, jti: Jti| {
            let database = &database;
            async move { if n % 10 < 5 { database.started(jti).await } else { database.unsent(jti).await } }
        };
        let presses = join_all((100..140).map(press));
        let tellings = join_all(tokens.iter().enumerate().map(|(n, jti)| tell(n, *jti)));
        let (presses, _) = futures_util::future::join(presses, tellings).await;
        assert!(presses.iter().all(|press| matches!(press, UseDecision::Token(_))));
        let counted = database.number("SELECT COUNT(*) FROM link_uses WHERE state <> 'released'").await;
        assert_eq!(database.taken().await, counted);
    }
}

#[actix_web::test]
async fn a_token_that_is_issued_again_keeps_its_end_and_is_not_issued_after_it() {
    for database in LinkDatabase::all(Some(1)).await {
        let jti = database.take(Some("mark"), "/books/a.txt").await;
        let pressed_at = async |seconds: u64| {
            let file: FilePath = "/books/a.txt".parse().unwrap();
            let visitor = Visitor { mark: Some("mark".to_owned()), client: None };
            let press = UseRequest {
                owner: &database.owner,
                recipient: &RecipientId::from_store(RECIPIENT),
                named: false,
                visitor: &visitor,
                file: &file,
                size: 7,
                version: "v",
                expires_at: later(seconds + 120),
                basis: TokenBasis {
                    node: &database.processes[0].issuer.audience,
                    kid: "",
                    link: Some((&LinkId::from_store("link"), 0)),
                },
            };
            let app = &database.processes[0];
            uses::reserve(&app.db, &app.issued, &app.links.lease, &press, later(seconds)).await.unwrap()
        };
        assert_eq!(pressed_at(60).await, UseDecision::Again(jti, later(120)));
        assert_eq!(pressed_at(119).await, UseDecision::Again(jti, later(120)));
        // A download service keeps the record of a redemption until the end that it saw. However long it
        // reports nothing, no token with this jti may live longer than that.
        for seconds in [120, 3_600, 25 * 3_600, 8 * 24 * 3_600] {
            assert_eq!(pressed_at(seconds).await, UseDecision::UsedUp);
        }
        assert_eq!(database.taken().await, 1);
    }
}

#[actix_web::test]
async fn released_uses_are_forgotten_and_others_are_not() {
    for database in LinkDatabase::all(None).await {
        database.take(Some("one"), "/books/a.txt").await;
        let used = database.take(Some("two"), "/books/a.txt").await;
        database.started(used).await;
        assert_eq!(database.release(later(3_600)).await, 1);
        assert_eq!(
            uses::prune_released(&database.processes[0].db, START).await.unwrap(),
            0,
            "only just released"
        );
        assert_eq!(uses::prune_released(&database.processes[0].db, later(1)).await.unwrap(), 1);
        assert_eq!(database.number("SELECT COUNT(*) FROM link_uses").await, 1);
        assert_eq!(database.number("SELECT COUNT(*) FROM link_tokens").await, 1, "its tokens are deleted");
        assert_eq!(database.taken().await, 1);
    }
}
