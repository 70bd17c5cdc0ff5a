//! The web app: accounts, sessions, browsing, and the private key that signs tokens.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderValue;
use actix_web::middleware::from_fn;
use actix_web::web::{Data, ServiceConfig, scope};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

use crate::client_address::ClientAddresses;
use crate::clock::{Clock, Timestamp};
use crate::config::Settings;
use crate::files::{ShareFolders, Shares};
use crate::health::Health;
use crate::receipt::TakeReports;
use crate::web::accounts::store::AccountError;
use crate::web::composer::Correspondent;
use crate::web::db::QueryError;
use crate::web::deliveries::Receipts;
use crate::web::forms::sent::SentForms;
use crate::web::forms::unsent::UnsentForms;
use crate::web::http::carried::CarriedRequests;
use crate::web::http::client_turns::ClientTurns;
use crate::web::http::cookies::Cookies;
use crate::web::http::jti_locks::JtiLocks;
use crate::web::http::state::{AppState, SignupRules};
use crate::web::http::{csrf, layout, middleware, problem, routes};
use crate::web::instance::KeysError;
use crate::web::links::listing::Listings;
use crate::web::links::patience::Patience;
use crate::web::mail::message::Envelope;
use crate::web::mail::sender::Sender;
use crate::web::mail::transport::Transport;
use crate::web::mail::trial::Trial;
use crate::web::membership::action_links::ActionError;
use crate::web::nodes::node_key::NodeKey;
use crate::web::nodes::ready::{NodeReady, Readiness};
use crate::web::nodes::revoke::RevokeTokens;
use crate::web::nodes::watch::Watch;
use crate::web::restored::Standings;
use crate::web::services::{Administration, OpenError};
use crate::web::sessions::{SessionEnds, Sessions};
use crate::web::shares::digests::Digests;
use crate::web::shares::disk::WritableShares;
use crate::web::shares::editor::Manage;
use crate::web::shares::rights::Rights;
use crate::web::throttle::Throttle;
use crate::web::uploads::Uploads;

pub mod accounts;
pub mod audit;
pub mod composer;
pub mod db;
pub mod deliveries;
pub mod forms;
pub mod http;
pub mod identity;
pub mod instance;
pub mod links;
pub mod mail;
pub mod membership;
pub mod nodes;
pub mod restored;
pub mod revocations;
pub mod services;
pub mod sessions;
pub mod shares;
pub mod throttle;
pub mod time_reset;
pub mod tokens;
pub mod uploads;

/// How often the database is held against what is known of it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often the present moment is kept on disk …
const KEEP_TIME_EVERY: Duration = Duration::from_secs(10);
/// … and each how manieth time what has ended is forgotten.
const PRUNE_EACH: u64 = 6;
/// … and what is left of uploads is looked for.
const SWEEP_EACH: u64 = 360;

/// How often is looked whether mail is stuck.
const LOOK_AT_MAIL_EVERY: Duration = Duration::from_secs(5);

/// How often views of links' pages are put into the database.
const COUNT_VIEWS_EVERY: Duration = Duration::from_secs(1);

/// How long the end waits for requests whose clients have gone.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Uses of links that were released are forgotten after so long.
const KEEP_RELEASED: Duration = Duration::from_secs(24 * 60 * 60);

/// By what address a download was begun is forgotten so long after nothing can be continued.
const KEEP_CLIENTS: Duration = Duration::from_secs(60 * 60);

/// Searches that run at once.
const SEARCHES_AT_ONCE: usize = 4;

