//! The services for managing accounts, without a server. The command line uses them while the app is running,
//! and the web app is built on them.

use std::sync::Arc;
use std::time::Duration;

use crate::brand::BrandError;
use crate::clock::{Clock, Timestamp};
use crate::config::Settings;
use crate::reloadable::Reloadable;
use crate::used_tokens::sql::SqlUsedTokens;
use crate::used_tokens::{StoreError, UsedTokens};
use crate::web::accounts::changes::AccountChanges;
use crate::web::accounts::store::Accounts;
use crate::web::api_keys::ApiKeys;
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::{Database, DatabaseError, QueryError};
use crate::web::device_logins::DeviceLogins;
use crate::web::identity::passwords::Passwords;
use crate::web::instance::{self, InstanceKeysError};
use crate::web::links::Links;
use crate::web::links::limits::LinkLimits;
use crate::web::links::uses::WaitingPresses;
use crate::web::links::views::ViewCounter;
use crate::web::mail::queue::MailQueue;
use crate::web::mail::transport::TransportError;
use crate::web::membership::action_links::ActionLinks;
use crate::web::membership::admin::AccountAdmin;
use crate::web::membership::notices::Notices;
use crate::web::membership::self_service::SelfService;
use crate::web::nodes::Nodes;
use crate::web::nodes::node_key::NodeKeyError;
use crate::web::nodes::revoke::RevokeError;
use crate::web::requests::FileRequests;
use crate::web::restored::RestoreDetectionError;
use crate::web::revocations::Revocations;
use crate::web::revocations::issued::IssuedTokens;
use crate::web::second_factor::SecondFactors;
use crate::web::shares::rights::Rights;
use crate::web::tokens::issuer::Issuer;
use crate::web::webhooks::Webhooks;

/// How long a request waits for the download services to record revocations.
const REVOKING: Duration = Duration::from_secs(2);

