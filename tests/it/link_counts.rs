//! What a look at a link, a press and a report cost doesn't grow with the uses of the link, and what is kept
//! instead of being counted equals a recount. Looks at query plans on SQLite and at rows on PostgreSQL, not
//! at time.

use std::collections::BTreeSet;
use std::time::Duration;

use oncelink::config::ReceiptAddress;
use oncelink::id::{Jti, LinkId, RecipientId};
use oncelink::receipt::{DeliveryState, Receipt, Report};
use oncelink::web::deliveries::{DeliveryStore, ReceiptRules};
use oncelink::web::links::progress::Visitor;
use oncelink::web::links::uses::{self, UseDecision};
use sqlx::{AssertSqlSafe, Row};
use tracing::Instrument;

use crate::link_uses::{LinkDatabase, RECIPIENT, later};
use crate::support::statements::statements;
use crate::support::web::START;

/// Tables that grow with the uses of links.
const GROWING: [&str; 4] = ["link_uses", "link_tokens", "receipts", "issued_tokens"];

/// How a statement may look for rows of them. Each finds one row, what one visitor has, what has just fallen
/// due, or stops at the first.
const ALLOWED: [&str; 15] = [
    "_1 (id=?)",
    "_1 (jti=?)",
    "link_tokens_by_use (use_id=?)",
    "link_tokens_by_visitor (visitor=?)",
    "link_tokens_by_visitor (visitor=? AND path=?)",
    "link_tokens_by_client (client=?)",
    "link_tokens_by_client (client=? AND path=?)",
    "link_tokens_reserved (node=? AND expires_at>? AND expires_at<?)",
    "link_tokens_reserved (node=? AND expires_at<?)",
    "link_tokens_clients (expires_at<?)",
    "link_uses_open (recipient=?)",
    "link_uses_open_by_visitor (recipient=? AND visitor=?)",
    "link_uses_released (changed_at<?)",
    "receipts_by_change (link=?)",
    "issued_tokens_by_end (forget_at<?)",
];

/// Contains only downloads that are running or were interrupted.
const UNFINISHED: &str = "SCAN receipts USING INDEX receipts_unfinished";

/// Likewise, where only the first rows are read; these must not be sorted.
const FIRST_ROWS: [&str; 2] = ["receipts_by_time (link=?)", "receipts_complete (link=?)"];

impl LinkDatabase {
    fn deliveries(&self) -> DeliveryStore {
        let services = &self.processes[0];
        let rules = ReceiptRules {
            address: ReceiptAddress::None,
            own_audience: services.issuer.audience.clone(),
            leeway: Duration::ZERO,
        };
        DeliveryStore::new(services.db.clone(), services.queue.clone(), services.clock.clone(), rules)
    }

    async fn report(&self, jti: Jti, sequence: u64, state: DeliveryState, sent: bool) {
        let audience = self.processes[0].issuer.audience.clone();
        let receipt = Receipt {
            jti,
            link: LinkId::from_store("link"),
            sequence,
            redeemed_at: START,
            started_at: sent.then_some(START),
            last_at: START,
            size: 7,
            bytes: if sent { 7 } else { 0 },
            state,
            resumed: 0,
            address: None,
        };
        let report = Report {
            node: audience.clone(),
            reported_since: START,
            reported_until: START,
            receipts: vec![receipt],
            store: None,
            database: None,
        };
        self.deliveries().record(&report, &audience).await.unwrap();
    }

    /// Whether the token was issued and not released long ago.
    async fn is_known(&self, jti: Jti) -> bool {
        let query = sqlx::query("SELECT jti FROM link_tokens WHERE jti = $1").bind(jti.to_string());
        query.fetch_optional(self.processes[0].db.reader()).await.unwrap().is_some()
    }

    async fn stamp(&self) -> String {
        let links = &self.processes[0].links;
        links.stamp(&self.owner, &LinkId::from_store("link")).await.unwrap().unwrap()
    }