/// No link for the first administrator can be made.
#[derive(Debug, thiserror::Error)]
pub enum FirstAdminError {
    /// The database failed.
    #[error(transparent)]
    Accounts(#[from] AccountError),
    /// No link could be made.
    #[error(transparent)]
    Action(#[from] ActionError),
}

/// The web app, ready to answer. Cheap to clone.
#[derive(Clone)]
pub struct App {
    state: Data<AppState>,
    sender: Sender,
}

impl App {
    /// Opens the database and the keys and prepares everything that handlers need.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(settings: &Settings, clock: Clock, folders: ShareFolders) -> Result<App, OpenError> {
        let administration = Box::pin(Administration::open(settings, clock.clone())).await?;
        administration.passwords.prepare();
        administration.nodes.hold_own_key(NodeKey::open(&settings.node_key_file())?);
        administration.issued.revocations.name_nodes().await?;
        let now = administration.clock.now();
        instance::review_readers(&administration.db, settings, &administration.issued, now).await?;
        let standings = Standings::open(
            settings,
            administration.db.clone(),
            administration.links.key.clone(),
            administration.issued.clone(),
            administration.used.clone(),
            administration.clock.clone(),
        )
        .await?;
        let ends = SessionEnds {
            idle: settings.web.session_idle,
            max: settings.web.session_max,
            remember: settings.web.session_remember,
        };
        let services = administration.nodes.services().iter();
        let downloads: Vec<String> =
            services.map(|node| csrf::origin_of(&node.public_url).to_owned()).collect();
        let downloads: Vec<&str> = downloads.iter().map(String::as_str).collect();
        let (db, queue) = (administration.db.clone(), administration.queue.clone());
        let policy = layout::content_security_policy(&downloads);
        let digests = Digests::new(administration.db.clone());
        let writable = WritableShares::new(folders);
        let uploads = Uploads::new(settings, administration.db.clone(), writable.clone(), clock);
        let manage = Manage::new(administration.db.clone(), writable.clone(), settings.web.trash_keep);
        let state = AppState {
            receipts: Receipts::new(db.clone(), queue, administration.clock.clone(), settings)
                .with_standings(standings.clone()),
            standings,
            node: Readiness::default(),
            patience: Patience::default(),
            node_watch: Watch::default(),
            public_url: settings.web.public_url.clone(),
            policy: HeaderValue::from_str(&policy).map_err(|error| OpenError::Address(error.into()))?,
            script_policy: HeaderValue::from_str(&layout::with_script(&policy))
                .map_err(|error| OpenError::Address(error.into()))?,
            sessions: Sessions::new(
                administration.db.clone(),
                administration.accounts.clone(),
                administration.generations.clone(),
                ends,
            ),
            administration,
            throttle: Throttle::new(&settings.links),
            sent_forms: SentForms::new(db.clone()),
            rights: Rights::new(&settings.shares),
            shares: writable.readable().clone(),
            action_locks: JtiLocks::default(),
            page_turns: ClientTurns::default(),
            form_turns: ClientTurns::default(),
            signup: SignupRules::new(settings),
            remember: Some(settings.web.session_remember).filter(|kept| !kept.is_zero()),
            outbox: settings.mail.send.as_str() == "outbox",
            mail_trial: Trial::new(settings),
            searches: Arc::new(Semaphore::new(SEARCHES_AT_ONCE)),
            carried: CarriedRequests::new(settings.web.max_connections),
            digests,
            uploads,
            manage,
            addresses: ClientAddresses::new(&settings.web.trusted_proxies, settings.web.proxy_header, "web"),
            health: Health::default(),
            form_max: usize::try_from(settings.web.form_max).unwrap_or(usize::MAX),
            cookies: Cookies::new(&settings.web.public_url),
            unsent: UnsentForms::default(),
        };
        let sender =
            sender(settings, &state.administration, &state.receipts, (&state.shares, &state.rights))?;
        let app = App { state: Data::new(state), sender };
        // Before anybody is let in: what a crash cut off is finished or undone.
        Box::pin(app.settle(app.state.administration.clock.now())).await;
        Ok(app)
    }

    /// A one-time address for making the first administrator; `None` when there is one already.
    ///
    /// # Errors
    /// When the database fails or nothing can be signed.
    pub async fn first_admin_link(&self) -> Result<Option<String>, FirstAdminError> {
        let administration = &self.state.administration;
        if administration.accounts.has_administrator().await? {
            return Ok(None);
        }
        Ok(Some(administration.actions.first_administrator(administration.clock.now()).await?))
    }

    /// The public keys as a JWKS, for a download service in the same process. Ask again whenever
    /// a key is unknown: keys rotate.
    pub fn jwks(&self) -> impl Fn() -> String + Clone + Send + Sync + 'static {
        let (signer, clock) =
            (Arc::clone(&self.state.administration.issuer.signer), self.state.administration.clock.clone());
        move || signer.jwks(clock.now())
    }

