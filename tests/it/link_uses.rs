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

const RECIPIENT: &str = "recipient";

/// A database with one link for one recipient.
pub(crate) struct Desk {
    /// Two processes on one database, or the same one twice.
    pub(crate) desks: [Services; 2],
    pub(crate) owner: AccountId,
    _folder: TempDir,
}

impl Desk {
    /// One on each available database engine.
    pub(crate) async fn all(uses: Option<i64>) -> Vec<Desk> {
        let mut desks = vec![Desk::on("sqlite", uses).await];
        if let Some(postgres) = empty_schema().await {
            desks.push(Desk::on(&postgres, uses).await);
        }
        desks
    }

    async fn on(database: &str, uses: Option<i64>) -> Desk {
        let folder = TempDir::new().unwrap();
        let mut settings = Settings { data_dir: folder.path().join("data"), ..Settings::default() };
        settings.web.database = database.into();
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
        let desk = Desk { desks: [one, other], owner: owner.id, _folder: folder };
        let uses = uses.map_or("NULL".to_owned(), |uses| uses.to_string());
        desk.sql(&format!(
            "INSERT INTO links (id, account, title, note, uses, mailed_code, notify, paused, created_at) \
             VALUES ('link', '{}', '', '', {uses}, 0, 'never', 0, 0)",
            desk.owner.as_str()
        ))
        .await;
        desk.sql(&format!(
            "INSERT INTO recipients (id, link, code_digest, taken, looks, position) \
             VALUES ('{RECIPIENT}', 'link', 'digest', 0, 0, 0)"
        ))
        .await;
        desk
    }

    pub(crate) async fn sql(&self, statement: &str) {
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(self.desks[0].db.writer()).await.unwrap();
    }

    async fn press(&self, process: usize, visitor: Option<&str>, file: &str) -> UseDecision {
        let desk = &self.desks[process];
        let file: FilePath = file.parse().unwrap();
        let visitor = Visitor { mark: visitor.map(str::to_owned), client: None };
        let press = UseRequest {
            owner: &self.owner,
            recipient: &RecipientId::from_store(RECIPIENT),
            named: false,
            visitor: &visitor,
            file: &file,
            size: 7,
            version: "v",
            expires_at: later(120),
            basis: TokenBasis {
                node: &desk.issuer.audience,
                kid: "",
                link: Some((&LinkId::from_store("link"), 0)),
            },
        };
        uses::reserve(&desk.db, &desk.issued, &desk.links.lease, &press, START).await.unwrap()
    }

    /// Presses as this visitor, which must succeed, and returns the jti.
    async fn take(&self, visitor: Option<&str>, file: &str) -> Jti {
        match self.press(0, visitor, file).await {
            UseDecision::Token(jti) | UseDecision::Again(jti, _) => jti,
            other => panic!("{other:?}"),
        }
    }

    async fn started(&self, jti: Jti) {
        let mut transaction = self.desks[0].db.begin().await.unwrap();
        uses::mark_used(&mut transaction, jti, START).await.unwrap();
        transaction.commit().await.unwrap();
    }

    async fn unsent(&self, jti: Jti) {
        let mut transaction = self.desks[0].db.begin().await.unwrap();
        uses::release_unsent(&mut transaction, jti, START).await.unwrap();
        transaction.commit().await.unwrap();
    }

    async fn release(&self, before: Timestamp) -> u64 {
        let desk = &self.desks[0];
        let of = NodeTokens { audience: &desk.issuer.audience, unnamed: true };
        uses::release_unredeemed(&desk.db, of, Timestamp::EPOCH, before, START).await.unwrap()
    }

    pub(crate) async fn number(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(self.desks[0].db.reader()).await.unwrap()
    }

    pub(crate) async fn taken(&self) -> i64 {
        self.number("SELECT taken FROM recipients").await
    }
}

fn later(seconds: u64) -> Timestamp {
    Timestamp::from_secs(START.secs() + seconds)
}

#[actix_web::test]
async fn a_hundred_presses_at_once_on_ten_uses_give_exactly_ten_tokens() {
    for desk in Desk::all(Some(10)).await {
        // Every other press goes to the other process.
        let presses = join_all((0..100).map(|n| desk.press(n % 2, None, "/books/a.txt"))).await;
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
        assert_eq!(desk.taken().await, 10);
        assert_eq!(desk.number("SELECT COUNT(*) FROM link_uses WHERE state = 'reserved'").await, 10);
        assert_eq!(desk.number("SELECT COUNT(*) FROM issued_tokens WHERE revoke = 0").await, 10);
    }
}

