//! Background work of the web app: deletes what has expired, settles interrupted changes, writes counts to
//! the database, and records the time and the database's standing.

use std::error::Error;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::clock::Timestamp;
use crate::id::RequestId;
use crate::telemetry::chain;
use crate::web::archives::ArchiveMaker;
use crate::web::db::QueryError;
use crate::web::deliveries::DeliveryStore;
use crate::web::forms::idempotency::IdempotencyStore;
use crate::web::forms::request_keys::RequestKeys;
use crate::web::instance::{self, InstanceKeysError};
use crate::web::links::uses;
use crate::web::mail::sender::MailSender;
use crate::web::nodes::monitor::NodeMonitor;
use crate::web::restored::RestoreDetector;
use crate::web::retention::{Deleted, Retention};
use crate::web::services::Services;
use crate::web::sessions::Sessions;
use crate::web::shares::editor::ShareEditor;
use crate::web::storage;
use crate::web::throttle::Throttle;
use crate::web::uploads::Uploads;

/// How often the database is compared with its known standing.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often the current time is written to disk …
const KEEP_TIME_EVERY: Duration = Duration::from_secs(10);
/// … after how many of these rounds expired data is pruned …
const PRUNE_EACH: u64 = 6;
/// … and after how many of these rounds leftovers of uploads are removed.
const SWEEP_EACH: u64 = 360;

/// How often stuck mail is checked for.
const LOOK_AT_MAIL_EVERY: Duration = Duration::from_secs(5);

/// How often links are looked for whose files have all arrived, so that their recipients can be mailed.
const LOOK_AT_ARRIVALS_EVERY: Duration = Duration::from_secs(2);

/// How often views of links' pages are written to the database.
const COUNT_VIEWS_EVERY: Duration = Duration::from_secs(1);

/// How long released uses of links are kept.
const KEEP_RELEASED: Duration = Duration::from_secs(24 * 60 * 60);

/// How long client addresses of downloads are kept after nothing can be continued any more.
const KEEP_CLIENTS: Duration = Duration::from_secs(60 * 60);

/// Runs the background work.
pub struct Upkeep {
    pub(super) services: Services,
    pub(super) restore_detector: RestoreDetector,
    pub(super) deliveries: DeliveryStore,
    pub(super) sender: MailSender,
    pub(super) sessions: Sessions,
    pub(super) sent_forms: IdempotencyStore,
    pub(super) request_keys: RequestKeys,
    pub(super) throttle: Throttle,
    pub(super) archives: ArchiveMaker,
    pub(super) uploads: Uploads,
    pub(super) editor: ShareEditor,
    pub(super) nodes: NodeMonitor,
    pub(super) retention: Retention,
}

impl Upkeep {
    /// Records the time, writes views, tracks the database's standing, checks for stuck mail, asks the nodes
    /// whether they are ready, and deletes what has expired. Runs until the future is dropped.
    pub async fn run(&self) {
        let arrivals = self.watch_arrivals();
        let Services { nodes, issuer, clock, .. } = &self.services;
        let nodes = self.nodes.watch(nodes, issuer, || clock.now());
        let standing = self.watch_standing();
        tokio::join!(self.keep(), self.count_views(), standing, self.watch_mail(), arrivals, nodes);
    }

    async fn count_views(&self) {
        loop {
            tokio::time::sleep(COUNT_VIEWS_EVERY).await;
            self.flush_views().await;
            self.flush_key_uses().await;
        }
    }

    async fn watch_arrivals(&self) {
        loop {
            tokio::time::sleep(LOOK_AT_ARRIVALS_EVERY).await;
            self.mail_arrived().await;
        }
    }

    /// Mails links to their recipients whose files have all arrived.
    pub async fn mail_arrived(&self) {
        let now = self.services.clock.now();
        if let Some(queued @ 1..) =
            warn(self.services.links.mail_arrived(now).await, "cannot mail links whose files have arrived")
        {
            tracing::debug!(queued, "mailed links whose files have arrived");
        }
    }

    async fn watch_mail(&self) {
        let mut failing = false;
        loop {
            tokio::time::sleep(LOOK_AT_MAIL_EVERY).await;
            match self.look_at_mail().await {
                Err(error) if !failing => {
                    let cause = chain(&error);
                    tracing::warn!(cause, "cannot check for stuck mail");
                    failing = true;
                }
                Err(_) => {}
                Ok(()) => failing = false,
            }
        }
    }

