//! Records reports: the receipts, their log, the uses that they settle and the mails to owners, in one
//! transaction. Then releases the uses of tokens that nobody redeemed.

use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::receipt::{DeliveryState, Receipt, Report, ReportReply};
use crate::web::audit::chain;
use crate::web::db::QueryError;
use crate::web::db::columns::to_column;
use crate::web::deliveries::log::{self, DeliverySnapshot};
use crate::web::deliveries::nodes::audience_of;
use crate::web::deliveries::notices::{self, NoticeBatching};
use crate::web::deliveries::receipts::{DeliveryStore, shortened};
use crate::web::identity::{AccountId, Email};
use crate::web::links::{Notify, uses};
use crate::web::mail::queue::QueueError;
use crate::web::mail::{MailDetails, MailKind, NewMail};
use crate::web::restored::RestoreDetectionError;
use crate::web::webhooks::event::WebhookEvent;
use crate::web::webhooks::outbox;

/// A report could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A mail to an owner could not be queued.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Detecting a restored backup, or acting on it, failed.
    #[error(transparent)]
    Restored(#[from] RestoreDetectionError),
    /// The report names a different node than the one that sent it, or a node that was removed.
    #[error("the report is from a different node, or from a node that was removed")]
    Foreign,
}

impl From<sqlx::Error> for IntakeError {
    fn from(error: sqlx::Error) -> IntakeError {
        QueryError::from(error).into()
    }
}

impl DeliveryStore {
    /// Accepts a report: first detects whether anything was restored from a backup, then records the
    /// receipts. Returns what the download service must remember.
    ///
    /// # Errors
    /// When the report could not be accepted; it must be sent again.
    pub async fn accept_report(&self, report: &Report, audience: &str) -> Result<ReportReply, IntakeError> {
        // Nothing that a stranger reports is trusted, not even its standing.
        if audience_of(&report.node) != audience || self.is_removed(&report.node).await? {
            return Err(IntakeError::Foreign);
        }
        let Some(standings) = &self.restore_detector else {
            self.record(report, audience).await?;
            return Ok(ReportReply::default());
        };
        if let Some(word) = &report.database {
            standings.check_signed_standing(word).await?;
        }
        let store = match &report.store {
            Some(store) => Some(standings.remember(store, !report.receipts.is_empty()).await?),
            None => None,
        };
        self.record(report, audience).await?;
        Ok(ReportReply { store, database: Some(standings.signed_standing().await?) })
    }

    /// Records a report of the node with this audience durably. Repeating it changes nothing. Receipts of
    /// tokens that were not issued for this node are ignored.
    ///
    /// # Errors
    /// See [`IntakeError`]; the report must be sent again.
    pub async fn record(&self, report: &Report, audience: &str) -> Result<(), IntakeError> {
        let now = self.clock.now();
        if audience_of(&report.node) != audience || self.is_removed(&report.node).await? {
            return Err(IntakeError::Foreign);
        }
        if !report.receipts.is_empty() {
            let mut transaction = self.db.begin().await?;
            // Locked first: two reports that touch the same recipients in a different order would deadlock.
            chain::lock::<log::DeliveryLogLine>(&mut transaction).await?;
            let (mut mailed, mut foreign) = (false, 0_usize);
            let mut events = Vec::new();
            for receipt in &report.receipts {
                if self.belongs_to(&mut transaction, receipt, audience).await? {
                    let receipt = not_after(receipt, now.plus(self.rules.leeway));
                    mailed |= self
                        .record_receipt(&mut transaction, &report.node, &receipt, &mut events, now)
                        .await?;
                } else {
                    foreign += 1;
                }
            }
            // Last, because other transactions lock recipients before webhooks.
            outbox::record(&mut transaction, &events, now).await?;
            self.db.commit(transaction).await?;
            if foreign > 0 {
                tracing::warn!(
                    node = report.node,
                    count = foreign,
                    "ignored receipts for tokens of another node"
                );
            }
            if mailed {
                self.queue.wake();
            }
        }
        // After the commit, because the watermark relies on the report's receipts.
        self.advance_watermark(report, now).await?;
        Ok(())
    }

