//! Download services that tell of deliveries, and up to which moment each has told all. What was not
//! redeemed by then never will be: its use is released.

use sqlx::Row;

use crate::clock::Timestamp;
use crate::receipt::Report;
use crate::web::accounts::{from_column, to_column};
use crate::web::db::QueryError;
use crate::web::links::uses;
use crate::web::receipts::Receipts;

/// Where nothing depends on it, a watermark is put down this seldom: each time is a write to the disk.
const AT_LEAST_EVERY: std::time::Duration = std::time::Duration::from_secs(60);

impl Receipts {
    /// Puts down up to which moment a node has told all, and releases what nobody redeemed.
    pub(super) async fn told_by(&self, report: &Report, now: Timestamp) -> Result<(), QueryError> {
        let (mut since, mut until) = (report.told_since, report.told_until);
        let mut written = None;
        for node in self.nodes().await? {
            if node.name == report.node {
                written = Some(node);
            } else if self.may_redeem(&node.name) {
                // Whoever of them is silent holds the release up: nobody knows what it would tell.
                since = since.max(node.told_since);
                until = until.min(node.told_until);
            }
        }
        // Tokens are kept from being redeemed by the leeway after their end, on a node whose clock may
        // be as much behind.
        let before = until.minus(self.leeway * 2);
        let waiting: Option<String> = sqlx::query_scalar(
            "SELECT jti FROM link_tokens WHERE state = 'reserved' AND expires_at < $1 AND issued_at >= $2 \
             LIMIT 1",
        )
        .bind(to_column(before))
        .bind(to_column(since))
        .fetch_optional(self.db.reader())
        .await?;
        let stale = written.is_none_or(|node| {
            node.told_since != report.told_since || node.told_until.plus(AT_LEAST_EVERY) <= report.told_until
        });
        if stale || waiting.is_some() {
            self.write(report, now).await?;
        }
        if waiting.is_some() && self.may_redeem(&report.node) {
            let released = uses::release_unredeemed(&self.db, since, before, now).await?;
            if released > 0 {
                tracing::info!(released, "uses of links are free again: nobody redeemed their tokens");
            }
        }
        Ok(())
    }

    /// Whether tokens that are issued now are meant for that node: it has the address of the download
    /// service, or shares it with others.
    fn may_redeem(&self, node: &str) -> bool {
        node.split('#').next() == Some(self.audience.as_str())
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
        let rows = sqlx::query("SELECT name, told_since, told_until, seen_at FROM nodes ORDER BY name")
            .fetch_all(self.db.reader())
            .await?;
        let nodes = rows.iter().map(|row| {
            Ok(Node {
                name: row.try_get("name")?,
                told_since: from_column(row.try_get("told_since")?),
                told_until: from_column(row.try_get("told_until")?),
                seen_at: from_column(row.try_get("seen_at")?),
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
}
