//! Links, tokens that are issued through them, and their deliveries: reads and writes the services' database
//! directly.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use oncelink::clock::{Clock, Timestamp};
use oncelink::config::Settings;
use oncelink::id::{FilePath, Jti, LinkId};
use oncelink::receipt::DeliveryState;
use oncelink::server::{self, Role, RunningServices};
use oncelink::web::accounts::store::AddOutcome;
use oncelink::web::deliveries::DeliveryStore;
use oncelink::web::deliveries::history::DeliveryHistory;
use oncelink::web::identity::passwords::{Asker, Password};
use oncelink::web::identity::{Account, NewAccount};
use oncelink::web::services::Services;
use oncelink::web::tokens::issuer::DownloadTokenRequest;
use sqlx::{AssertSqlSafe, Row};
use tempfile::TempDir;

use super::web::PASSWORD;
use super::{T0, for_everyone, on_free_ports, stop_and_free};

/// Longer than anything takes, unless the machine is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// The link that [`WebAccess::link`] makes.
pub(crate) const LINK: &str = "the-link";

/// Settings of both services on free ports, with the share `files`.
pub(crate) fn settings(folder: &TempDir) -> Settings {
    let share = folder.path().join("share");
    std::fs::create_dir_all(&share).unwrap();
    let mut settings = on_free_ports(folder.path());
    settings.download.stop_timeout = Duration::from_secs(1);
    settings.shares = vec![for_everyone("files", share)];
    settings
}

/// Both services in one process, and access to the web app beside them.
pub(crate) struct BothServices {
    pub(crate) running: Option<RunningServices>,
    pub(crate) clock: Clock,
    pub(crate) access: WebAccess,
    pub(crate) settings: Settings,
    pub(crate) folder: TempDir,
}

impl BothServices {
    pub(crate) async fn start() -> BothServices {
        BothServices::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> BothServices {
        let folder = TempDir::new().unwrap();
        let mut settings = settings(&folder);
        change(&mut settings);
        let clock = Clock::manual(T0);
        let running = Box::pin(server::start(settings, Role::Both, clock.clone())).await.unwrap();
        let settings = running.settings.clone();
        let access = WebAccess::open(&settings, clock.clone()).await;
        access.link(None, "never").await;
        BothServices { running: Some(running), clock, access, settings, folder }
    }

    /// Puts a file in the share.
    pub(crate) fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join("share").join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Advances the clock.
    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.set(self.clock.now().plus(Duration::from_secs(seconds)));
    }

    /// Stops the services and starts them again with the same folder and ports.
    pub(crate) async fn restart(&mut self) {
        let running = self.running.take().unwrap();
        self.settings.web.listen = running.web.unwrap().into();
        self.settings.download.listen = running.download.unwrap().into();
        stop_and_free(running).await;
        let running =
            Box::pin(server::start(self.settings.clone(), Role::Both, self.clock.clone())).await.unwrap();
        self.running = Some(running);
    }

    pub(crate) async fn stop(mut self) {
        Box::pin(self.running.take().unwrap().stop()).await;
        self.access.db.db.close().await;
    }
}

/// Access to the database and the keys of the web app, beside the running services.
pub(crate) struct WebAccess {
    pub(crate) db: Services,
    pub(crate) owner: Account,
    pub(crate) receipts: DeliveryStore,
}

/// The state of a use of the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    /// Of the token, and of the use.
    pub(crate) states: (String, String),
    /// The recipient's count of used downloads.
    pub(crate) taken: i64,
}

impl WebAccess {
    pub(crate) async fn open(settings: &Settings, clock: Clock) -> WebAccess {
        let db = Services::open(settings, clock.clone()).await.unwrap();
        let new = NewAccount {
            email: "ada@example.org".parse().unwrap(),
            name: "Ada".parse().unwrap(),
            admin: false,
            groups: BTreeSet::new(),
            password: Some(
                db.passwords.hash(Asker::Operator, Password::new(PASSWORD, 15).unwrap()).await.unwrap(),
            ),
        };
        let AddOutcome::New(owner) = db.accounts.add(new, clock.now()).await.unwrap() else {
            panic!("no account")
        };
        let receipts = DeliveryStore::new(db.db.clone(), db.queue.clone(), clock, settings);
        WebAccess { db, owner, receipts }
    }

    /// Makes the link [`LINK`] with one recipient.
    pub(crate) async fn link(&self, email: Option<&str>, notify: &str) {
        let owner = self.owner.id.as_str();
        let email = email.map_or("NULL".to_owned(), |email| format!("'{email}'"));
        for statement in [
            format!("DELETE FROM links WHERE id = '{LINK}'"),
            format!(
                "INSERT INTO links (id, account, title, note, uses, mailed_code, notify, paused, created_at) \
                 VALUES ('{LINK}', '{owner}', 'Plans', '', NULL, 0, '{notify}', 0, 0)"
            ),
            format!(
                "INSERT INTO recipients (id, link, email, code_digest, taken, looks, position) \
                 VALUES ('recipient', '{LINK}', {email}, 'digest', 0, 0, 0)"
            ),
        ] {
            self.sql(&statement).await;
        }
    }