    /// Whether a receipt's token was issued for the node with this audience, through the link that the
    /// receipt names. If the link no longer exists, earlier receipts of the token decide.
    async fn belongs_to(
        &self,
        transaction: &mut Transaction<'static, Any>,
        receipt: &Receipt,
        audience: &str,
    ) -> Result<bool, sqlx::Error> {
        let issued = sqlx::query(
            "SELECT link_tokens.node, recipients.link FROM link_tokens \
             JOIN link_uses ON link_uses.id = link_tokens.use_id \
             JOIN recipients ON recipients.id = link_uses.recipient WHERE link_tokens.jti = $1",
        )
        .bind(receipt.jti.to_string())
        .fetch_optional(&mut **transaction)
        .await?;
        let known = match issued {
            Some(row) => Some(row),
            None => {
                sqlx::query("SELECT node, link FROM receipts WHERE jti = $1")
                    .bind(receipt.jti.to_string())
                    .fetch_optional(&mut **transaction)
                    .await?
            }
        };
        let Some(known) = known else { return Ok(false) };
        let (node, link): (String, String) = (known.try_get("node")?, known.try_get("link")?);
        let node = if node.is_empty() { self.rules.own_audience.as_str() } else { audience_of(&node) };
        Ok(node == audience && link == receipt.link.as_str())
    }

    /// Returns whether a mail was queued.
    async fn record_receipt(
        &self,
        transaction: &mut Transaction<'static, Any>,
        node: &str,
        receipt: &Receipt,
        events: &mut Vec<WebhookEvent>,
        now: Timestamp,
    ) -> Result<bool, IntakeError> {
        let known = sqlx::query("SELECT sequence, started_at, state, resumed FROM receipts WHERE jti = $1")
            .bind(receipt.jti.to_string())
            .fetch_optional(&mut **transaction)
            .await?;
        let mut before = None;
        if let Some(row) = known {
            if row.try_get::<i64, _>("sequence")?.cast_unsigned() >= receipt.sequence {
                // That the delivery began stays true, even if it is missing from a report with a higher
                // sequence number.
                if receipt.started_at.is_some() {
                    began(transaction, receipt).await?;
                    if uses::mark_used(transaction, receipt.jti, now).await? {
                        events.push(WebhookEvent::link_used_up(&receipt.link));
                    }
                }
                return Ok(false);
            }
            before = Some(DeliverySnapshot {
                started: row.try_get::<Option<i64>, _>("started_at")?.is_some(),
                state: row.try_get::<String, _>("state")?.parse().unwrap_or(DeliveryState::Interrupted),
                resumed: u32::try_from(row.try_get::<i64, _>("resumed")?).unwrap_or(u32::MAX),
            });
        }
        let address = shortened(receipt.address, self.rules.address);
        write(transaction, node, receipt, &address).await?;
        let mut is_used_up = false;
        if receipt.started_at.is_some() && !before.is_some_and(|before| before.started) {
            is_used_up = uses::mark_used(transaction, receipt.jti, now).await?;
        } else if receipt.started_at.is_none()
            && receipt.state == DeliveryState::Ended
            && has_ended(transaction, receipt, now.minus(self.rules.leeway * 2)).await?
        {
            // A token that is reported as over before it has expired is released by `advance_watermark`,
            // after it expires: until then, a node could still redeem it.
            uses::release_unsent(transaction, receipt.jti, now).await?;
        }
        let steps = log::transitions(before, DeliverySnapshot::of(receipt));
        for event in &steps {
            log::append(transaction, receipt, *event, &address, now).await?;
        }
        if steps.contains(&log::DeliveryEvent::Started) {
            events.push(WebhookEvent::delivery_started(&receipt.link, receipt.jti, receipt.size));
        }
        if is_used_up {
            events.push(WebhookEvent::link_used_up(&receipt.link));
        }
        if steps.contains(&log::DeliveryEvent::Complete) {
            events.push(WebhookEvent::delivery_completed(&receipt.link, receipt.jti, receipt.size));
        }
        match steps.contains(&log::DeliveryEvent::Complete) {
            true => self.tell_owner(transaction, receipt, now).await,
            false => Ok(false),
        }
    }