    /// Does everything that happens to a link: looks, presses, reports and pruning.
    async fn use_everything(&self) {
        let services = &self.processes[0];
        let (links, now) = (&services.links, START);
        let (id, recipient) = (LinkId::from_store("link"), RecipientId::from_store(RECIPIENT));
        let visitors = [
            Visitor::default(),
            Visitor { mark: Some("mark".to_owned()), client: Some("client".to_owned()) },
            Visitor { mark: None, client: Some("client".to_owned()) },
        ];
        for visitor in &visitors {
            for named in [false, true] {
                let (link, mut found) = links.by_recipient(&recipient).await.unwrap().unwrap();
                found.email = named.then(|| "bob@example.org".parse().unwrap());
                links.offers(&link, &found, visitor, now).await.unwrap();
                let UseDecision::Token(jti) = self.press_by(0, visitor, named, "/books/a.txt").await else {
                    continue;
                };
                self.report(jti, 1, DeliveryState::Running, true).await;
                self.report(jti, 2, DeliveryState::Complete, true).await;
            }
        }
        assert!(links.by_code("no such code").await.unwrap().is_none());
        links.list(&self.owner, 0).await.unwrap();
        self.stamp().await;
        let history = self.deliveries().of_link(&self.owner, &id).await.unwrap().unwrap();
        assert!(!history.deliveries.is_empty());
        let jti = self.take(None, "/books/a.txt").await;
        self.unsent(jti).await;
        self.take(None, "/books/a.txt").await;
        assert_eq!(self.release(later(3_600)).await, 1);
        uses::release_for_removed_node(&services.db, "https://gone.example", later(3_600), now)
            .await
            .unwrap();
        assert!(uses::prune_released(&services.db, later(1)).await.unwrap() >= 1);
        uses::prune_clients(&services.db, START).await.unwrap();
        services.issued.prune(START).await.unwrap();
    }

    /// Adds `count` uses that were used and reported as complete.
    pub(crate) async fn add_uses(&self, count: u32) {
        let numbers = format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) "
        );
        let audience = &self.processes[0].issuer.audience;
        let jti = "'00000000-0000-4000-8000-' || SUBSTR('000000000000', LENGTH(CAST(n AS TEXT)) + 1) || n";
        for insert in [
            format!(
                "INSERT INTO link_uses (id, recipient, visitor, state, made_at, changed_at) {numbers} \
                 SELECT 'use ' || n, '{RECIPIENT}', 'other ' || n, 'used', n, n FROM numbers"
            ),
            format!(
                "INSERT INTO link_tokens (jti, use_id, path, size, state, issued_at, expires_at, node, visitor) \
                 {numbers} SELECT {jti}, 'use ' || n, '/books/a.txt', 7, 'used', n, n, '{audience}', 'other ' || n \
                 FROM numbers"
            ),
            format!(
                "INSERT INTO receipts (jti, link, node, sequence, redeemed_at, started_at, last_at, size, bytes, \
                 state, resumed, address) {numbers} SELECT {jti}, 'link', '{audience}', 1, n, n, n, 7, 7, \
                 'complete', 0, '' FROM numbers"
            ),
            format!(
                "INSERT INTO issued_tokens (jti, account, forget_at, revoke, node, path, link, terms, kid) \
                 {numbers} SELECT {jti}, '{}', {}, 0, '{audience}', '/books/a.txt', 'link', 0, '' FROM numbers",
                self.owner.as_str(),
                START.secs() + 1_000
            ),
        ] {
            self.sql(&insert).await;
        }
        self.sql(&format!("UPDATE recipients SET taken = {count}")).await;
    }
}

#[actix_web::test]
async fn no_statement_on_a_link_walks_through_its_uses() {
    let database = LinkDatabase::on("sqlite", None).await;
    database.sql("UPDATE links SET notify = 'first'").await;
    let heard = statements();
    database.use_everything().instrument(tracing::debug_span!("statements of links")).await;
    let heard = heard.within("statements of links");
    let mut looks = BTreeSet::new();
    for statement in heard.iter().filter(|text| GROWING.iter().any(|table| text.contains(table))) {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = sqlx::query(explain).fetch_all(database.processes[0].db.reader()).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        for step in &plan {
            let step = step.trim_end_matches(" LEFT-JOIN");
            let index = step.split_once("INDEX ").map(|(_, index)| index).unwrap_or_default();
            let is_search = step.starts_with("SEARCH");
            let first = FIRST_ROWS.iter().any(|first| index.ends_with(first));
            let allowed = is_search && (first || ALLOWED.iter().any(|allowed| index.ends_with(allowed)))
                || step == UNFINISHED;
            let grows = GROWING.iter().any(|table| step.contains(table)) || step.contains(" others ");
            assert!(!grows || allowed, "{step}\n{statement}\n{plan:#?}");
            let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE"));
            assert!(!first || !sorts, "sorts what it finds: {statement}\n{plan:#?}");
            if grows {
                looks.insert(index.to_owned());
            }
        }
    }
    for index in
        ["link_uses_open_by_visitor", "link_tokens_reserved", "receipts_by_time", "receipts_complete"]
    {
        assert!(looks.iter().any(|look| look.contains(index)), "{index} is not used: {looks:#?}");
    }
}