    /// Whether opening made the very first signing key: this is the first start.
    pub fn signing_keys_made_now(&self) -> bool {
        self.state.administration.issuer.signer.made_now()
    }

    /// Where it is noted when something in the background fails, or a stop begins.
    pub fn health(&self) -> &Health {
        &self.state.health
    }

    /// Adds the app's addresses to a server.
    pub fn configure(&self, cfg: &mut ServiceConfig) {
        cfg.app_data(self.state.clone()).service(
            scope("")
                .wrap(from_fn(middleware::pages_in_turn))
                .wrap(from_fn(middleware::carry))
                .wrap(from_fn(problem::edge))
                .configure(routes),
        );
    }

    /// Keeps the time, counts views, remembers where the database stands, and forgets what has ended by itself. Runs until it is dropped.
    pub async fn tasks(&self) {
        tokio::join!(self.upkeep(), self.count_views(), self.watch_standing(), self.watch_mail());
    }

    async fn count_views(&self) {
        loop {
            tokio::time::sleep(COUNT_VIEWS_EVERY).await;
            self.flush_views().await;
        }
    }

    async fn watch_mail(&self) {
        let mut failing = false;
        loop {
            tokio::time::sleep(LOOK_AT_MAIL_EVERY).await;
            match self.look_at_mail().await {
                Err(error) if !failing => {
                    let cause = crate::telemetry::chain(&error);
                    tracing::warn!(cause, "cannot look whether mail is stuck");
                    failing = true;
                }
                Err(_) => {}
                Ok(()) => failing = false,
            }
        }
    }