#[actix_web::test]
async fn the_last_use_works_and_an_unlimited_link_never_ends() {
    for desk in Desk::all(Some(2)).await {
        assert!(matches!(desk.press(0, None, "/books/a.txt").await, UseDecision::Token(_)));
        assert!(matches!(desk.press(1, None, "/books/a.txt").await, UseDecision::Token(_)));
        assert_eq!(desk.press(0, None, "/books/a.txt").await, UseDecision::UsedUp);
        desk.sql("UPDATE links SET uses = 3").await;
        assert!(matches!(desk.press(1, None, "/books/a.txt").await, UseDecision::Token(_)));
        assert_eq!(desk.press(1, None, "/books/a.txt").await, UseDecision::UsedUp);
    }
    for desk in Desk::all(None).await {
        for _ in 0..20 {
            desk.take(None, "/books/a.txt").await;
        }
        assert_eq!(desk.taken().await, 20);
    }
}

#[actix_web::test]
async fn unredeemed_uses_are_released_and_redeemed_ones_are_not() {
    for desk in Desk::all(Some(3)).await {
        let unredeemed = desk.take(None, "/books/a.txt").await;
        let sent = desk.take(None, "/books/a.txt").await;
        let told = desk.take(None, "/books/a.txt").await;
        desk.started(sent).await;
        // Redeemed, but it is not known yet whether a byte was sent.
        desk.sql(&format!(
            "INSERT INTO receipts (jti, link, node, sequence, redeemed_at, last_at, size, bytes, state, resumed, address) \
             VALUES ('{told}', 'link', 'n', 1, 0, 0, 7, 0, 'running', 0, '')"
        ))
        .await;
        assert_eq!(desk.release(later(120)).await, 0, "a token may have been redeemed just before its end");
        assert_eq!(desk.press(0, None, "/books/a.txt").await, UseDecision::UsedUp);
        assert_eq!(desk.release(later(121)).await, 1);
        assert_eq!(desk.release(later(121)).await, 0, "once");
        assert_eq!(desk.taken().await, 2);
        desk.take(None, "/books/a.txt").await;
        assert_eq!(desk.press(0, None, "/books/a.txt").await, UseDecision::UsedUp);
        // If it was redeemed nevertheless, it counts, whatever the limit is.
        desk.started(unredeemed).await;
        desk.started(unredeemed).await;
        assert_eq!(desk.taken().await, 4);
    }
}

#[actix_web::test]
async fn a_delivery_that_sent_nothing_gives_its_use_back_once() {
    for desk in Desk::all(Some(1)).await {
        let jti = desk.take(None, "/books/a.txt").await;
        desk.unsent(jti).await;
        desk.unsent(jti).await;
        assert_eq!(desk.taken().await, 0);
        let jti = desk.take(None, "/books/a.txt").await;
        desk.started(jti).await;
        desk.unsent(jti).await;
        assert_eq!(desk.taken().await, 1, "a byte was sent");
        assert_eq!(desk.press(0, None, "/books/a.txt").await, UseDecision::UsedUp);
        desk.started(Jti::random().unwrap()).await;
        desk.unsent(Jti::random().unwrap()).await;
    }
}

#[actix_web::test]
async fn a_browser_gets_each_file_once_per_use() {
    for desk in Desk::all(Some(2)).await {
        let a = desk.take(Some("mark"), "/books/a.txt").await;
        let b = desk.take(Some("mark"), "/books/b.txt").await;
        assert_eq!(desk.taken().await, 1, "one use for both");
        desk.take(Some("another"), "/books/a.txt").await;
        assert_eq!(desk.taken().await, 2, "another visitor begins a use of their own");
        assert_eq!(desk.press(0, None, "/books/b.txt").await, UseDecision::UsedUp);
        desk.take(Some("another"), "/books/b.txt").await;
        assert_eq!(desk.taken().await, 2);
        // A use is released with the last of its tokens, and is used with the first.
        desk.unsent(a).await;
        assert_eq!(desk.taken().await, 2);
        desk.unsent(b).await;
        assert_eq!(desk.taken().await, 1);
        let a = desk.take(Some("mark"), "/books/a.txt").await;
        let b = desk.take(Some("mark"), "/books/b.txt").await;
        desk.started(a).await;
        desk.unsent(b).await;
        assert_eq!(desk.taken().await, 2);
        desk.take(Some("mark"), "/books/b.txt").await;
        assert_eq!(desk.taken().await, 2, "the file that was not sent can be taken within its use");
        assert_eq!(desk.press(0, Some("mark"), "/books/a.txt").await, UseDecision::UsedUp);
    }
}

#[actix_web::test]
async fn a_second_press_on_the_last_use_by_the_same_browser_is_the_same_token() {
    for desk in Desk::all(Some(1)).await {
        let jti = desk.take(Some("mark"), "/books/a.txt").await;
        assert_eq!(desk.take(Some("mark"), "/books/a.txt").await, jti);
        assert_eq!(desk.press(0, Some("another"), "/books/a.txt").await, UseDecision::UsedUp);
        assert_eq!(desk.taken().await, 1);
        desk.sql("UPDATE issued_tokens SET revoke = 1").await;
        assert_eq!(desk.press(0, Some("mark"), "/books/a.txt").await, UseDecision::UsedUp, "it was revoked");
        desk.sql("UPDATE issued_tokens SET revoke = 0").await;
        desk.started(jti).await;
        assert_eq!(desk.press(0, Some("mark"), "/books/a.txt").await, UseDecision::UsedUp);
    }
}