#[actix_web::test]
async fn a_link_that_was_used_forty_thousand_times_reads_no_more_rows_than_a_fresh_one() {
    for database in LinkDatabase::all(None).await {
        let db = &database.processes[0].db;
        let is_postgres =
            sqlx::query("SELECT 1 FROM pg_class LIMIT 1").fetch_optional(db.reader()).await.is_ok();
        if !is_postgres {
            continue;
        }
        database.add_uses(40_000).await;
        for table in GROWING {
            database.sql(&format!("ANALYZE {table}")).await;
        }
        let before = rows_read(&database).await;
        database.use_everything().await;
        let read = rows_read(&database).await - before;
        // The page of the link's owner shows the newest 500 deliveries, with four rows each.
        assert!(read < 5_000, "{read} rows were read");
    }
}

/// How many rows, and entries of indexes, were read of the growing tables so far.
async fn rows_read(database: &LinkDatabase) -> i64 {
    let pool = database.processes[0].db.reader();
    // Each connection reports its counts at the end of this statement.
    let mut connections = Vec::new();
    while let Some(connection) = pool.try_acquire() {
        connections.push(connection);
    }
    for connection in &mut connections {
        sqlx::query("SELECT pg_stat_force_next_flush()").execute(&mut **connection).await.unwrap();
    }
    let read = "SELECT CAST(SUM(reads) AS BIGINT) FROM (SELECT relname, seq_tup_read AS reads \
         FROM pg_stat_user_tables WHERE schemaname = current_schema() UNION ALL \
         SELECT relname, idx_tup_read FROM pg_stat_user_indexes WHERE schemaname = current_schema()) AS counts \
         WHERE relname IN ('link_uses', 'link_tokens', 'receipts', 'issued_tokens')";
    sqlx::query_scalar(read).fetch_one(&mut *connections.pop().unwrap()).await.unwrap()
}

#[actix_web::test]
async fn what_is_kept_equals_a_recount_after_whatever_happens() {
    for database in LinkDatabase::all(Some(60)).await {
        let services = &database.processes[0];
        let mut state = 7_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut tokens: Vec<Jti> = Vec::new();
        for step in 0..300_u64 {
            let stamp = database.stamp().await;
            match (random(12), tokens.len() as u64) {
                (0..6, _) | (_, 0) => {
                    let mark = format!("mark {}", random(20));
                    let visitor = Visitor { mark: Some(mark), client: Some(format!("client {}", random(9))) };
                    let file = format!("/books/{}.txt", random(3));
                    if let UseDecision::Token(jti) =
                        database.press_by(0, &visitor, random(2) == 0, &file).await
                    {
                        tokens.push(jti);
                    }
                }
                (6, count) => database.started(tokens[random(count) as usize]).await,
                (7, count) => database.unsent(tokens[random(count) as usize]).await,
                (8 | 9, count) => {
                    let jti = tokens[random(count) as usize];
                    let states = [DeliveryState::Running, DeliveryState::Complete, DeliveryState::Ended];
                    let told = random(3) as usize;
                    database.report(jti, step + 1, states[told], told < 2 || random(2) == 0).await;
                    assert!(
                        !database.is_known(jti).await || database.stamp().await != stamp,
                        "the page changes"
                    );
                }
                (10, _) => {
                    let released = database.release(later(121)).await;
                    assert_eq!(database.release(later(121)).await, 0, "{released}, once");
                }
                _ => {
                    uses::prune_released(&services.db, later(1)).await.unwrap();
                    uses::prune_clients(&services.db, later(121)).await.unwrap();
                }
            }
            for (kept, counted) in [
                (
                    "SELECT taken FROM recipients",
                    "SELECT COUNT(*) FROM link_uses WHERE state IN ('reserved', 'used')",
                ),
                (
                    "SELECT reserved FROM recipients",
                    "SELECT COUNT(*) FROM link_uses WHERE state = 'reserved'",
                ),
            ] {
                assert_eq!(database.number(kept).await, database.number(counted).await, "{step}: {kept}");
            }
        }
        assert!(database.taken().await > 0);
    }
}
