//! Delivers waiting revocations to every node, at the pace of each node.

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

/// How often the database is checked for revocations that another process marked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The result of delivering to one node.
#[derive(Debug)]
pub struct RevocationOutcome {
    /// The node's name.
    pub node: String,
    /// The node's inner address.
    pub at: String,
    /// How many waiting jtis it has recorded now.
    pub outcome: Result<usize, RevokeError>,
}

/// The waiting revocations, and the connections to the nodes. Clones share their state.
#[derive(Clone)]
pub struct Revocations {
    db: Database,
    own_audience: Arc<str>,
    lanes: Arc<[NodeLane]>,
    /// When it was last logged that revocations wait for a node that is not in the settings, by audience.
    reminded: Arc<Mutex<BTreeMap<String, Timestamp>>>,
}

impl Revocations {
    /// Creates it for the revocations in `db` and these nodes.
    pub fn new(db: Database, nodes: &Nodes) -> Revocations {
        Revocations {
            db,
            own_audience: nodes.own_audience().into(),
            lanes: nodes.services().iter().cloned().map(NodeLane::new).collect(),
            reminded: Arc::default(),
        }
    }

    /// The audience of tokens for which none was recorded.
    pub(super) fn own_audience(&self) -> &str {
        &self.own_audience
    }

    /// Sets how revocations reach the download service of `[download]`, which runs in this process. Only the
    /// first call has an effect.
    pub fn set_own_sink(&self, to: Arc<dyn RevocationSink>) {
        if let Some(lane) = self.lanes.iter().find(|lane| *lane.node.public_url == *self.own_audience) {
            lane.set_sink(to);
        }
    }

    /// Sets HTTP as the way to all nodes that have no sink yet.
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

    /// Wakes the delivery of revocations that were just marked.
    pub fn wake(&self) {
        self.lanes.iter().for_each(NodeLane::wake);
    }

    /// Delivers waiting revocations once, to all nodes in parallel. Nodes whose last delivery failed are only
    /// tried if `all` is true.
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

    /// Marks tokens as revoked at each of these nodes, in one transaction. The tokens need not be known here.
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

    /// Returns how many revocations are waiting, by the audience of their node.
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

    /// Delivers marked revocations until the future is dropped, each node at its own pace.
    pub async fn run(&self, now: impl Fn() -> Timestamp) {
        let now = &now;
        let lanes = self.lanes.iter().map(|lane| lane.run(&self.db, now));
        tokio::join!(futures_util::future::join_all(lanes), self.find_marked(now));
    }

    /// Finds revocations that another process marked.
    async fn find_marked(&self, now: impl Fn() -> Timestamp) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // If the database is down, the lanes report that as soon as they have something to deliver.
            let Ok(waiting) = self.waiting().await else { continue };
            for (audience, count) in &waiting {
                match self.lanes.iter().find(|lane| lane.node.public_url == *audience) {
                    Some(lane) => lane.notify_found(),
                    None => self.remind(audience, *count, now()),
                }
            }
        }
    }

    /// Logs that revocations wait for a node that is not in the settings. An operator who only removed it
    /// from the settings may have forgotten the command.
    fn remind(&self, audience: &str, count: i64, now: Timestamp) {
        let mut reminded = self.reminded.lock().unwrap_or_else(PoisonError::into_inner);
        if reminded.get(audience).is_some_and(|at| now.since(*at) < REMIND_EVERY) {
            return;
        }
        let first = reminded.insert(audience.to_owned(), now).is_none();
        let cause =
            "the settings have no download service with this address; `oncelink nodes remove` if it is gone";
        match first {
            true => tracing::warn!(count, node = audience, cause, "revocations are waiting"),
            false => tracing::error!(count, node = audience, cause, "revocations are waiting"),
        }
    }

    /// Deletes revocations of tokens that can no longer be used.
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

    /// Converts revocations that wait for every node (marked by an earlier release) to one for each node.
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