#[actix_web::test]
async fn a_link_that_is_closed_gives_nothing() {
    for desk in Desk::all(None).await {
        for (close, open) in [
            ("UPDATE links SET paused = 1", "UPDATE links SET paused = 0"),
            ("UPDATE links SET withdrawn_at = 1", "UPDATE links SET withdrawn_at = NULL"),
            ("UPDATE accounts SET disabled = 1", "UPDATE accounts SET disabled = 0"),
        ] {
            desk.sql(close).await;
            assert_eq!(desk.press(0, None, "/books/a.txt").await, UseDecision::Closed, "{close}");
            desk.sql(open).await;
            desk.take(None, "/books/a.txt").await;
        }
        desk.sql(&format!("UPDATE links SET ends_at = {}", START.secs())).await;
        assert_eq!(
            desk.press(0, None, "/books/a.txt").await,
            UseDecision::Closed,
            "a link has ended at `ends_at` itself"
        );
        desk.sql(&format!("UPDATE links SET ends_at = {}", START.secs() + 1)).await;
        desk.take(None, "/books/a.txt").await;
    }
}

#[actix_web::test]
async fn presses_and_receipts_at_once_stay_exact_and_never_deadlock() {
    for desk in Desk::all(Some(1_000)).await {
        let mut tokens = Vec::new();
        for n in 0..40 {
            let visitor = format!("mark {}", n % 10);
            tokens.push(desk.take(Some(&visitor), &format!("/books/{}.txt", n / 10)).await);
        }
        assert_eq!(desk.taken().await, 10);
        let press = |n: usize| {
            let desk = &desk;
            async move { desk.press(n % 2, Some(&format!("mark {}", n % 10)), &format!("/books/{n}.txt")).await }
        };
        let tell = |n: usize, jti: Jti| {
            let desk = &desk;
            async move { if n % 10 < 5 { desk.started(jti).await } else { desk.unsent(jti).await } }
        };
        let presses = join_all((100..140).map(press));
        let tellings = join_all(tokens.iter().enumerate().map(|(n, jti)| tell(n, *jti)));
        let (presses, _) = futures_util::future::join(presses, tellings).await;
        assert!(presses.iter().all(|press| matches!(press, UseDecision::Token(_))));
        let counted = desk.number("SELECT COUNT(*) FROM link_uses WHERE state <> 'released'").await;
        assert_eq!(desk.taken().await, counted);
    }
}

#[actix_web::test]
async fn a_token_that_is_issued_again_keeps_its_end_and_is_not_issued_after_it() {
    for desk in Desk::all(Some(1)).await {
        let jti = desk.take(Some("mark"), "/books/a.txt").await;
        let pressed_at = async |seconds: u64| {
            let file: FilePath = "/books/a.txt".parse().unwrap();
            let visitor = Visitor { mark: Some("mark".to_owned()), client: None };
            let press = UseRequest {
                owner: &desk.owner,
                recipient: &RecipientId::from_store(RECIPIENT),
                named: false,
                visitor: &visitor,
                file: &file,
                size: 7,
                version: "v",
                expires_at: later(seconds + 120),
                basis: TokenBasis {
                    node: &desk.desks[0].issuer.audience,
                    kid: "",
                    link: Some((&LinkId::from_store("link"), 0)),
                },
            };
            let app = &desk.desks[0];
            uses::reserve(&app.db, &app.issued, &app.links.lease, &press, later(seconds)).await.unwrap()
        };
        assert_eq!(pressed_at(60).await, UseDecision::Again(jti, later(120)));
        assert_eq!(pressed_at(119).await, UseDecision::Again(jti, later(120)));
        // A download service keeps the record of a redemption until the end that it saw. However long it
        // reports nothing, no token with this jti may live longer than that.
        for seconds in [120, 3_600, 25 * 3_600, 8 * 24 * 3_600] {
            assert_eq!(pressed_at(seconds).await, UseDecision::UsedUp);
        }
        assert_eq!(desk.taken().await, 1);
    }
}

#[actix_web::test]
async fn released_uses_are_forgotten_and_others_are_not() {
    for desk in Desk::all(None).await {
        desk.take(Some("one"), "/books/a.txt").await;
        let used = desk.take(Some("two"), "/books/a.txt").await;
        desk.started(used).await;
        assert_eq!(desk.release(later(3_600)).await, 1);
        assert_eq!(uses::prune_released(&desk.desks[0].db, START).await.unwrap(), 0, "only just released");
        assert_eq!(uses::prune_released(&desk.desks[0].db, later(1)).await.unwrap(), 1);
        assert_eq!(desk.number("SELECT COUNT(*) FROM link_uses").await, 1);
        assert_eq!(desk.number("SELECT COUNT(*) FROM link_tokens").await, 1, "its tokens are deleted");
        assert_eq!(desk.taken().await, 1);
    }
}