    /// Checks whether mail is stuck, for the notice on administrators' pages.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn look_at_mail(&self) -> Result<(), QueryError> {
        self.sender.refresh_stuck().await
    }

    async fn watch_standing(&self) {
        let services = &self.services;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            looks.tick().await;
            match self.restore_detector.advance().await {
                Err(error) if !failing => {
                    let cause = chain(&error);
                    tracing::warn!(cause, "cannot read the standing of the account database");
                    failing = true;
                }
                Err(_) => {}
                Ok(()) => failing = false,
            }
            // Another process has reset the time. Follows the reset if this clock was ahead.
            let reset = services.used.time_reset();
            if let (Some(mark), Some(wrong)) = (reset, services.clock.wrong(services.leeway))
                && mark <= wrong.wall.plus(services.leeway)
            {
                tracing::warn!(
                    "the time of the account database was reset to {mark}, and this web app follows"
                );
                services.clock.reset(mark.max(wrong.wall));
            }
        }
    }

    async fn keep(&self) {
        self.sweep_uploads().await;
        let mut keys_differ = false;
        for round in 1_u64.. {
            tokio::time::sleep(KEEP_TIME_EVERY).await;
            let now = self.services.clock.now();
            warn(self.services.actions.keep_time(now).await, "cannot record the time on disk");
            keys_differ = self.look_at_keys(keys_differ, now).await;
            self.tell_owners().await;
            self.tell_expired().await;
            if round.is_multiple_of(SWEEP_EACH) {
                self.sweep_uploads().await;
            }
            if round.is_multiple_of(PRUNE_EACH) {
                self.prune().await;
            }
        }
    }

    /// Queues the mails about files that guests have sent.
    pub async fn tell_owners(&self) {
        let now = self.services.clock.now();
        let admits = |request: &RequestId| self.throttle.request_notice(request, now).is_ok();
        warn(self.services.requests.tell_owners(now, admits).await, "cannot report received files");
    }

    /// Records for webhooks which links expired.
    pub async fn tell_expired(&self) {
        let now = self.services.clock.now();
        warn(self.services.webhooks.tell_expired(now).await, "cannot tell webhooks which links expired");
    }

    /// Writes the views of links' pages that were counted in memory to the database.
    pub async fn flush_views(&self) {
        let links = &self.services.links;
        if let Err(error) = links.views.flush(&links.db).await {
            tracing::warn!(cause = chain(&error), "cannot record views of links");
        }
    }

    /// Writes to the database when API keys were last used.
    pub async fn flush_key_uses(&self) {
        if let Err(error) = self.services.api_keys.flush_uses().await {
            tracing::warn!(cause = chain(&error), "cannot record the use of API keys");
        }
    }

    /// Returns whether another web app on this database signs with a key that we don't have. Logs it once.
    async fn look_at_keys(&self, knew: bool, now: Timestamp) -> bool {
        let services = &self.services;
        match instance::check_signer(&services.db, &services.issuer.signer, now).await {
            Ok(()) => false,
            Err(InstanceKeysError::Query(_)) => knew,
            Err(error) => {
                if !knew {
                    let cause = chain(&error);
                    tracing::error!(cause, "another web app on this database signs with other keys");
                }
                true
            }
        }
    }

    /// Deletes what has expired, such as sessions, counted attempts and accounts that were never activated.
    pub async fn prune(&self) {
        let now = self.services.clock.now();
        warn(self.services.queue.prune(now).await, "cannot delete old mails");
        warn(self.services.webhooks.prune(now).await, "cannot delete old messages to webhooks");
        let released = now.minus(KEEP_RELEASED);
        warn(uses::prune_released(&self.services.db, released).await, "cannot delete released uses of links");
        let links = &self.services.links;
        let over = now.minus(links.lease.lease_max).minus(KEEP_CLIENTS);
        warn(uses::prune_clients(&links.db, over).await, "cannot delete old client addresses of links");
        if let Some(released @ 1..) = warn(
            self.deliveries.release_of_removed(&self.services.nodes, now).await,
            "cannot release uses of removed nodes",
        ) {
            tracing::info!(released, "released link uses: their node was removed");
        }
        warn(self.services.issued.prune(now).await, "cannot delete old tokens");
        warn(self.archives.prune(now).await, "cannot delete old manifests of archives");
        warn(self.sent_forms.prune(now).await, "cannot delete old records of forms");
        warn(self.request_keys.prune(now).await, "cannot delete old records of requests");
        if let Some(gone @ 1..) = warn(self.services.api_keys.prune(now).await, "cannot delete old API keys")
        {
            tracing::info!(gone, "deleted API keys that ended long ago");
        }
        warn(self.services.account_changes.prune().await, "cannot delete old account changes");
        if let Some(gone @ 1..) = warn(
            self.services.self_service.forget_unactivated(now).await,
            "cannot delete accounts that nobody activated",
        ) {
            tracing::info!(gone, "deleted accounts that nobody activated");
        }
        if let Some(gone @ 1..) =
            warn(self.services.requests.prune(now).await, "cannot delete file requests that are over")
        {
            tracing::info!(gone, "deleted file requests that ended long ago");
        }
        warn(storage::record_sizes(&self.services.db, now).await, "cannot record the sizes of the shares");
        self.prune_files(now).await;
        Box::pin(self.delete_files_of_links(now)).await;
        if let Some(deleted) = warn(self.retention.prune(now).await, "cannot delete old links and receipts")
            && deleted != Deleted::default()
        {
            let Deleted { receipts, links } = deleted;
            tracing::info!(receipts, links, "deleted links and receipts that were over for long");
        }
        self.throttle.prune(now);
        warn(self.services.actions.prune(now).await, "cannot delete old action links");
        if let Some(ended @ 1..) = warn(self.sessions.prune(now).await, "cannot delete ended sessions") {
            tracing::debug!(ended, "deleted sessions that had ended");
        }
    }

    /// Removes leftovers of uploads that are no longer in the database.
    pub async fn sweep_uploads(&self) {
        if let Some(removed @ 1..) = warn(
            self.uploads.remove_orphans(self.services.clock.now()).await,
            "cannot remove leftover uploads",
        ) {
            tracing::info!(removed, "removed leftover uploads");
        }
    }

    /// Finishes or undoes changes that were interrupted between the disk and the database.
    pub(super) async fn settle(&self, now: Timestamp) {
        match self.editor.settle(now).await {
            Ok(0) => {}
            Ok(settled) => tracing::info!(settled, "settled interrupted file changes"),
            Err(error) => {
                tracing::warn!(cause = chain(&error), "cannot settle interrupted file changes");
            }
        }
        match self.uploads.finish_left(now).await {
            Ok(0) => {}
            Ok(finished) => tracing::info!(finished, "finished complete uploads"),
            Err(error) => {
                tracing::warn!(cause = chain(&error), "cannot finish complete uploads");
            }
        }
    }

    /// Moves the files of links that are over to the trash, where their owners wanted that.
    async fn delete_files_of_links(&self, now: Timestamp) {
        const FAILED: &str = "cannot delete the files of links that are over";
        let links = &self.services.links;
        let over = warn(links.over_with_files(links.lease.lease, now).await, FAILED);
        for link in over.unwrap_or_default() {
            let owner = warn(self.services.accounts.by_id(&link.owner).await, FAILED).flatten();
            let Some(owner) = owner else { continue };
            let mut is_done = true;
            for file in &link.files {
                let is_free =
                    warn(links.is_shared_elsewhere(&link.id, file, now).await, FAILED) == Some(false);
                is_done &= is_free && warn(self.editor.trash_own(&owner, file, now).await, FAILED).is_some();
            }
            if is_done && warn(links.mark_files_deleted(&link.id, now).await, FAILED).is_some() {
                tracing::info!(link = %link.id, "moved the files of a link to the trash: it is over");
            }
        }
    }

    async fn prune_files(&self, now: Timestamp) {
        Box::pin(self.settle(now)).await;
        if let Some(gone @ 1..) =
            warn(self.uploads.forget_expired(now).await, "cannot delete abandoned uploads")
        {
            tracing::info!(gone, "deleted abandoned uploads");
        }
        if let Some(moved @ 1..) =
            warn(self.editor.trash_departed(now).await, "cannot move files of deleted accounts to the trash")
        {
            tracing::info!(moved, "moved the files of deleted accounts to the trash");
        }
        if let Some(gone @ 1..) = warn(self.editor.purge_expired(now).await, "cannot empty the trash") {
            tracing::info!(gone, "purged expired files from the trash");
        }
        if let Some(removed @ 1..) = warn(self.editor.sweep_trash(now).await, "cannot sweep the trash") {
            tracing::info!(removed, "removed files in the trash that are not in the database");
        }
    }
}

/// Returns the result; logs a failure, which the next round retries.
fn warn<T, E: Error + 'static>(outcome: Result<T, E>, what: &str) -> Option<T> {
    outcome.inspect_err(|error| tracing::warn!(error = error as &dyn Error, "{what}")).ok()
}
