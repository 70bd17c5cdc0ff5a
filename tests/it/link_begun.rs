//! Who may continue a download that began through a link: random sequences of presses, breaks, restarts and
//! ends, from several browsers and addresses, at the level of `uses`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use oncelink::clock::Timestamp;
use oncelink::config::Resume;
use oncelink::id::{FilePath, Jti, LinkId, RecipientId};
use oncelink::web::links::progress::{LeaseRules, Visitor};
use oncelink::web::links::uses::{self, UseDecision, UseRequest};
use oncelink::web::revocations::issued::TokenBasis;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sqlx::AssertSqlSafe;

use crate::link_uses::LinkDatabase;
use crate::support::web::START;

const FILES: [&str; 2] = ["/books/a.txt", "/books/b.txt"];
const HOUR: u64 = 3_600;

/// A visitor: the mark of the browser, and the digest of the address.
type Who = (Option<u8>, Option<u8>);

fn visitor((mark, client): Who) -> Visitor {
    Visitor {
        mark: mark.map(|mark| format!("mark {mark}")),
        client: client.map(|client| format!("client {client}")),
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Press(Who, usize),
    /// What the download service reports about the token that was issued this many presses ago.
    Report(usize, Event),
    Pass(u64),
    /// The download service restarts, so no download is running.
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Running,
    Broken,
    Whole,
    Over,
    Revoked,
}

impl Event {
    fn word(self) -> &'static str {
        match self {
            Event::Running => "running",
            Event::Broken => "broken",
            Event::Whole => "complete",
            Event::Over | Event::Revoked => "over",
        }
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let who = (proptest::option::of(0..2_u8), proptest::option::weighted(0.8, 0..2_u8));
    let event = prop_oneof![
        3 => Just(Event::Running),
        3 => Just(Event::Broken),
        1 => Just(Event::Whole),
        1 => Just(Event::Over),
        1 => Just(Event::Revoked),
    ];
    prop_oneof![
        5 => (who, 0..FILES.len()).prop_map(|(who, file)| Step::Press(who, file)),
        5 => (0..4_usize, event).prop_map(|(token, event)| Step::Report(token, event)),
        1 => prop_oneof![Just(60), Just(HOUR), Just(20 * HOUR)].prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

/// A token in the model of the rule.
#[derive(Clone, Copy, Debug)]
struct Token {
    who: Who,
    file: usize,
    expires_at: Timestamp,
    event: Option<Event>,
    redeemed_at: Timestamp,
    last_at: Timestamp,
    revoked: bool,
}

impl Token {
    fn may_be_continued_by(&self, who: Who, file: usize, now: Timestamp) -> bool {
        let (mark, client) = who;
        let lease = self.redeemed_at.plus(Duration::from_secs(24 * HOUR)) > now;
        let idle = self.last_at.plus(Duration::from_secs(HOUR)) <= now;
        let begun = match (mark, self.event) {
            (_, Some(Event::Broken)) => !idle,
            (Some(_), Some(Event::Running)) => true,
            _ => false,
        };
        let is_theirs = match mark {
            Some(_) => self.who.0 == mark,
            None => client.is_some() && self.who.1 == client,
        };
        is_theirs && begun && lease && !self.revoked && self.file == file
    }
}

/// A link with one recipient, as the app stores it, and the model of it.
struct Model<'d> {
    database: &'d LinkDatabase,
    recipient: String,
    limit: i64,
    now: Timestamp,
    /// The issued tokens, in order.
    tokens: Vec<(Jti, Token)>,
    sequence: i64,
}

impl Model<'_> {
    async fn press(&mut self, who: Who, file: usize) {
        let (visitor, path) = (visitor(who), FILES[file].parse::<FilePath>().unwrap());
        let press = UseRequest {
            owner: &self.database.owner,
            recipient: &RecipientId::from_store(&self.recipient),
            named: false,
            visitor: &visitor,
            file: &path,
            size: 7,
            version: "v",
            expires_at: self.now.plus(Duration::from_secs(120)),
            basis: TokenBasis { node: "node", kid: "", link: Some((&LinkId::from_store("link"), 0)) },
        };
        let app = &self.database.processes[0];
        let rules = LeaseRules {
            lease: Duration::from_secs(HOUR),
            lease_max: Duration::from_secs(24 * HOUR),
            resume: Resume::SameClient,
        };
        let before = self.taken().await;
        let answer = uses::reserve(&app.db, &app.issued, &rules, &press, self.now).await.unwrap();
        let after = self.taken().await;
        let may = |token: &Token| token.may_be_continued_by(who, file, self.now);
        match &answer {
            UseDecision::Continue(begun) => {
                let (_, token) = self.tokens.iter().find(|(jti, _)| *jti == begun.jti).unwrap();
                assert!(may(token), "{who:?} continues {token:?}");
                assert!(begun.until > self.now && begun.until <= token.redeemed_at.plus(rules.lease_max));
                assert_eq!(before, after, "a continuation does not count");
            }
            UseDecision::Again(jti, end) => {
                let (_, token) = self.tokens.iter().find(|(other, _)| other == jti).unwrap();
                assert!(token.who.0.is_some() && token.who.0 == who.0 && token.event.is_none(), "{token:?}");
                assert_eq!((token.file, token.expires_at, token.revoked), (file, *end, false));
                assert_eq!(before, after);
            }
            UseDecision::Token(_) => assert!(after <= self.limit && after - before <= 1),
            UseDecision::UsedUp => assert_eq!((before, after), (self.limit, self.limit)),
            UseDecision::Closed => panic!("the link is open"),
        }
        let was_continued = matches!(answer, UseDecision::Continue(_));
        assert_eq!(was_continued, self.tokens.iter().any(|(_, token)| may(token)), "{who:?} {file}");
        if let UseDecision::Token(jti) = answer {
            let token = Token {
                who,
                file,
                expires_at: press.expires_at,
                event: None,
                redeemed_at: self.now,
                last_at: self.now,
                revoked: false,
            };
            self.tokens.push((jti, token));
        }
    }

    /// Reports on a token as a download service does: nothing more after its end.
    async fn report(&mut self, back: usize, event: Event) {
        let now = self.now;
        let Some((jti, token)) = self.tokens.iter_mut().rev().nth(back) else { return };
        let begins = token.event.is_none();
        let can_begin = event == Event::Running && now < token.expires_at;
        let ended = matches!(token.event, Some(Event::Whole | Event::Over | Event::Revoked));
        if ended || token.revoked || (begins && !can_begin) {
            return;
        }
        if begins {
            token.redeemed_at = now;
        }
        (token.event, token.last_at) = (Some(event), now);
        token.revoked = event == Event::Revoked;
        let (jti, token) = (*jti, *token);
        self.write(jti, &token).await;
        if begins {
            let mut transaction = self.database.processes[0].db.begin().await.unwrap();
            uses::mark_used(&mut transaction, jti, now).await.unwrap();
            transaction.commit().await.unwrap();
        }
        if event == Event::Revoked {
            self.database.sql(&format!("UPDATE issued_tokens SET revoke = 1 WHERE jti = '{jti}'")).await;
        }
    }

    async fn write(&mut self, jti: Jti, token: &Token) {
        self.sequence += 1;
        let (redeemed, last) = (token.redeemed_at.secs(), token.last_at.secs());
        let (word, sequence) = (token.event.unwrap().word(), self.sequence);
        self.database
            .sql(&format!(
                "INSERT INTO receipts (jti, link, node, sequence, redeemed_at, started_at, last_at, size, bytes, \
                 state, resumed, address) VALUES ('{jti}', 'link', 'n', {sequence}, {redeemed}, {redeemed}, \
                 {last}, 7, 3, '{word}', 0, '') ON CONFLICT (jti) DO UPDATE SET \
                 sequence = excluded.sequence, last_at = excluded.last_at, state = excluded.state"
            ))
            .await;
    }

    async fn restart(&mut self) {
        let running = self.tokens.iter_mut().filter(|(_, token)| token.event == Some(Event::Running));
        let changed: Vec<(Jti, Token)> = running
            .map(|(jti, token)| {
                token.event = Some(Event::Broken);
                (*jti, *token)
            })
            .collect();
        for (jti, token) in changed {
            self.write(jti, &token).await;
        }
    }

    async fn taken(&self) -> i64 {
        let query = format!("SELECT taken FROM recipients WHERE id = '{}'", self.recipient);
        sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_one(self.database.processes[0].db.reader())
            .await
            .unwrap()
    }
}

#[test]
fn whatever_happens_only_the_visitor_who_began_continues_and_that_never_counts() {
    static RECIPIENTS: AtomicU32 = AtomicU32::new(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for database in runtime.block_on(LinkDatabase::all(Some(2))) {
        let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
        let steps = proptest::collection::vec(any_step(), 1..40);
        let result = TestRunner::new(config).run(&steps, |steps| {
            runtime.block_on(async {
                let recipient = format!("recipient {}", RECIPIENTS.fetch_add(1, Ordering::Relaxed));
                database
                    .sql(&format!(
                        "INSERT INTO recipients (id, link, code_digest, taken, looks, position) \
                     VALUES ('{recipient}', 'link', '{recipient}', 0, 0, 0)"
                    ))
                    .await;
                let mut model = Model {
                    database: &database,
                    recipient,
                    limit: 2,
                    now: START,
                    tokens: Vec::new(),
                    sequence: 0,
                };
                for step in steps {
                    match step {
                        Step::Press(who, file) => model.press(who, file).await,
                        Step::Report(back, event) => model.report(back, event).await,
                        Step::Pass(seconds) => {
                            model.now = model.now.plus(Duration::from_secs(seconds));
                        }
                        Step::Restart => model.restart().await,
                    }
                }
            });
            Ok(())
        });
        result.unwrap();
    }
}

/// A visitor's press on a file, this many seconds after the start.
async fn press(database: &LinkDatabase, named: bool, who: Who, file: usize, seconds: u64) -> UseDecision {
    let (visitor, path) = (visitor(who), FILES[file].parse::<FilePath>().unwrap());
    let now = Timestamp::from_secs(START.secs() + seconds);
    let press = UseRequest {
        owner: &database.owner,
        recipient: &RecipientId::from_store("recipient"),
        named,
        visitor: &visitor,
        file: &path,
        size: 7,
        version: "v",
        expires_at: now.plus(Duration::from_secs(120)),
        basis: TokenBasis { node: "node", kid: "", link: Some((&LinkId::from_store("link"), 0)) },
    };
    let app = &database.processes[0];
    uses::reserve(&app.db, &app.issued, &app.links.lease, &press, now).await.unwrap()
}

async fn begin(database: &LinkDatabase, named: bool, who: Who, file: usize, event: Event) -> Jti {
    let UseDecision::Token(jti) = press(database, named, who, file, 0).await else { panic!("no token") };
    let mut transaction = database.processes[0].db.begin().await.unwrap();
    uses::mark_used(&mut transaction, jti, START).await.unwrap();
    transaction.commit().await.unwrap();
    let (word, at) = (event.word(), START.secs());
    database.sql(&format!(
        "INSERT INTO receipts (jti, link, node, sequence, redeemed_at, started_at, last_at, size, bytes, state, \
         resumed, address) VALUES ('{jti}', 'link', 'n', 1, {at}, {at}, {at}, 7, 3, '{word}', 0, '')"
    ))
    .await;
    jti
}

fn continues(answer: &UseDecision) -> Option<Jti> {
    match answer {
        UseDecision::Continue(begun) => Some(begun.jti),
        _ => None,
    }
}

#[actix_web::test]
async fn the_end_of_a_link_limits_the_start_and_not_what_was_begun() {
    for database in LinkDatabase::all(Some(2)).await {
        let (one, other) = ((Some(1), Some(1)), (Some(2), Some(1)));
        let jti = begin(&database, false, one, 0, Event::Broken).await;
        database.sql(&format!("UPDATE links SET ends_at = {}", START.secs() + 10)).await;
        assert_eq!(continues(&press(&database, false, one, 0, 10).await), Some(jti));
        assert_eq!(press(&database, false, other, 0, 10).await, UseDecision::Closed);
        assert_eq!(
            press(&database, false, one, 1, 10).await,
            UseDecision::Closed,
            "the other file was not begun"
        );
        for close in ["UPDATE links SET paused = 1", "UPDATE links SET withdrawn_at = 1, paused = 0"] {
            database.sql(close).await;
            assert_eq!(press(&database, false, one, 0, 10).await, UseDecision::Closed, "{close}");
        }
    }
}

#[actix_web::test]
async fn the_uses_of_a_named_recipient_are_theirs_in_any_browser_and_what_is_begun_stays_where_it_began() {
    for database in LinkDatabase::all(Some(1)).await {
        let (phone, laptop, program) = ((Some(1), Some(1)), (Some(2), Some(2)), (None, Some(3)));
        let jti = begin(&database, true, phone, 0, Event::Broken).await;
        assert_eq!(press(&database, true, laptop, 0, 5).await, UseDecision::UsedUp, "it began on the phone");
        assert!(
            matches!(press(&database, true, laptop, 1, 5).await, UseDecision::Token(_)),
            "it was not begun yet"
        );
        assert_eq!(press(&database, true, program, 1, 5).await, UseDecision::UsedUp);
        assert_eq!(continues(&press(&database, true, phone, 0, 5).await), Some(jti));
        assert_eq!(database.taken().await, 1, "all of this is one use");
    }
    for database in LinkDatabase::all(Some(1)).await {
        begin(&database, false, (Some(1), Some(1)), 0, Event::Broken).await;
        let laptop = (Some(2), Some(2));
        assert_eq!(
            press(&database, false, laptop, 1, 5).await,
            UseDecision::UsedUp,
            "the link names no recipient"
        );
    }
}

#[actix_web::test]
async fn a_file_that_was_replaced_is_another_download() {
    for database in LinkDatabase::all(Some(2)).await {
        let who = (Some(1), Some(1));
        begin(&database, false, who, 0, Event::Broken).await;
        database.sql("UPDATE link_tokens SET version = 'another'").await;
        assert!(matches!(press(&database, false, who, 0, 5).await, UseDecision::Token(_)));
        assert_eq!(database.taken().await, 2);
    }
}

#[actix_web::test]
async fn addresses_are_deleted_when_they_can_no_longer_continue_anything() {
    for database in LinkDatabase::all(Some(2)).await {
        begin(&database, false, (Some(1), Some(1)), 0, Event::Broken).await;
        let db = &database.processes[0].db;
        let known = "SELECT COUNT(*) FROM link_tokens WHERE client = 'client 1'";
        assert_eq!(uses::prune_clients(db, START).await.unwrap(), 0);
        assert_eq!(database.number(known).await, 1);
        let after = Timestamp::from_secs(START.secs() + 121);
        assert_eq!(uses::prune_clients(db, after).await.unwrap(), 1);
        assert_eq!(database.number(known).await, 0);
    }
}