    pub(crate) async fn sql(&self, statement: &str) {
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(self.db.db.writer()).await.unwrap();
    }

    /// A token for a file in the share, issued through the link; its use is reserved.
    pub(crate) async fn token(&self, name: &str, now: Timestamp) -> (Jti, String) {
        let path: FilePath = format!("/files/{name}").parse().unwrap();
        let order = DownloadTokenRequest {
            link: Some(&LinkId::from_store(LINK)),
            ..DownloadTokenRequest::new("somebody", &path)
        };
        let token = self.db.issuer.issue_download(&order, now).unwrap();
        self.reserve_until(token.jti, path.as_str(), now, token.expires_at).await;
        (token.jti, token.address)
    }

    /// Reserves a use of the link for a token that was issued elsewhere.
    pub(crate) async fn reserve(&self, jti: Jti, path: &str, now: Timestamp) {
        self.reserve_until(jti, path, now, now.plus(Duration::from_secs(3600))).await;
    }

    /// Adds another token to the use that `first` reserved.
    pub(crate) async fn use_again(&self, first: Jti, jti: Jti) {
        self.sql(&format!(
            "INSERT INTO link_tokens (jti, use_id, path, size, state, issued_at, expires_at) \
             SELECT '{jti}', use_id, path, size, state, issued_at, expires_at FROM link_tokens WHERE jti = '{first}'"
        ))
        .await;
    }

    async fn reserve_until(&self, jti: Jti, path: &str, now: Timestamp, ends: Timestamp) {
        let (now, ends) = (now.secs(), ends.secs());
        for statement in [
            format!(
                "INSERT INTO link_uses (id, recipient, visitor, state, made_at, changed_at) \
                 VALUES ('{jti}', 'recipient', '', 'reserved', {now}, {now})"
            ),
            format!(
                "INSERT INTO link_tokens (jti, use_id, path, size, state, issued_at, expires_at) \
                 VALUES ('{jti}', '{jti}', '{path}', 0, 'reserved', {now}, {ends})"
            ),
            "UPDATE recipients SET taken = taken + 1 WHERE id = 'recipient'".to_owned(),
        ] {
            self.sql(&statement).await;
        }
    }

    pub(crate) async fn use_of(&self, jti: Jti) -> Use {
        let row = sqlx::query(
            "SELECT link_tokens.state AS token, link_uses.state AS its_use, taken FROM link_tokens \
             JOIN link_uses ON link_uses.id = use_id JOIN recipients ON recipients.id = recipient WHERE jti = $1",
        )
        .bind(jti.to_string())
        .fetch_one(self.db.db.reader())
        .await
        .unwrap();
        Use { states: (row.get("token"), row.get("its_use")), taken: row.get("taken") }
    }

    /// All deliveries of the link, newest first.
    pub(crate) async fn deliveries(&self) -> Vec<DeliveryHistory> {
        self.receipts.of_link(&self.owner.id, &LinkId::from_store(LINK)).await.unwrap().unwrap().deliveries
    }

    pub(crate) async fn delivery(&self, jti: Jti) -> Option<DeliveryHistory> {
        self.deliveries().await.into_iter().find(|delivery| delivery.jti == jti.to_string())
    }

    /// Waits until the delivery of `jti` is as `wanted`.
    pub(crate) async fn until(
        &self,
        jti: Jti,
        what: &str,
        wanted: impl Fn(&DeliveryHistory) -> bool,
    ) -> DeliveryHistory {
        let seen = std::cell::RefCell::new(None);
        eventually(what, async || {
            let found = self.delivery(jti).await;
            let good = found.as_ref().is_some_and(&wanted);
            *seen.borrow_mut() = found;
            good
        })
        .await;
        seen.into_inner().unwrap()
    }

    pub(crate) async fn until_state(&self, jti: Jti, state: DeliveryState) -> DeliveryHistory {
        self.until(jti, state.as_str(), |delivery| delivery.state == state).await
    }

    /// The steps of the delivery in the log, in order.
    pub(crate) async fn steps(&self, jti: Jti) -> Vec<String> {
        sqlx::query_scalar("SELECT event FROM receipt_log WHERE jti = $1 ORDER BY number")
            .bind(jti.to_string())
            .fetch_all(self.db.db.reader())
            .await
            .unwrap()
    }
}

/// Polls until `done` returns true; panics if that takes too long.
pub(crate) async fn eventually(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let polling = async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while !done().await {
            tick.tick().await;
        }
    };
    in_time(what, polling).await;
}

/// Waits for a future; panics if that takes too long.
pub(crate) async fn in_time<T>(what: &str, ends: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(PATIENCE, ends).await;
    ended.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}
