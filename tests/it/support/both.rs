//! Both services in one process, with the share `open`, which Ada may read.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use oncelink::clock::Clock;
use oncelink::config::Settings;
use oncelink::server::{self, Role, RunningServices};
use oncelink::web::accounts::store::AddOutcome;
use oncelink::web::identity::NewAccount;
use oncelink::web::identity::passwords::{Asker, Password};
use oncelink::web::services::Services;
use tempfile::TempDir;

use super::web::{Browser, PASSWORD, START};
use super::{for_everyone, on_free_ports, unused_address};

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
        Both::start_with(|_| {}).await
    }

    /// The same with `/metrics` on a listener of its own.
    pub(crate) async fn start_with_metrics() -> Both {
        Both::start_with(|settings| settings.metrics.listen = Some(unused_address().into())).await
    }

    async fn start_with(change: impl FnOnce(&mut Settings)) -> Both {
        let folder = TempDir::new().unwrap();
        let mut settings = on_free_ports(folder.path());
        settings.download.stop_timeout = Duration::from_secs(1);
        let share = folder.path().join("open");
        fs::create_dir(&share).unwrap();
        settings.shares = vec![for_everyone("open", share)];
        change(&mut settings);
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

    pub(crate) fn has_metrics(&self) -> bool {
        self.running.metrics.is_some()
    }

    pub(crate) fn reader_of_metrics(&self) -> Browser {
        Browser::at(&format!("http://{}", self.running.metrics.unwrap()))
    }

    /// The published metrics.
    pub(crate) async fn metrics(&self) -> String {
        let answer = self.reader_of_metrics().get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    pub(crate) async fn stop(self) {
        Box::pin(self.running.stop()).await;
        self.desk.db.close().await;
    }
}
