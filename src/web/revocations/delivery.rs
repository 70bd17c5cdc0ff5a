//! What waits, delivered to every node at its own pace.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Row;

use crate::clock::Timestamp;
use crate::http_client::HttpError;
use crate::id::Jti;
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};
use crate::web::nodes::Nodes;
use crate::web::nodes::over_http::HttpNode;
use crate::web::nodes::revoke::{RevocationSink, RevokeError};
use crate::web::revocations::lane::{NodeLane, REMIND_EVERY};
use crate::web::tokens::issuer::Issuer;

/// How often what waits is looked for where nobody calls: another process may have marked it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What came of delivering to one node.
#[derive(Debug)]
pub struct RevocationOutcome {
    /// The node's name.
    pub node: String,
    /// Its inner address.
    pub at: String,
    /// How many jtis it has on record now that waited for it.
    pub outcome: Result<usize, RevokeError>,
}

/// The revocations that wait, and the ways to the nodes. Clones are the same.
#[derive(Clone)]
pub struct Revocations {
    db: Database,
    own_audience: Arc<str>,
    lanes: Arc<[NodeLane]>,
    /// When it was last said that something waits for a node that the settings don't name.
    reminded: Arc<Mutex<BTreeMap<String, Timestamp>>>,
}

impl Revocations {
    /// Those in `db`, for these nodes.
    pub fn new(db: Database, nodes: &Nodes) -> Revocations {
        Revocations {
            db,
            own_audience: nodes.own_audience().into(),
            lanes: nodes.services().iter().cloned().map(NodeLane::new).collect(),
            reminded: Arc::default(),
        }
    }

    /// The audience of tokens for which none was put down.
    pub(super) fn own_audience(&self) -> &str {
        &self.own_audience
    }

    /// Says once and for all how the download service of `[download]` is told, which runs in this process.
    pub fn set_own_sink(&self, to: Arc<dyn RevocationSink>) {
        if let Some(lane) = self.lanes.iter().find(|lane| *lane.node.public_url == *self.own_audience) {
            lane.set_sink(to);
        }
    }

    /// Says that all nodes of which nothing else was said are told over HTTP.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn set_http_sinks(&self, issuer: &Issuer) -> Result<(), HttpError> {
        for lane in self.lanes.iter().filter(|lane| !lane.has_sink()) {
            let issuer = issuer.for_audience(&lane.node.public_url);
            lane.set_sink(Arc::new(HttpNode::new(issuer, &lane.node.inner_url)?));
        }
        Ok(())
    }

    /// Has what was marked delivered now.
    pub fn wake(&self) {
        self.lanes.iter().for_each(NodeLane::wake);
    }

    /// Delivers what waits to every node, once, all at the same time; to those that failed just before
    /// only if `all`.
    pub async fn deliver(&self, all: bool, now: Timestamp) -> Vec<RevocationOutcome> {
        let deliveries = self.lanes.iter().map(|lane| async move {
            let outcome = match all || !lane.is_failing() {
                true => lane.deliver(&self.db, now).await,
                false => lane
                    .waiting(&self.db)
                    .await
                    .map_err(RevokeError::from)
                    .and_then(|waiting| if waiting == 0 { Ok(0) } else { Err(RevokeError::Waiting) }),
            };
            RevocationOutcome { node: lane.node.name.clone(), at: lane.node.inner_url.clone(), outcome }
        });
        futures_util::future::join_all(deliveries).await
    }

    /// Marks tokens of which nothing may be known here, at each of these nodes, in a transaction.
    ///
    /// # Errors
    /// When the database fails; none is marked then.
    pub async fn mark(
        &self,
        jtis: &[Jti],
        audiences: &[&str],
        forget_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), QueryError> {
        let mut transaction = self.db.begin().await?;
        for jti in jtis {
            sqlx::query("UPDATE issued_tokens SET revoke = 1 WHERE jti = $1")
                .bind(jti.to_string())
                .execute(&mut *transaction)
                .await?;
            for audience in audiences {
                sqlx::query(
                    "INSERT INTO revocations (jti, node, marked_at, forget_at) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (jti, node) DO NOTHING",
                )
                .bind(jti.to_string())
                .bind(*audience)
                .bind(to_column(now))
                .bind(to_column(forget_at))
                .execute(&mut *transaction)
                .await?;
            }
        }
        self.db.commit(transaction).await
    }

    /// How many wait, by the audience of their node.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn waiting(&self) -> Result<BTreeMap<String, i64>, QueryError> {
        let rows = sqlx::query("SELECT node, COUNT(*) AS waiting FROM revocations GROUP BY node")
            .fetch_all(self.db.reader())
            .await?;
        let counted = rows.iter().map(|row| Ok((row.try_get("node")?, row.try_get("waiting")?)));
        Ok(counted.collect::<Result<_, sqlx::Error>>()?)
    }

    /// Delivers what is marked, for ever, each node at its own pace. Ends when it is dropped.
    pub async fn run(&self, now: impl Fn() -> Timestamp) {
        let now = &now;
        let lanes = self.lanes.iter().map(|lane| lane.run(&self.db, now));
        tokio::join!(futures_util::future::join_all(lanes), self.find_marked(now));
    }

    /// Finds what another process marked.
    async fn find_marked(&self, now: impl Fn() -> Timestamp) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Where the database is down, the lanes say so once something is to be done.
            let Ok(waiting) = self.waiting().await else { continue };
            for (audience, count) in &waiting {
                match self.lanes.iter().find(|lane| lane.node.public_url == *audience) {
                    Some(lane) => lane.notify_found(),
                    None => self.remind(audience, *count, now()),
                }
            }
        }
    }

    /// Says that something waits for a node that is not there; whoever removed it in the settings alone
    /// may have forgotten the command.
    fn remind(&self, audience: &str, count: i64, now: Timestamp) {
        let mut reminded = self.reminded.lock().unwrap_or_else(PoisonError::into_inner);
        if reminded.get(audience).is_some_and(|at| now.since(*at) < REMIND_EVERY) {
            return;
        }
        let first = reminded.insert(audience.to_owned(), now).is_none();
        let cause =
            "the settings have no download service with this address; `oncelink nodes remove` if it is gone";
        match first {
            true => tracing::warn!(count, node = audience, cause, "tokens wait to be revoked"),
            false => tracing::error!(count, node = audience, cause, "tokens wait to be revoked"),
        }
    }

    /// Forgets what can't matter any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<(), QueryError> {
        sqlx::query("DELETE FROM revocations WHERE forget_at <= $1")
            .bind(to_column(now))
            .execute(self.db.writer())
            .await?;
        Ok(())
    }

    /// Makes what waits for every node (marked by an earlier release) wait for each of them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn assign_nodes(&self) -> Result<(), QueryError> {
        let mut transaction = self.db.begin().await?;
        for lane in self.lanes.iter() {
            sqlx::query(
                "INSERT INTO revocations (jti, node, marked_at, forget_at) \
                 SELECT jti, $1, marked_at, forget_at FROM revocations WHERE node = '' \
                 ON CONFLICT (jti, node) DO NOTHING",
            )
            .bind(&lane.node.public_url)
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query("DELETE FROM revocations WHERE node = ''").execute(&mut *transaction).await?;
        self.db.commit(transaction).await
    }
}