    /// Queues the mail that the link's owner wants when a download is complete. Returns whether one was
    /// queued.
    async fn tell_owner(
        &self,
        transaction: &mut Transaction<'static, Any>,
        receipt: &Receipt,
        now: Timestamp,
    ) -> Result<bool, IntakeError> {
        let owner = sqlx::query(
            "SELECT accounts.id, accounts.email, links.notify FROM links \
             JOIN accounts ON accounts.id = links.account WHERE links.id = $1 AND accounts.disabled = 0 \
             AND NOT EXISTS (SELECT 1 FROM notices_off WHERE notices_off.account = accounts.id AND kind = $2)",
        )
        .bind(receipt.link.as_str())
        .bind(MailKind::Taken.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
        let Some(owner) = owner else { return Ok(false) };
        // Not counted, because a link may have been downloaded very often.
        let other = "SELECT 1 FROM receipts WHERE link = $1 AND state = 'complete' AND jti <> $2 LIMIT 1";
        let notify = owner.try_get::<String, _>("notify")?.parse().unwrap_or_default();
        let wished = match notify {
            Notify::Every => true,
            Notify::First => {
                let other: Option<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(other))
                    .bind(receipt.link.as_str())
                    .bind(receipt.jti.to_string())
                    .fetch_optional(&mut **transaction)
                    .await?;
                other.is_none()
            }
            Notify::Never => false,
        };
        if wished {
            let is_only = notify == Notify::First;
            let batched = notices::batch(transaction, &receipt.link, receipt.jti, is_only, now).await?;
            let next_at = match batched {
                NoticeBatching::IntoWaiting => return Ok(false),
                NoticeBatching::New { next_at } => next_at,
            };
            let mail = NewMail {
                kind: MailKind::Taken,
                recipient: Email::from_store(owner.try_get("email")?),
                jti: receipt.jti,
                details: MailDetails::of(&AccountId::from_store(&owner.try_get::<String, _>("id")?)),
            };
            self.queue.add(transaction, &mail, now).await?;
            notices::not_before(transaction, receipt.jti, next_at).await?;
        }
        Ok(wished)
    }
}

/// A receipt without times after `latest`, which a node with a wrong clock reports: files that are to be deleted
/// after the last byte would be kept until then.
fn not_after(receipt: &Receipt, latest: Timestamp) -> Receipt {
    Receipt {
        redeemed_at: receipt.redeemed_at.min(latest),
        started_at: receipt.started_at.map(|started_at| started_at.min(latest)),
        last_at: receipt.last_at.min(latest),
        ..receipt.clone()
    }
}

async fn write(
    transaction: &mut Transaction<'static, Any>,
    node: &str,
    receipt: &Receipt,
    address: &str,
) -> Result<(), sqlx::Error> {
    let bytes = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    sqlx::query(
        "INSERT INTO receipts (jti, link, node, sequence, redeemed_at, started_at, last_at, size, bytes, \
         state, resumed, address, change_number) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
         COALESCE((SELECT change_number FROM receipts WHERE link = $2 ORDER BY change_number DESC LIMIT 1), 0) + 1) \
         ON CONFLICT (jti) DO UPDATE SET node = excluded.node, sequence = excluded.sequence, \
         started_at = COALESCE(receipts.started_at, excluded.started_at), last_at = excluded.last_at, size = excluded.size, \
         bytes = excluded.bytes, state = excluded.state, resumed = excluded.resumed, \
         address = excluded.address, change_number = excluded.change_number",
    )
    .bind(receipt.jti.to_string())
    .bind(receipt.link.as_str())
    .bind(node)
    .bind(receipt.sequence.cast_signed())
    .bind(to_column(receipt.redeemed_at))
    .bind(receipt.started_at.map(to_column))
    .bind(to_column(receipt.last_at))
    .bind(bytes(receipt.size))
    .bind(bytes(receipt.bytes))
    .bind(receipt.state.as_str())
    .bind(i64::from(receipt.resumed))
    .bind(address)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Records the start of a delivery that an earlier report lacked.
async fn began(transaction: &mut Transaction<'static, Any>, receipt: &Receipt) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE receipts SET started_at = COALESCE(started_at, $1), change_number = 1 + \
         COALESCE((SELECT change_number FROM receipts AS others WHERE others.link = receipts.link \
         ORDER BY change_number DESC LIMIT 1), 0) WHERE jti = $2",
    )
    .bind(receipt.started_at.map(to_column))
    .bind(receipt.jti.to_string())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Whether the token of a receipt expired before `before`.
async fn has_ended(
    transaction: &mut Transaction<'static, Any>,
    receipt: &Receipt,
    before: Timestamp,
) -> Result<bool, sqlx::Error> {
    let ended: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM link_tokens WHERE jti = $1 AND expires_at < $2")
            .bind(receipt.jti.to_string())
            .bind(to_column(before))
            .fetch_one(&mut **transaction)
            .await?;
    Ok(ended > 0)
}