/// The web app can't start.
#[derive(Debug, thiserror::Error)]
pub enum WebOpenError {
    /// The database can't be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The keys can't be used, or are not those of the database.
    #[error(transparent)]
    Keys(#[from] InstanceKeysError),
    /// The node key can't be used.
    #[error(transparent)]
    NodeKey(#[from] NodeKeyError),
    /// A database query failed while the web app was starting.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The database could not be compared with what is remembered of it.
    #[error(transparent)]
    Restored(#[from] RestoreDetectionError),
    /// The store of used action links can't be used.
    #[error("the account database cannot record used action links")]
    UsedTokens(#[from] StoreError),
    /// Mails can't be sent.
    #[error(transparent)]
    Mail(#[from] TransportError),
    /// The operator's brand can't be used.
    #[error(transparent)]
    Brand(#[from] BrandError),
    /// The sender of mails is not valid.
    #[error("`mail.from` is not a valid sender; write it as in `Oncelink <noreply@example.org>`")]
    Sender(#[source] lettre::address::AddressError),
    /// An address in the settings can't be used in a header.
    #[error("download.public_url has characters that an address can't have")]
    Address(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The services for managing accounts and links. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// The clock.
    pub clock: Clock,
    /// The clock skew that is tolerated in tokens.
    pub leeway: Duration,
    /// The longest lifetime of a token.
    pub token_max: Duration,
    /// The database.
    pub db: Database,
    /// The changes of accounts, against which cached accounts are checked.
    pub account_changes: AccountChanges,
    /// The accounts.
    pub accounts: Accounts,
    /// Hashes and verifies passwords.
    pub passwords: Passwords,
    /// Minimum number of characters of a password.
    pub password_min: usize,
    /// The second factors of accounts.
    pub second_factors: SecondFactors,
    /// The keys of programs.
    pub api_keys: ApiKeys,
    /// Devices that wait for such a key.
    pub device_logins: DeviceLogins,
    /// Issues tokens.
    pub issuer: Issuer,
    /// Issues and verifies action links.
    pub actions: ActionLinks,
    /// Records used action links.
    pub used: Arc<dyn UsedTokens>,
    /// The queue of mails.
    pub queue: MailQueue,
    /// The download services.
    pub nodes: Nodes,
    /// Who may read, write and manage which share.
    pub rights: Rights,
    /// Issued download tokens, which may have to be revoked.
    pub issued: IssuedTokens,
    /// The links that people create for others.
    pub links: Links,
    /// The requests by which people ask others for files.
    pub requests: FileRequests,
    /// Which notices accounts have turned off.
    pub notices: Notices,
    /// The webhooks of accounts.
    pub webhooks: Webhooks,
    /// Administrators' actions on accounts.
    pub account_admin: AccountAdmin,
    /// People's actions on their own accounts.
    pub self_service: SelfService,
}

impl Services {
    /// Opens the database and the keys that the settings name, and creates them if they are missing.
    ///
    /// # Errors
    /// See [`WebOpenError`].
    pub async fn open(settings: &Settings, clock: Clock) -> Result<Services, WebOpenError> {
        let db = Database::open(settings).await?;
        let used = SqlUsedTokens::open(db.reader().clone(), db.writer().clone(), &clock, None).await?;
        let used: Arc<dyn UsedTokens> = Arc::new(used);
        let now = clock.now();
        let (signer, link_key) = instance::open_keys(&db, &settings.keys_dir(), now).await?;
        let nodes = Nodes::new(
            settings.download_services(),
            !settings.nodes.is_empty(),
            &settings.download.public_url,
            db.clone(),
        );
        let issuer = Issuer {
            signer: Arc::new(signer),
            issuer: settings.web.public_url.clone(),
            audience: settings.download.public_url.clone(),
            download_url: settings.download.public_url.clone(),
            lifetime: settings.token.lifetime,
        };
        let generations = AccountChanges::new(db.clone());
        let queue = MailQueue::new(db.clone());
        let accounts = Accounts::new(db.clone(), generations.clone());
        let rights = Rights::new(&settings.shares);
        let revocations = Revocations::new(db.clone(), &nodes);
        let (leeway, lease_max) = (settings.token.leeway, settings.download.lease_max);
        let issued = IssuedTokens::new(db.clone(), leeway, lease_max, Arc::new(rights.clone()), revocations);
        let limits = Reloadable::new(LinkLimits::from(settings));
        let links = Links {
            db: db.clone(),
            key: link_key.clone(),
            issued: issued.clone(),
            queue: queue.clone(),
            limits: limits.clone(),
            lease: settings.into(),
            views: ViewCounter::default(),
            presses: WaitingPresses::default(),
        };
        let requests = FileRequests { db: db.clone(), key: link_key.clone(), queue: queue.clone(), limits };
        Ok(Services {
            device_logins: DeviceLogins::new(db.clone()),
            api_keys: ApiKeys::new(db.clone(), accounts.clone(), generations.clone()),
            rights,
            second_factors: SecondFactors::new(db.clone(), link_key.clone()),
            links,
            requests,
            account_admin: AccountAdmin {
                db: db.clone(),
                accounts: accounts.clone(),
                account_changes: generations.clone(),
                queue: queue.clone(),
                issued: issued.clone(),
            },
            accounts,
            webhooks: Webhooks::new(db.clone(), link_key.clone(), queue.clone(), settings.into()),
            notices: Notices::new(db.clone(), link_key.clone()),
            db: db.clone(),
            nodes,
            passwords: Passwords::default(),
            password_min: settings.web.password_min,
            actions: ActionLinks::new(
                issuer.clone(),
                settings.token.leeway,
                settings.into(),
                db.clone(),
                link_key,
                Arc::clone(&used),
            ),
            used,
            self_service: SelfService::new(db.clone(), generations.clone(), queue.clone(), issued.clone()),
            issued,
            account_changes: generations,
            queue,
            issuer,
            leeway: settings.token.leeway,
            token_max: settings.token.max_lifetime,
            clock,
        })
    }

    /// Marks all tokens that a signing key signed for revocation, because the key was removed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_key(&self, kid: &str, actor: &Actor, now: Timestamp) -> Result<(), QueryError> {
        let mut transaction = self.db.begin().await?;
        self.issued.end_key(&mut transaction, kid, now).await?;
        audit::append(&mut transaction, actor, AuditEvent::KeyRemoved, kid, now).await?;
        self.db.commit(transaction).await?;
        self.issued.revocations.wake();
        Ok(())
    }

    /// Delivers revocations that were just marked, if that is quick; otherwise they are retried in the
    /// background. Returns whether all download services have recorded them.
    pub async fn revoke_now(&self) -> bool {
        let delivering = self.issued.revocations.deliver(false, self.clock.now());
        let Ok(delivered) = tokio::time::timeout(REVOKING, delivering).await else {
            tracing::warn!("a download service is slow; revocations are waiting");
            return false;
        };
        let mut all = true;
        for node in delivered {
            match node.outcome {
                Ok(_) => {}
                // The background delivery has already logged the failure.
                Err(RevokeError::Waiting) => all = false,
                Err(error) => {
                    all = false;
                    tracing::warn!(
                        node = node.node,
                        cause = crate::telemetry::chain(&error),
                        "revocations are waiting"
                    );
                }
            }
        }
        all
    }
}
