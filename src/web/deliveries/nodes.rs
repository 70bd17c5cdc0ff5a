//! Download services that report deliveries, and up to which time each has reported everything. Tokens that
//! expired before that without being redeemed never will be, so their uses are released.

use std::ops::Range;

use sqlx::Row;

use crate::clock::Timestamp;
use crate::receipt::Report;
use crate::web::db::QueryError;
use crate::web::db::columns::{from_column, to_column};
use crate::web::deliveries::receipts::DeliveryStore;
use crate::web::links::uses::{self, NodeTokens};
use crate::web::nodes::Nodes;

/// Minimum time between two writes of a watermark on which nothing depends, because each goes to the disk.
const AT_LEAST_EVERY: std::time::Duration = std::time::Duration::from_secs(60);

impl DeliveryStore {
    /// Records up to which time a node has reported everything, and releases uses whose tokens nobody
    /// redeemed. This only depends on nodes that may redeem the same tokens: the processes that share an
    /// audience.
    pub(crate) async fn advance_watermark(&self, report: &Report, now: Timestamp) -> Result<(), QueryError> {
        let audience = audience_of(&report.node);
        // A report can't cover the future.
        let reported_until = report.reported_until.min(now);
        let (mut since, mut until) = (report.reported_since, reported_until);
        let mut written = None;
        for node in self.nodes().await? {
            if node.name == report.node {
                written = Some(node);
            } else if audience_of(&node.name) == audience && node.removed_at.is_none() {
                // A node among them that is silent delays the release, because its deliveries are unknown.
                since = since.max(node.reported_since);
                until = until.min(node.reported_until);
            }
        }
        let of = NodeTokens { audience, unnamed: audience == self.rules.own_audience };
        // A node accepts tokens until the leeway after they expire, and its clock may be behind by as much
        // again.
        let ended_by = |reported_until: Timestamp| reported_until.minus(self.rules.leeway * 2);
        let stale = written.as_ref().is_none_or(|node| {
            node.reported_since != report.reported_since
                || node.reported_until.plus(AT_LEAST_EVERY) <= report.reported_until
        });
        // A watermark that a release depends on is written immediately, because the other nodes only know the
        // written one.
        let said = written.map_or(Timestamp::EPOCH, |node| ended_by(node.reported_until));
        if stale || self.is_waited_for(of, report.reported_since, said..ended_by(reported_until)).await? {
            self.write(report, now).await?;
        }
        let before = ended_by(until);
        if self.is_waited_for(of, since, Timestamp::EPOCH..before).await? {
            let released = uses::release_unredeemed(&self.db, of, since, before, now).await?;
            if released > 0 {
                tracing::info!(released, "released link uses: nobody redeemed their tokens");
            }
        }
        Ok(())
    }

    /// Whether a use is reserved by a token that was issued at `since` or later and expired within `ended`.
    async fn is_waited_for(
        &self,
        of: NodeTokens<'_>,
        since: Timestamp,
        ended: Range<Timestamp>,
    ) -> Result<bool, QueryError> {
        let waiting: Option<String> = sqlx::query_scalar(
            "SELECT jti FROM link_tokens WHERE state = 'reserved' AND expires_at >= $1 AND expires_at < $2 \
             AND issued_at >= $3 AND node IN ($4, $5) LIMIT 1",
        )
        // A token that was issued later also expired later.
        .bind(to_column(ended.start.max(since)))
        .bind(to_column(ended.end))
        .bind(to_column(since))
        .bind(of.audience)
        .bind(of.other_name())
        .fetch_optional(self.db.reader())
        .await?;
        Ok(waiting.is_some())
    }

    /// Releases uses that were begun or reserved at nodes that were removed, and returns how many. Only those
    /// nodes could finish them, and their reports are no longer accepted.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_of_removed(&self, nodes: &Nodes, now: Timestamp) -> Result<u64, QueryError> {
        let before = now.minus(self.rules.leeway * 2);
        let active = nodes.active().await?;
        let mut released = 0;
        for node in nodes.keyed().await?.iter().filter(|node| node.removed_at.is_some()) {
            if active.iter().all(|active| active.public_url != node.audience) {
                released += uses::release_for_removed_node(&self.db, &node.audience, before, now).await?;
            }
        }
        Ok(released)
    }

    /// Whether the download service with this name was removed.
    pub(crate) async fn is_removed(&self, name: &str) -> Result<bool, QueryError> {
        let removed: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM nodes WHERE name = $1 AND removed_at IS NOT NULL")
                .bind(name)
                .fetch_one(self.db.reader())
                .await?;
        Ok(removed > 0)
    }

    async fn write(&self, report: &Report, now: Timestamp) -> Result<(), QueryError> {
        sqlx::query(
            "INSERT INTO nodes (name, told_since, told_until, seen_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name) DO UPDATE SET told_since = excluded.told_since, \
             told_until = excluded.told_until, seen_at = excluded.seen_at",
        )
        .bind(&report.node)
        .bind(to_column(report.reported_since))
        .bind(to_column(report.reported_until))
        .bind(to_column(now))
        .execute(self.db.writer())
        .await?;
        Ok(())
    }

    /// Returns all download services that have ever sent a report.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn nodes(&self) -> Result<Vec<Node>, QueryError> {
        let rows =
            sqlx::query("SELECT name, told_since, told_until, seen_at, removed_at FROM nodes ORDER BY name")
                .fetch_all(self.db.reader())
                .await?;
        let nodes = rows.iter().map(|row| {
            Ok(Node {
                name: row.try_get("name")?,
                reported_since: from_column(row.try_get("told_since")?),
                reported_until: from_column(row.try_get("told_until")?),
                seen_at: from_column(row.try_get("seen_at")?),
                removed_at: row.try_get::<Option<i64>, _>("removed_at")?.map(from_column),
            })
        });
        Ok(nodes.collect::<Result<_, sqlx::Error>>()?)
    }
}

/// A download service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its address, with a suffix if several processes share the address.
    pub name: String,
    /// When its record of redemptions begins.
    pub reported_since: Timestamp,
    /// Every redemption before this time has been reported.
    pub reported_until: Timestamp,
    /// When the last report that was written here arrived.
    pub seen_at: Timestamp,
    /// When it was removed; its reports are ignored since then.
    pub removed_at: Option<Timestamp>,
}

/// Returns the audience of the tokens that a download service redeems: its name without the suffix that
/// distinguishes processes that share an address.
pub fn audience_of(name: &str) -> &str {
    name.split_once('#').map_or(name, |(audience, _)| audience)
}
