//! What the web app counts for operators. The names are in `docs/metrics.md`.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sqlx::Row;

use crate::clock::Timestamp;
use crate::health::Health;
use crate::web::db::{Database, QueryError};
use crate::web::mail::queue::{MailQueue, MailState};
use crate::web::nodes::Nodes;
use crate::web::revocations::Revocations;
use crate::web::tokens::signer::Signer;
use crate::web::webhooks::Webhooks;

/// The metrics of one web app. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct WebMetrics {
    log_ins: Family<[(&'static str, &'static str); 1], Counter>,
    key_checks: Family<[(&'static str, &'static str); 1], Counter>,
    mails: Family<[(&'static str, &'static str); 1], Gauge>,
    revocations_waiting: Family<[(&'static str, String); 1], Gauge>,
    uploads: Gauge,
    upload_bytes: Gauge,
    webhook_attempts: Family<[(&'static str, &'static str); 1], Counter>,
    webhook_messages: Gauge,
    webhooks_failing: Gauge,
    key_made: Gauge,
    ready: Gauge,
}

/// Where the metrics that are read rather than counted come from.
pub(crate) struct MetricSources<'a> {
    pub(crate) db: &'a Database,
    pub(crate) queue: &'a MailQueue,
    pub(crate) webhooks: &'a Webhooks,
    pub(crate) revocations: &'a Revocations,
    pub(crate) nodes: &'a Nodes,
    pub(crate) signer: &'a Signer,
    pub(crate) health: &'a Health,
    pub(crate) now: Timestamp,
}

/// What can come of what is counted. All are published from the start: a rate misses the first of a series that appears
/// with it.
const LOG_INS: [&str; 3] = ["logged-in", "refused", "throttled"];
const KEY_CHECKS: [&str; 5] = ["accepted", "malformed", "invalid", "elsewhere", "throttled"];
const ATTEMPTS: [&str; 2] = ["delivered", "failed"];

impl WebMetrics {
    /// Counts an attempt to log in.
    pub(crate) fn count_log_in(&self, outcome: &'static str) {
        self.log_ins.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Counts an attempt to send a message to a webhook.
    pub(crate) fn count_webhook_attempt(&self, accepted: bool) {
        let outcome = if accepted { "delivered" } else { "failed" };
        self.webhook_attempts.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Counts a check of an API key.
    pub(crate) fn count_key_check(&self, outcome: &'static str) {
        self.key_checks.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Adds these metrics to those that are published.
    pub(crate) fn register(&self, db: &Database, registry: &mut Registry) {
        let counted: [(_, &[&'static str]); 3] =
            [(&self.log_ins, &LOG_INS), (&self.key_checks, &KEY_CHECKS), (&self.webhook_attempts, &ATTEMPTS)];
        for (counters, outcomes) in counted {
            for outcome in outcomes {
                drop(counters.get_or_create(&[("outcome", *outcome)]));
            }
        }
        let log_ins = "Attempts to log in by what came of them: logged-in, refused or throttled";
        registry.register("log_ins", log_ins, self.log_ins.clone());
        let checks = "API keys that were presented by what came of it: accepted, malformed, invalid, elsewhere or throttled";
        registry.register("api_key_checks", checks, self.key_checks.clone());
        let mails = "Emails that wait, and those that were given up and not discarded yet";
        registry.register("mails", mails, self.mails.clone());
        let revocations = "Revocations that a download service has not recorded yet";
        registry.register("revocations_waiting", revocations, self.revocations_waiting.clone());
        registry.register("uploads", "Uploads that have begun and not ended", self.uploads.clone());
        let bytes = "Size of the uploads that have begun and not ended, as far as it is known";
        registry.register("uploads_bytes", bytes, self.upload_bytes.clone());
        let attempts = "Attempts to send messages to webhooks by what came of them: delivered or failed";
        registry.register("webhook_attempts", attempts, self.webhook_attempts.clone());
        let messages = "Messages to webhooks that wait";
        registry.register("webhook_messages_waiting", messages, self.webhook_messages.clone());
        let failing = "Webhooks that fail so often that only probes are sent";
        registry.register("webhooks_failing", failing, self.webhooks_failing.clone());
        let made = "When the key was made that signs tokens now";
        registry.register("signing_key_made_timestamp_seconds", made, self.key_made.clone());
        let ready = "Whether the web app and its database work";
        registry.register("web_ready", ready, self.ready.clone());
        db.register_metrics(registry);
    }

    /// Updates the metrics that are read rather than counted.
    ///
    /// # Errors
    /// When the database fails; then the app isn't ready, and its other metrics are as they were.
    pub(crate) async fn update(&self, from: MetricSources<'_>) -> Result<(), QueryError> {
        self.ready.set(0);
        let made_at = from.signer.active_made_at(from.now).secs();
        self.key_made.set(i64::try_from(made_at).unwrap_or(i64::MAX));
        for state in [MailState::Waiting, MailState::Failed] {
            let count = from.queue.count(state).await?;
            let gauge = self.mails.get_or_create_owned(&[("state", state.as_str())]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let waiting = from.revocations.waiting().await?;
        for node in from.nodes.services() {
            let gauge = self.revocations_waiting.get_or_create_owned(&[("node", node.name.clone())]);
            gauge.set(waiting.get(&node.public_url).copied().unwrap_or(0));
        }
        let (messages, failing) = from.webhooks.totals().await?;
        self.webhook_messages.set(messages);
        self.webhooks_failing.set(failing);
        let uploads = "SELECT COUNT(*), CAST(COALESCE(SUM(COALESCE(size, received)), 0) AS BIGINT) \
                       FROM uploads WHERE state <> 'done'";
        let row = sqlx::query(uploads).fetch_one(from.db.reader()).await?;
        self.uploads.set(row.try_get(0)?);
        self.upload_bytes.set(row.try_get(1)?);
        self.ready.set(from.health.verdict().is_ok().into());
        Ok(())
    }
}