    /// Looks whether mail is stuck, for the mark on administrators' pages.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn look_at_mail(&self) -> Result<(), QueryError> {
        self.sender.look_for_stuck().await
    }

    async fn watch_standing(&self) {
        let administration = &self.state.administration;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            looks.tick().await;
            match self.state.standings.advance().await {
                Err(error) if !failing => {
                    let cause = crate::telemetry::chain(&error);
                    tracing::warn!(cause, "the account database does not say where it stands");
                    failing = true;
                }
                Err(_) => {}
                Ok(()) => failing = false,
            }
            // Another process has reset the time: then it is reset here, too, if it was ahead.
            let reset = administration.used.time_reset();
            if let (Some(mark), Some(wrong)) = (reset, administration.clock.wrong(administration.leeway))
                && mark <= wrong.wall.plus(administration.leeway)
            {
                tracing::warn!(
                    "the time of the account database was reset to {mark}, and this web app follows"
                );
                administration.clock.reset(mark.max(wrong.wall));
            }
        }
    }

    async fn upkeep(&self) {
        self.sweep_uploads().await;
        let mut keys_differ = false;
        for round in 1_u64.. {
            tokio::time::sleep(KEEP_TIME_EVERY).await;
            let now = self.state.administration.clock.now();
            if let Err(error) = self.state.administration.actions.keep_time(now).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot keep the time on disk");
            }
            keys_differ = self.look_at_keys(keys_differ, now).await;
            if round.is_multiple_of(SWEEP_EACH) {
                self.sweep_uploads().await;
            }
            if round.is_multiple_of(PRUNE_EACH) {
                self.prune().await;
            }
        }
    }

    /// Puts views of links' pages that were counted in memory into the database.
    pub async fn flush_views(&self) {
        let links = &self.state.administration.links;
        if let Err(error) = links.views.flush(&links.db).await {
            tracing::warn!(cause = crate::telemetry::chain(&error), "cannot record views of links");
        }
    }

    /// Whether another web app on this database signs with a key that is not among ours; says so once.
    async fn look_at_keys(&self, knew: bool, now: Timestamp) -> bool {
        let administration = &self.state.administration;
        match instance::check_signer(&administration.db, &administration.issuer.signer, now).await {
            Ok(()) => false,
            Err(KeysError::Query(_)) => knew,
            Err(error) => {
                if !knew {
                    let cause = crate::telemetry::chain(&error);
                    tracing::error!(cause, "another web app on this database signs with other keys");
                }
                true
            }
        }
    }

    /// Says how revocations reach the download service of the same settings, which runs in this process;
    /// others are told over HTTP.
    pub fn revoke_by(&self, to: Arc<dyn RevokeTokens>) {
        let nodes = &self.state.administration.nodes;
        nodes.own_is_here();
        if !nodes.services().iter().any(|node| nodes.runs_here(node)) {
            let address = nodes.own_audience();
            tracing::warn!(
                address,
                "no `[[node]]` has the public address of the download service here: it gets no tokens"
            );
        }
        self.state.administration.issued.revocations.tell_own_by(to);
    }

    /// Says that the download service runs in this process, and how it is asked whether it is ready.
    pub fn ready_by(&self, node: Arc<dyn NodeReady>) {
        self.state.node.ask_in_process(node);
    }

    /// Takes receipts from a download service in the same process.
    pub fn receipts(&self) -> Arc<dyn TakeReports> {
        Arc::new(self.state.receipts.clone())
    }

    /// Delivers revocations, for ever. Ends when it is dropped.
    pub async fn revoke_tokens(&self) {
        let administration = &self.state.administration;
        if let Err(error) = administration.issued.revocations.tell_over_http(&administration.issuer) {
            let cause = crate::telemetry::chain(&error);
            tracing::error!(cause, "cannot tell the download services of revocations");
        }
        administration.issued.revocations.run(|| administration.clock.now()).await;
    }

    /// Sends mails until [`App::finish_mails`] is called.
    pub async fn send_mails(&self) {
        self.sender.run().await;
    }

    /// Ends the sending of mails: what is under way is finished or given back.
    pub async fn finish_mails(&self) {
        self.sender.finish().await;
    }

    /// Tries to send what is due now, once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn send_due_mails(&self) -> Result<(), QueryError> {
        while self.sender.round().await? > 0 {}
        Ok(())
    }

    /// Forgets what has ended by itself: sessions, counted attempts, accounts that nobody activated.
    pub async fn prune(&self) {
        let now = self.state.administration.clock.now();
        if let Err(error) = self.state.administration.queue.prune(now).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot forget old mails");
        }
        let released = Timestamp::from_secs(now.secs().saturating_sub(KEEP_RELEASED.as_secs()));
        if let Err(error) = links::uses::forget_released(&self.state.administration.db, released).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot forget released uses of links");
        }
        let links = &self.state.administration.links;
        let over = now.minus(links.lease.lease_max).minus(KEEP_CLIENTS);
        if let Err(error) = links::uses::forget_clients(&links.db, over).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot forget clients of links");
        }
        match self.state.receipts.release_of_removed(&self.state.administration.nodes, now).await {
            Ok(0) => {}
            Ok(released) => tracing::info!(released, "uses of links are free again: their node was removed"),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot release uses of removed nodes"
                )
            }
        }
        if let Err(error) = self.state.administration.issued.prune(now).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot forget old tokens");
        }
        if let Err(error) = self.state.sent_forms.prune(now).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot forget forms that were sent");
        }
        if let Err(error) = self.state.administration.generations.prune().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot forget old changes");
        }
        match self.state.administration.self_service.forget_unactivated(now).await {
            Ok(0) => {}
            Ok(gone) => tracing::info!(gone, "forgot accounts that nobody activated"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot forget accounts")
            }
        }
        self.prune_files(now).await;
        self.state.throttle.prune(now);
        if let Err(error) = self.state.administration.actions.prune(now).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot forget old action links");
        }
        match self.state.sessions.prune(now).await {
            Ok(0) => {}
            Ok(ended) => tracing::debug!(ended, "forgot sessions that had ended"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot forget ended sessions")
            }
        }
    }

    /// Removes what is left of uploads of which nobody knows any more.
    pub async fn sweep_uploads(&self) {
        match self.state.uploads.remove_orphans(self.state.administration.clock.now()).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed what was left of uploads"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for left uploads")
            }
        }
    }

    /// Finishes or undoes what was cut off between the disk and the database.
    async fn settle(&self, now: Timestamp) {
        match self.state.manage.settle(now).await {
            Ok(0) => {}
            Ok(settled) => tracing::info!(settled, "settled acts on files that were cut off"),
            Err(error) => {
                tracing::warn!(cause = crate::telemetry::chain(&error), "cannot settle acts on files");
            }
        }
        match self.state.uploads.finish_left(now).await {
            Ok(0) => {}
            Ok(finished) => tracing::info!(finished, "finished uploads that were whole"),
            Err(error) => {
                tracing::warn!(cause = crate::telemetry::chain(&error), "cannot finish uploads");
            }
        }
    }

    async fn prune_files(&self, now: Timestamp) {
        Box::pin(self.settle(now)).await;
        match self.state.uploads.forget_expired(now).await {
            Ok(0) => {}
            Ok(gone) => tracing::info!(gone, "forgot uploads with which nobody went on"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot forget uploads"),
        }
        match self.state.manage.forget_expired(now).await {
            Ok(0) => {}
            Ok(gone) => tracing::info!(gone, "removed for good what was thrown away long ago"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot empty the trash")
            }
        }
        match self.state.manage.sweep_trash(now).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed what lay in the trash unknown to the database"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot sweep the trash");
            }
        }
    }

    /// Closes the database, after what is under way. A database that does not answer is not waited for.
    pub async fn close(&self) {
        if tokio::time::timeout(CLOSE_PATIENCE, self.state.carried.finish()).await.is_err() {
            tracing::warn!("requests are cut off by the end; what they began is settled at the next start");
        }
        if tokio::time::timeout(CLOSE_PATIENCE, Box::pin(self.close_database())).await.is_err() {
            tracing::warn!("the account database does not answer, and is left as it is");
        }
    }

    async fn close_database(&self) {
        Box::pin(self.flush_views()).await;
        if let Err(error) = self.state.standings.advance().await {
            let cause = crate::telemetry::chain(&error);
            tracing::warn!(cause, "the account database did not say where it stands at last");
        }
        self.state.administration.db.close().await;
    }
}

fn sender(
    settings: &Settings,
    administration: &Administration,
    receipts: &Receipts,
    (shares, rights): (&Shares, &Rights),
) -> Result<Sender, OpenError> {
    let public_url = settings.web.public_url.clone();
    let host = csrf::origin_of(&public_url).split("://").last().unwrap_or_default().to_owned();
    let listings = Listings::new(shares.clone(), rights.clone());
    let correspondent = Correspondent {
        accounts: administration.accounts.clone(),
        actions: administration.actions.clone(),
        self_service: administration.self_service.clone(),
        receipts: receipts.clone(),
        links: administration.links.clone(),
        listings,
        notices: administration.notices.clone(),
        public_url,
    };
    let from = settings.mail.from.parse().map_err(OpenError::Sender)?;
    Ok(Sender::new(
        administration.queue.clone(),
        Arc::new(correspondent),
        Envelope { from, bounces: settings.mail.bounces.clone(), host },
        Transport::open(settings)?,
        administration.clock.clone(),
        settings.mail.per_second,
    ))
}
