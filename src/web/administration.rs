//! Accounts with all that managing them takes, without a server: what the command line works with
//! while the services run, and what the web app is built upon.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Settings;
use crate::used_tokens::sql::SqlUsedTokens;
use crate::web::OpenError;
use crate::web::account_admin::AccountAdmin;
use crate::web::accounts::Accounts;
use crate::web::actions::{Actions, Lifetimes};
use crate::web::db::Database;
use crate::web::generation::Generations;
use crate::web::issue::Issuer;
use crate::web::issued::Issued;
use crate::web::links::Links;
use crate::web::links::key::LinkKey;
use crate::web::links::views::Views;
use crate::web::mail::queue::Queue;
use crate::web::passwords::Passwords;
use crate::web::self_service::SelfService;
use crate::web::signer::Signer;

/// How long a request waits for the download service to put revocations on record.
const REVOKING: Duration = Duration::from_secs(2);

/// Accounts, their passwords and the links by which people choose them. Cheap to clone.
#[derive(Clone)]
pub struct Administration {
    /// The present moment.
    pub clock: Clock,
    /// The database.
    pub db: Database,
    /// What cached accounts are checked against.
    pub generations: Generations,
    /// Accounts.
    pub accounts: Accounts,
    /// Hashing of passwords.
    pub passwords: Passwords,
    /// Fewest characters of a password.
    pub password_min: usize,
    /// Issues tokens.
    pub issuer: Issuer,
    /// Action links.
    pub actions: Actions,
    /// Mails that wait.
    pub queue: Queue,
    /// Download tokens that may have to be revoked.
    pub issued: Issued,
    /// Links that people make for others.
    pub links: Links,
    /// What administrators do with accounts.
    pub account_admin: AccountAdmin,
    /// What people do with their own accounts.
    pub self_service: SelfService,
}

impl Administration {
    /// Opens the database and the keys that the settings name; makes what is missing.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(settings: &Settings, clock: Clock) -> Result<Administration, OpenError> {
        let db = Database::open(settings).await?;
        let used = SqlUsedTokens::open(db.reader().clone(), db.writer().clone(), &clock, None).await?;
        let now = clock.now();
        let issuer = Issuer {
            signer: Arc::new(Signer::open(&settings.keys_dir(), now)?),
            issuer: settings.web.public_url.clone(),
            audience: settings.download.public_url.clone(),
            download_url: settings.download.public_url.clone(),
            lifetime: settings.token.lifetime,
        };
        let generations = Generations::new(db.clone());
        let queue = Queue::new(db.clone());
        let accounts = Accounts::new(db.clone(), generations.clone());
        let issued = Issued::new(db.clone(), settings.token.leeway, settings.download.lease_max);
        let key = LinkKey::open(&settings.keys_dir())?;
        let links = Links {
            db: db.clone(),
            key: key.clone(),
            issued: issued.clone(),
            queue: queue.clone(),
            views: Views::default(),
        };
        Ok(Administration {
            links,
            account_admin: AccountAdmin {
                db: db.clone(),
                accounts: accounts.clone(),
                generations: generations.clone(),
                queue: queue.clone(),
                issued: issued.clone(),
            },
            accounts,
            issued,
            db: db.clone(),
            passwords: Passwords::default(),
            password_min: settings.web.password_min,
            actions: Actions::new(
                issuer.clone(),
                settings.token.leeway,
                Lifetimes::new(settings),
                db.clone(),
                key,
                Arc::new(used),
            ),
            self_service: SelfService::new(db.clone(), generations.clone(), queue.clone()),
            generations,
            queue,
            issuer,
            clock,
        })
    }

    /// Has what was just marked revoked, if that goes quickly; what does not is tried again and again.
    /// Answers whether the download service has it all on record.
    pub async fn revoke_now(&self) -> bool {
        let delivering = self.issued.deliver(self.clock.now());
        match tokio::time::timeout(REVOKING, delivering).await {
            Ok(Ok(_)) => return true,
            Ok(Err(error)) => {
                tracing::warn!(cause = crate::telemetry::chain(&error), "tokens wait to be revoked");
            }
            Err(_) => tracing::warn!("the download service is slow; tokens wait to be revoked"),
        }
        false
    }
}
