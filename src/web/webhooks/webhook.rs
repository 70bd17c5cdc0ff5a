//! A webhook and its state.

use std::collections::BTreeSet;

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::clock::Timestamp;
use crate::id::opaque_id;
use crate::web::db::columns::{bytes_from_column, from_column};
use crate::web::identity::AccountId;
use crate::web::webhooks::address::host_of;
use crate::web::webhooks::event::EventKind;
use crate::web::webhooks::schedule::OPENS_AFTER;
use crate::words::words;

opaque_id! {
    /// The id of a webhook.
    WebhookId
}

opaque_id! {
    /// The id of a message, by which a receiver recognizes one that it already has.
    MessageId
}

words! {
    /// Whether messages are sent to a webhook.
    pub enum WebhookState {
        /// They are sent.
        On = "on",
        /// They wait until its owner resumes it.
        Paused = "paused",
        /// Nothing is recorded for it, because it failed for too long or said that it is gone.
        Disabled = "disabled",
    }
}

words! {
    /// What became of a message.
    pub enum MessageState {
        /// It is still to be sent.
        Waiting = "waiting",
        /// The receiver accepted it.
        Delivered = "delivered",
        /// It was given up.
        Failed = "failed",
    }
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// The account that made it.
    pub account: AccountId,
    /// The address that messages are sent to.
    pub url: String,
    /// Whether messages are sent.
    pub state: WebhookState,
    /// What it is told.
    pub events: BTreeSet<EventKind>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when the secret before the present one is valid, if there is one.
    pub former_until: Option<Timestamp>,
    /// Number of messages that wait.
    pub waiting: u64,
    /// Number of messages that were not recorded because too many waited.
    pub missed: u64,
    /// Number of failed attempts in a row.
    pub failures: i64,
    /// When the first of them was.
    pub failing_since: Option<Timestamp>,
    /// When the next attempt is made at the earliest.
    pub next_at: Timestamp,
}

impl Webhook {
    /// Returns the host of its address, which unlike the path is no secret.
    pub fn host(&self) -> String {
        host_of(&self.url)
    }

    /// Whether it fails so often that only one message at a time is sent to see whether it works again.
    pub const fn is_open(&self) -> bool {
        self.failures >= OPENS_AFTER
    }
}

pub(super) const COLUMNS: &str = "webhooks.id, webhooks.account, webhooks.url, webhooks.state, \
     webhooks.created_at, webhooks.former_until, webhooks.waiting, webhooks.missed, webhooks.failures, \
     webhooks.failing_since, webhooks.next_at";

/// Reads a webhook without its events.
pub(super) fn from_row(row: &AnyRow) -> Result<Webhook, sqlx::Error> {
    let moment = |column: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(from_column));
    let state = row.try_get::<String, _>("state")?;
    Ok(Webhook {
        id: WebhookId::from_store(&row.try_get::<String, _>("id")?),
        account: AccountId::from_store(&row.try_get::<String, _>("account")?),
        url: row.try_get("url")?,
        // An unknown state of a later release sends nothing.
        state: state.parse().unwrap_or(WebhookState::Disabled),
        events: BTreeSet::new(),
        created_at: from_column(row.try_get("created_at")?),
        former_until: moment("former_until")?,
        waiting: bytes_from_column(row.try_get("waiting")?),
        missed: bytes_from_column(row.try_get("missed")?),
        failures: row.try_get("failures")?,
        failing_since: moment("failing_since")?,
        next_at: from_column(row.try_get("next_at")?),
    })
}
