//! Download services that tell of deliveries, and up to which moment each has told all. What was not
//! redeemed by then never will be: its use is released.

use std::ops::Range;

use sqlx::Row;

use crate::clock::Timestamp;
use crate::receipt::Report;
use crate::web::db::QueryError;
use crate::web::db::columns::{from_column, to_column};
use crate::web::deliveries::receipts::DeliveryStore;
use crate::web::links::uses::{self, NodeTokens};
use crate::web::nodes::Nodes;

/// Where nothing depends on it, a watermark is put down this seldom: each time is a write to the disk.
const AT_LEAST_EVERY: std::time::Duration = std::time::Duration::from_secs(60);

impl DeliveryStore {
    /// Puts down up to which moment a node has told all, and releases what nobody redeemed. Only those
    /// who may redeem the same tokens count: the processes that share an audience.
    pub(crate) async fn advance_watermark(&self, report: &Report, now: Timestamp) -> Result<(), QueryError> {
        let audience = audience_of(&report.node);
        // Nobody can speak for what is still to come.
        let told_until = report.told_until.min(now);
        let (mut since, mut until) = (report.told_since, told_until);
        let mut written = None;
        for node in self.nodes().await? {
            if node.name == report.node {
                written = Some(node);
            } else if audience_of(&node.name) == audience && node.removed_at.is_none() {
                // Whoever of them is silent holds the release up: nobody knows what it would tell.
                since = since.max(node.told_since);
                until = until.min(node.told_until);
            }
        }
        let of = NodeTokens { audience, unnamed: audience == self.rules.own_audience };
        // Tokens are kept from being redeemed by the leeway after their end, on a node whose clock may
        // be as much behind.
        let ended_by = |told_until: Timestamp| told_until.minus(self.rules.leeway * 2);
        let stale = written.as_ref().is_none_or(|node| {
            node.told_since != report.told_since || node.told_until.plus(AT_LEAST_EVERY) <= report.told_until
        });
        // What the others wait for is put down at once: each of them knows this watermark as it is written.
        let said = written.map_or(Timestamp::EPOCH, |node| ended_by(node.told_until));
        if stale || self.is_waited_for(of, report.told_since, said..ended_by(told_until)).await? {
            self.write(report, now).await?;
        }
        let before = ended_by(until);
        if self.is_waited_for(of, since, Timestamp::EPOCH..before).await? {
            let released = uses::release_unredeemed(&self.db, of, since, before, now).await?;
            if released > 0 {
                tracing::info!(released, "uses of links are free again: nobody redeemed their tokens");
            }
        }
        Ok(())
    }

    /// Whether a use is reserved by a token that was issued since `since` and ended within `ended`.
    async fn is_waited_for(
        &self,
        of: NodeTokens<'_>,
        since: Timestamp,
        ended: Range<Timestamp>,
    ) -> Result<bool, QueryError> {
        let waiting: Option<String> = sqlx::query_scalar(
            "SELECT jti FROM link_tokens WHERE state = 'reserved' AND expires_at >= $1 AND expires_at < $2 \
             AND issued_at >= $3 AND (node = $4 OR (node = '' AND $5 = 1)) LIMIT 1",
        )
        .bind(to_column(ended.start))
        .bind(to_column(ended.end))
        .bind(to_column(since))
        .bind(of.audience)
        .bind(i64::from(of.unnamed))
        .fetch_optional(self.db.reader())
        .await?;
        Ok(waiting.is_some())
    }

    /// Releases what was begun, or reserved, at nodes that were removed, and returns how much that was.
    /// Nobody but they could finish it, and nobody hears them any more.
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

    /// Whether that download service was taken out.
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
        .bind(to_column(report.told_since))
        .bind(to_column(report.told_until))
        .bind(to_column(now))
        .execute(self.db.writer())
        .await?;
        Ok(())
    }

    /// All download services that ever told anything.
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
                told_since: from_column(row.try_get("told_since")?),
                told_until: from_column(row.try_get("told_until")?),
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
    /// Its address, and what tells it from others that share it.
    pub name: String,
    /// When its record begins.
    pub told_since: Timestamp,
    /// Every redemption before this moment has been told.
    pub told_until: Timestamp,
    /// When it last said so and that was put down.
    pub seen_at: Timestamp,
    /// When it was taken out; nothing that it tells is heard any more.
    pub removed_at: Option<Timestamp>,
}

/// The audience of the tokens that a download service redeems: its name, but for what tells it from
/// others that share its address.
pub fn audience_of(name: &str) -> &str {
    name.split_once('#').map_or(name, |(audience, _)| audience)
}
