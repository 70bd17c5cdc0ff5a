//! The log of deliveries: every step of each delivery, chained like the audit log.

use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::receipt::{DeliveryState, Receipt};
use crate::web::audit::chain;
use crate::web::db::QueryError;
use crate::web::db::columns::{from_column, to_column};
use crate::words::words;

words! {
    /// A step of a delivery. The words are stored permanently; the meaning of a released one never changes.
    pub enum DeliveryEvent {
        /// The first byte was sent, or was about to be.
        Started = "started",
        /// The client resumed the download.
        Resumed = "resumed",
        /// Nothing is being sent, and the file is incomplete.
        Interrupted = "broken",
        /// The file was sent completely.
        Complete = "complete",
        /// The file is incomplete, and nothing more will be sent.
        Ended = "over",
    }
}

/// The state of a delivery at one point, from which its steps are determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliverySnapshot {
    /// Whether the first byte had been sent.
    pub started: bool,
    /// The state of the delivery.
    pub state: DeliveryState,
    /// How often the client had resumed.
    pub resumed: u32,
}

impl DeliverySnapshot {
    /// Returns the state that a receipt reports.
    pub const fn of(receipt: &Receipt) -> DeliverySnapshot {
        DeliverySnapshot {
            started: receipt.started_at.is_some(),
            state: receipt.state,
            resumed: receipt.resumed,
        }
    }
}

/// Returns the steps from the previous state (`None` if nothing was known) to the state now, in order.
pub fn transitions(before: Option<DeliverySnapshot>, now: DeliverySnapshot) -> Vec<DeliveryEvent> {
    let mut steps = Vec::new();
    if now.started && !before.is_some_and(|before| before.started) {
        steps.push(DeliveryEvent::Started);
    }
    if now.resumed > before.map_or(0, |before| before.resumed) {
        steps.push(DeliveryEvent::Resumed);
    }
    if before.map(|before| before.state) != Some(now.state) {
        match now.state {
            DeliveryState::Running => {}
            DeliveryState::Interrupted if !now.started => {}
            DeliveryState::Interrupted => steps.push(DeliveryEvent::Interrupted),
            DeliveryState::Complete => steps.push(DeliveryEvent::Complete),
            DeliveryState::Ended => steps.push(DeliveryEvent::Ended),
        }
    }
    steps
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DeliveryLogLine {
    /// The line's number, starting at 1.
    pub number: i64,
    /// When it was written.
    pub at: Timestamp,
    /// The jti of the token.
    pub jti: String,
    /// The id of the link.
    pub link: String,
    /// The step.
    pub event: String,
    /// How many different bytes had been sent.
    pub bytes: i64,
    /// The client's address, shortened as configured.
    pub address: String,
    /// The digest of this line and the previous line's digest.
    pub digest: String,
}

impl chain::ChainedLine for DeliveryLogLine {
    const TABLE: &'static str = "receipt_log";
    const COLUMNS: &'static str = "number, at, jti, link, event, bytes, address, digest";
    const COUNTER: &'static str = "receipts";

    fn number(&self) -> i64 {
        self.number
    }

    fn digest(&self) -> &str {
        &self.digest
    }

    fn content(&self) -> Vec<Value> {
        let text = |text: &String| Value::from(text.as_str());
        vec![
            self.number.into(),
            to_column(self.at).into(),
            text(&self.jti),
            text(&self.link),
            text(&self.event),
            self.bytes.into(),
            text(&self.address),
        ]
    }

    fn from_row(row: &AnyRow) -> Result<DeliveryLogLine, sqlx::Error> {
        Ok(DeliveryLogLine {
            number: row.try_get("number")?,
            at: from_column(row.try_get("at")?),
            jti: row.try_get("jti")?,
            link: row.try_get("link")?,
            event: row.try_get("event")?,
            bytes: row.try_get("bytes")?,
            address: row.try_get("address")?,
            digest: row.try_get("digest")?,
        })
    }
}

/// Adds a line, in the transaction that records the receipt.
pub(crate) async fn append(
    transaction: &mut Transaction<'static, Any>,
    receipt: &Receipt,
    event: DeliveryEvent,
    address: &str,
    now: Timestamp,
) -> Result<(), QueryError> {
    let (number, before) = chain::next::<DeliveryLogLine>(transaction).await?;
    let mut line = DeliveryLogLine {
        number,
        at: now,
        jti: receipt.jti.to_string(),
        link: receipt.link.to_string(),
        event: event.as_str().to_owned(),
        bytes: i64::try_from(receipt.bytes).unwrap_or(i64::MAX),
        address: address.to_owned(),
        digest: String::new(),
    };
    line.digest = chain::digest_after(&line, &before);
    sqlx::query(
        "INSERT INTO receipt_log (number, at, jti, link, event, bytes, address, digest) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(number)
    .bind(to_column(now))
    .bind(&line.jti)
    .bind(&line.link)
    .bind(event.as_str())
    .bind(line.bytes)
    .bind(address)
    .bind(&line.digest)
    .execute(&mut **transaction)
    .await?;
    // As with the audit log, anyone who keeps the log stream can tell how this log ended at that time.
    let digest = &line.digest;
    tracing::info!(target: "oncelink::receipts", number, digest, event = event.as_str(), "receipt line {number}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_recorded_once_however_much_was_missed() {
        let stood = |started, state, resumed| DeliverySnapshot { started, state, resumed };
        let (fresh, running) =
            (stood(false, DeliveryState::Running, 0), stood(true, DeliveryState::Running, 0));
        assert_eq!(transitions(None, fresh), []);
        assert_eq!(transitions(None, running), [DeliveryEvent::Started]);
        assert_eq!(transitions(Some(fresh), running), [DeliveryEvent::Started]);
        assert_eq!(transitions(Some(running), running), []);
        let broken = stood(true, DeliveryState::Interrupted, 0);
        assert_eq!(transitions(Some(running), broken), [DeliveryEvent::Interrupted]);
        let complete = stood(true, DeliveryState::Complete, 2);
        assert_eq!(transitions(Some(broken), complete), [DeliveryEvent::Resumed, DeliveryEvent::Complete]);
        assert_eq!(
            transitions(None, complete),
            [DeliveryEvent::Started, DeliveryEvent::Resumed, DeliveryEvent::Complete]
        );
        assert_eq!(transitions(None, stood(false, DeliveryState::Ended, 0)), [DeliveryEvent::Ended]);
        assert_eq!(
            transitions(None, stood(false, DeliveryState::Interrupted, 0)),
            [],
            "nothing left, nothing broke"
        );
    }
}
