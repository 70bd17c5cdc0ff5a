//! The web app's database restored from a backup: sessions end, links with a limited number of downloads wait
//! for their owners, and everything else continues. The app detects this by a file beside the database, or
//! by what download services remember.

use std::fs;
use std::path::{Path, PathBuf};

use oncelink::clock::{Clock, Timestamp};
use oncelink::config::Settings;
use oncelink::files::ShareFolders;
use oncelink::receipt::Report;
use oncelink::server::{self, Role, RunningServices};
use oncelink::web::accounts::store::AddOutcome;
use oncelink::web::audit::{self, Actor};
use oncelink::web::identity::NewAccount;
use oncelink::web::identity::passwords::{Asker, Password};
use oncelink::web::services::Services;
use oncelink::web::{WebApp, restored};
use tempfile::TempDir;

use crate::support::client::Client;
use crate::support::links::{Made, make};
use crate::support::serving::put_in_place;
use crate::support::web::{Browser, PASSWORD};
use crate::support::{for_everyone, on_free_ports, stop_and_free};

/// Both services in one process, with a fixed folder and fixed addresses, and Ada's account.
struct Stage {
    folder: TempDir,
    settings: Settings,
    running: Option<RunningServices>,
}

impl Stage {
    async fn start() -> Stage {
        let folder = TempDir::new().unwrap();
        let share = folder.path().join("open");
        fs::create_dir_all(&share).unwrap();
        fs::write(share.join("file.txt"), "this is open").unwrap();
        let mut settings = on_free_ports(folder.path());
        settings.shares = vec![for_everyone("open", share)];
        let mut stage = Stage { folder, settings, running: None };
        stage.run().await;
        let desk = stage.desk().await;
        let new = NewAccount {
            email: "ada@example.org".parse().unwrap(),
            name: "Ada".parse().unwrap(),
            admin: false,
            groups: std::collections::BTreeSet::new(),
            password: Some(
                desk.passwords.hash(Asker::Operator, Password::new(PASSWORD, 15).unwrap()).await.unwrap(),
            ),
        };
        assert!(matches!(desk.accounts.add(new, desk.clock.now()).await.unwrap(), AddOutcome::New(_)));
        desk.db.close().await;
        stage
    }

    async fn run(&mut self) {
        let running = server::start(self.settings.clone(), Role::Both, Clock::wall()).await.unwrap();
        self.settings.web.listen = running.web.unwrap().into();
        self.settings.download.listen = running.download.unwrap().into();
        self.settings.web.public_url.clone_from(&running.settings.web.public_url);
        self.settings.download.public_url.clone_from(&running.settings.download.public_url);
        self.running = Some(running);
    }

    async fn stop(&mut self) {
        stop_and_free(self.running.take().unwrap()).await;
    }

