//! Both services in one process, with the share `open`, which Ada may read.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use oncelink::clock::Clock;
use oncelink::server::{self, Role, RunningServices};
use oncelink::web::accounts::store::AddOutcome;
use oncelink::web::identity::NewAccount;
use oncelink::web::identity::passwords::{Asker, Password};
use oncelink::web::services::Services;
use tempfile::TempDir;

use super::web::{Browser, PASSWORD, START};
use super::{for_everyone, on_free_ports};

pub(crate) const ADA: &str = "ada@example.org";

pub(crate) struct Both {
    running: RunningServices,
    desk: Services,
    /// The address of the web app.
    pub(crate) base: String,
    /// The address of the download service.
    pub(crate) download: String,
    folder: TempDir,
}

impl Both {
    pub(crate) async fn start() -> Both {
        let folder = TempDir::new().unwrap();
        let mut settings = on_free_ports(folder.path());
        settings.download.stop_timeout = Duration::from_secs(1);
        let share = folder.path().join("open");
        fs::create_dir(&share).unwrap();
        settings.shares = vec![for_everyone("open", share)];
        let clock = Clock::manual(START);
        let running = Box::pin(server::start(settings, Role::Both, clock.clone())).await.unwrap();
        let desk = Box::pin(Services::open(&running.settings, clock.clone())).await.unwrap();
        let password = Password::new(PASSWORD, 15).unwrap();
        let new = NewAccount {
            email: ADA.parse().unwrap(),
            name: "Ada".parse().unwrap(),
            admin: false,
            groups: Default::default(),
            password: Some(desk.passwords.hash(Asker::Operator, password).await.unwrap()),
        };
        assert!(matches!(desk.accounts.add(new, START).await.unwrap(), AddOutcome::New(_)));
        let base = running.settings.web.public_url.clone();
        let download = running.settings.download.public_url.clone();
        Both { running, desk, base, download, folder }
    }

    /// Puts a file in the share.
    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join("open").join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A browser in which Ada is logged in.
    pub(crate) async fn ada(&self) -> Browser {
        let mut ada = Browser::at(&self.base);
        assert_eq!(ada.log_in(ADA, PASSWORD).await.status, 303);
        ada
    }

    pub(crate) fn stranger(&self) -> Browser {
        Browser::at(&self.base)
    }

    pub(crate) async fn stop(self) {
        Box::pin(self.running.stop()).await;
        self.desk.db.close().await;
    }
}