    async fn desk(&self) -> Services {
        Services::open(&self.settings, Clock::wall()).await.unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn ada(&self) -> Browser {
        let mut ada = Browser::at(&self.settings.web.public_url);
        assert_eq!(ada.log_in("ada@example.org", PASSWORD).await.status, 303);
        ada
    }

    /// The last status for a stranger who presses the button and follows its link, and the page of a refusal.
    async fn take(&self, made: &Made) -> (u16, String) {
        let answer = Browser::at(&self.settings.web.public_url).post(&made.public[0], &[]).await;
        if let Some(address) = &answer.location {
            return (Client::default().get(address).await.status.as_u16(), String::new());
        }
        (answer.status, answer.body)
    }

    async fn logged(&self, action: &str) -> usize {
        let desk = self.desk().await;
        let (lines, _) = audit::list(&desk.db, action, 0, 100).await.unwrap();
        desk.db.close().await;
        lines.iter().filter(|line| line.action == action).count()
    }
}

/// Restores what `README.md` says to back up.
fn put_back(stage: &Stage, backup: &Path) {
    for folder in ["web", "keys"] {
        put_in_place(&backup.join(folder), &stage.settings.data_dir.join(folder));
    }
}

#[actix_web::test]
async fn what_was_downloaded_since_the_backup_can_t_be_downloaded_again() {
    let mut stage = Stage::start().await;
    let mut ada = stage.ada().await;
    let once = make(&mut ada, &[("uses", "1")]).await;
    let often = make(&mut ada, &[("uses", "")]).await;
    let stopped = make(&mut ada, &[("uses", "3")]).await;
    ada.fill(&stopped.page, &format!("{}/pause", stopped.page), &[]).await;
    stage.stop().await;
    let backup = stage.path("backup");
    put_in_place(&stage.settings.data_dir, &backup);
    stage.run().await;

    for attempt in 1..=2 {
        let mut late = stage.ada().await;
        if attempt == 1 {
            assert_eq!(stage.take(&once).await.0, 200);
        }
        stage.stop().await;
        put_back(&stage, &backup);
        stage.run().await;
        let (status, page) = stage.take(&once).await;
        assert_eq!(status, 403, "{page}");
        assert_eq!(stage.take(&often).await.0, 200, "a link without a limit works as before");
        for browser in [&mut ada, &mut late] {
            let answer = browser.get("/account").await;
            assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/login?next=%2Faccount")));
        }
        assert_eq!(stage.logged("database-restored").await, 1);
        let desk = stage.desk().await;
        let noticed = restored::detected_restore(&desk.db).await.unwrap().unwrap();
        assert_eq!(noticed.waiting, 1);
        assert!(noticed.back_to <= noticed.at);
        // The next start ends nothing more.
        stage.stop().await;
        stage.run().await;
        ada = stage.ada().await;
        assert!(ada.get(&once.page).await.body.contains("restored from a backup"));
        if attempt == 1 {
            let resumed = restored::resume_all(&desk.db, &Actor::operator(), desk.clock.now()).await.unwrap();
            assert_eq!(resumed, 1);
        } else {
            ada.fill(&once.page, &format!("{}/resume", once.page), &[]).await;
        }
        desk.db.close().await;
        assert_eq!(stage.take(&once).await.0, 200, "its owner has resumed it");
        assert_eq!(stage.take(&stopped).await.0, 403, "a link that its owner had paused stays paused");
    }
    stage.stop().await;
}

#[actix_web::test]
async fn a_database_that_is_only_missing_or_new_ends_nothing() {
    let mut stage = Stage::start().await;
    let mut ada = stage.ada().await;
    let once = make(&mut ada, &[("uses", "1")]).await;
    stage.stop().await;
    fs::remove_file(stage.settings.data_dir.join("web.witness")).unwrap();
    fs::remove_file(stage.settings.data_dir.join("download/remembered")).unwrap();
    stage.run().await;
    assert_eq!(ada.get("/account").await.status, 200);
    assert_eq!(stage.take(&once).await.0, 200);
    stage.stop().await;
    // Download services remember the old database, and the new one has another id.
    fs::remove_dir_all(stage.settings.data_dir.join("web")).unwrap();
    stage.run().await;
    assert_eq!(stage.logged("database-restored").await, 0);
    stage.stop().await;
}

/// A report that contains only the database's mark that a download service remembers.
fn report(stage: &Stage, word: Option<String>, now: Timestamp) -> Report {
    Report {
        node: stage.settings.download.public_url.clone(),
        reported_since: now,
        reported_until: now,
        receipts: Vec::new(),
        store: None,
        database: word,
    }
}

#[actix_web::test]
async fn a_download_service_elsewhere_remembers_what_the_whole_machine_of_the_web_app_forgot() {
    let mut stage = Stage::start().await;
    let mut ada = stage.ada().await;
    let once = make(&mut ada, &[("uses", "1")]).await;
    stage.stop().await;
    let (backup, now) = (stage.path("backup"), Clock::wall().now());
    put_in_place(&stage.settings.data_dir, &backup);
    let open = async || {
        let folders = ShareFolders::open(&stage.settings.shares).unwrap();
        WebApp::open(&stage.settings, Clock::wall(), folders).await.unwrap()
    };
    let app = open().await;
    let word = app.receipts().accept(report(&stage, None, now)).await.unwrap().database.unwrap();
    let later = app.receipts().accept(report(&stage, Some(word.clone()), now)).await.unwrap().database;
    assert_eq!(stage.logged("database-restored").await, 0, "the database is where it is remembered to be");
    assert!(later.is_some());
    app.close().await;

    put_in_place(&backup, &stage.settings.data_dir);
    let app = open().await;
    let (text, _) = word.rsplit_once('.').unwrap();
    let mut parts: Vec<&str> = text.split('.').collect();
    parts[3] = "9000000000000000000";
    let forged =
        [parts.join(".") + ".AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "x".to_owned(), String::new()];
    for forged in forged {
        app.receipts().accept(report(&stage, Some(forged), now)).await.unwrap();
    }
    assert_eq!(
        stage.logged("database-restored").await,
        0,
        "a mark that this web app never made ends nothing"
    );
    for _twice in 0..2 {
        app.receipts().accept(report(&stage, later.clone(), now)).await.unwrap();
        assert_eq!(stage.logged("database-restored").await, 1);
    }
    app.close().await;
    stage.run().await;
    assert_eq!(stage.take(&once).await.0, 403);
    stage.stop().await;
}
