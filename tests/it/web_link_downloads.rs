//! Downloads through links with a real download service: exactly as many as allowed, with common programs,
//! and not a byte more after a revocation.

use oncelink::clock::Clock;
use oncelink::config::Settings;
use oncelink::server::{self, Role, RunningServices};
use oncelink::web::accounts::store::AddOutcome;
use oncelink::web::identity::NewAccount;
use oncelink::web::identity::passwords::{Asker, Password};
use oncelink::web::services::Services;
use tempfile::TempDir;

use crate::needs::has_program;
use crate::support::client::{Client, Partial};
use crate::support::links::{Made, make};
use crate::support::programs::run;
use crate::support::web::{Browser, PASSWORD, START};
use crate::support::{for_everyone, on_free_ports, pattern, stop_and_free};

const MIB: usize = 1024 * 1024;

/// Both services in one process, and Ada logged in.
pub(crate) struct Stage {
    pub(crate) running: RunningServices,
    pub(crate) desk: Services,
    pub(crate) clock: Clock,
    pub(crate) base: String,
    pub(crate) ada: Browser,
    pub(crate) folder: TempDir,
}

impl Stage {
    async fn start() -> Stage {
        Stage::start_with(|_| {}).await
    }

    /// The same, with changed settings.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> Stage {
        let folder = TempDir::new().unwrap();
        let share = folder.path().join("open");
        std::fs::create_dir_all(&share).unwrap();
        std::fs::write(share.join("file.txt"), "this is open").unwrap();
        std::fs::write(share.join("big.bin"), pattern(24 * MIB)).unwrap();
        let mut settings = on_free_ports(folder.path());
        // All visitors have the same address here.
        settings.links.presses = 0;
        settings.shares = vec![for_everyone("open", share)];
        change(&mut settings);
        let clock = Clock::manual(START);
        let running = server::start(settings, Role::Both, clock.clone()).await.unwrap();
        let desk = Services::open(&running.settings, clock.clone()).await.unwrap();
        let new = NewAccount {
            email: "ada@example.org".parse().unwrap(),
            name: "Ada".parse().unwrap(),
            admin: false,
            groups: std::collections::BTreeSet::new(),
            password: Some(
                desk.passwords.hash(Asker::Operator, Password::new(PASSWORD, 15).unwrap()).await.unwrap(),
            ),
        };
        assert!(matches!(desk.accounts.add(new, START).await.unwrap(), AddOutcome::New(_)));
        let base = running.settings.web.public_url.clone();
        let mut ada = Browser::at(&base);
        assert_eq!(ada.log_in("ada@example.org", PASSWORD).await.status, 303);
        Stage { running, desk, clock, base, ada, folder }
    }

    pub(crate) async fn make(&mut self, changed: &[(&str, &str)]) -> Made {
        make(&mut self.ada, changed).await
    }

    /// Presses the button and returns the download address.
    async fn press(&self, public: &str) -> String {
        let answer = Browser::at(&self.base).post(public, &[]).await;
        answer.location.unwrap_or_else(|| panic!("{} {}", answer.status, answer.body))
    }

    pub(crate) async fn stop(self) {
        self.desk.db.close().await;
        self.running.stop().await;
    }
}

#[actix_web::test]
async fn a_hundred_people_at_once_on_ten_uses_are_ten_downloads() {
    let mut stage = Stage::start().await;
    let made = stage.make(&[("uses", "10")]).await;
    let (base, public) = (stage.base.as_str(), made.public[0].as_str());
    let person = |n: u8| async move {
        let answer = Browser::at(base).post(public, &[]).await;
        match answer.location {
            Some(address) => {
                let file = Client::at(n % 200 + 1).get(&address).await;
                (file.status == 200 && file.body == b"this is open") as usize
            }
            None => {
                assert_eq!(answer.status, 410, "{}", answer.body);
                0
            }
        }
    };
    let downloads: Vec<usize> = futures_util::future::join_all((0..100).map(person)).await;
    assert_eq!(downloads.iter().sum::<usize>(), 10);
    stage.stop().await;
}

#[actix_web::test]
async fn revoking_and_pausing_cut_a_running_transfer_and_its_lease() {
    let mut stage = Stage::start().await;
    for action in ["revoke", "pause"] {
        let made = stage.make(&[("files", "/open/big.bin"), ("uses", "5")]).await;
        let other = stage.make(&[("files", "/open/big.bin")]).await;
        let running = stage.press(&made.public[0]).await;
        let waiting = stage.press(&made.public[0]).await;
        let others = stage.press(&other.public[0]).await;
        let mut transfer = Partial::open(1, &running, "", MIB).await;
        assert_eq!(transfer.status(), 200);
        let key = transfer.header("etag").unwrap().to_owned();
        let answer = stage.ada.fill(&made.page, &format!("{}/{action}", made.page), &[]).await;
        assert_eq!(answer.status, 303);
        // When the page responds, the download service has recorded it.
        let got = transfer.read_to_end().await;
        assert!(got < 24 * MIB, "{action}: the whole file arrived");
        let range = format!("bytes={got}-");
        let resumed = Client::at(1).get_with(&running, &[("range", &range), ("if-range", &key)]).await;
        assert_eq!(resumed.slug(), "revoked-token", "{action}: the lease has ended, too");
        assert_eq!(Client::at(1).get(&waiting).await.slug(), "revoked-token", "{action}");
        assert_eq!(Client::at(1).get(&others).await.status, 200, "{action}: nobody else's link suffers");
    }
    stage.stop().await;
}

#[actix_web::test]
async fn disabling_the_owner_revokes_what_was_issued_through_their_links() {
    let mut stage = Stage::start().await;
    let made = stage.make(&[("uses", "5")]).await;
    let waiting = stage.press(&made.public[0]).await;
    let ada = stage.desk.accounts.by_email(&"ada@example.org".parse().unwrap()).await.unwrap().unwrap();
    let operator = oncelink::web::audit::Actor::operator();
    stage.desk.account_admin.set_disabled(&ada, true, &operator, START).await.unwrap();
    let gone = Browser::at(&stage.base).post(&made.public[0], &[]).await;
    assert_eq!(gone.status, 410);
    // The services' own task polls twice a second; the test doesn't call it.
    let delivered = async {
        loop {
            let query = sqlx::query_scalar("SELECT COUNT(*) FROM revocations");
            let left: i64 = query.fetch_one(stage.desk.db.reader()).await.unwrap();
            if left == 0 {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), delivered).await.expect("it is delivered");
    assert_eq!(Client::at(1).get(&waiting).await.slug(), "revoked-token");
    stage.stop().await;
}

/// The same with a separate download service that reports over HTTP; and after a restart of both, because the
/// counts are stored.
#[actix_web::test]
async fn revoking_reaches_a_separate_download_service_and_counts_outlive_a_restart() {
    let mut stage = Stage::start().await;
    let made = stage.make(&[("uses", "3"), ("files", "/open/big.bin")]).await;
    stage.press(&made.public[0]).await;
    let Stage { running, desk, clock, base, mut ada, folder: _folder } = stage;
    let mut settings = running.settings.clone();
    settings.web.listen = running.web.unwrap().into();
    settings.download.listen = running.download.unwrap().into();
    settings.download.keys = format!("{base}/.well-known/jwks.json");
    desk.db.close().await;
    stop_and_free(running).await;

    let web = server::start(settings.clone(), Role::Web, clock.clone()).await.unwrap();
    let download = server::start(settings.clone(), Role::Download, clock.clone()).await.unwrap();
    let press = async || Browser::at(&base).post(&made.public[0], &[]).await;
    let running = press().await.location.unwrap();
    let waiting = press().await.location.unwrap();
    assert_eq!(press().await.status, 410, "one was used before the restart, two after it");
    let mut transfer = Partial::open(1, &running, "", MIB).await;
    assert_eq!(transfer.status(), 200);
    let answer = ada.fill(&made.page, &format!("{}/revoke", made.page), &[]).await;
    assert_eq!(answer.status, 303);
    assert!(transfer.read_to_end().await < 24 * MIB);
    assert_eq!(Client::at(1).get(&waiting).await.slug(), "revoked-token");
    download.stop().await;
    web.stop().await;
}

#[actix_web::test]
async fn a_token_expires_with_its_link() {
    let mut stage = Stage::start().await;
    let made = stage.make(&[("ends", "2027-01-15T08:01")]).await;
    let address = stage.press(&made.public[0]).await;
    stage.clock.set(START.plus(std::time::Duration::from_secs(66)));
    assert_eq!(Client::at(1).get(&address).await.slug(), "expired-token");
    stage.stop().await;
}

#[actix_web::test]
async fn a_file_that_changed_since_the_press_is_not_sent_and_not_spent() {
    let mut stage = Stage::start().await;
    let made = stage.make(&[]).await;
    let address = stage.press(&made.public[0]).await;
    std::fs::write(stage.folder.path().join("open/file.txt"), "this is another file").unwrap();
    assert_eq!(Client::at(1).get(&address).await.slug(), "file-changed");
    stage.stop().await;
}

#[actix_web::test]
async fn the_one_liners_of_the_readme_work() {
    if !has_program("curl") || !has_program("wget") {
        return;
    }
    let mut stage = Stage::start().await;
    let home = TempDir::new().unwrap();
    let readme = std::fs::read_to_string("README.md").unwrap();
    let lines: Vec<&str> = readme
        .split("<!-- one-liners of a link -->")
        .nth(1)
        .expect("the README has the one-liners")
        .lines()
        .filter(|line| line.starts_with("curl ") || line.starts_with("wget "))
        .collect();
    assert!(lines.len() >= 4, "{lines:?}");
    std::fs::write(stage.folder.path().join("open/report 我.pdf"), pattern(100_000)).unwrap();
    let changed = [
        ("files", "/open/report%20%E6%88%91.pdf /open/file.txt"),
        ("password", "the right word"),
        ("uses", "9"),
    ];
    let several = stage.make(&changed).await;
    let single = stage.make(&[("files", "/open/report%20%E6%88%91.pdf"), ("uses", "9")]).await;
    for line in lines {
        let with_password = line.contains("password=");
        let made = if with_password { &several } else { &single };
        let line = line.replace("https://files.example/l/CODE", &format!("{}{}", stage.base, made.public[0]));
        let line = line.replace("PASSWORD", "the right word");
        let before: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
        assert!(before.is_empty());
        let done = run(home.path(), "sh", &["-c", &line]).await;
        assert_eq!(done.code, Some(0), "{line}: {done:?}");
        if line.contains("application/json") {
            assert!(done.said.contains("\"uses_left\":"), "{line}: {done:?}");
            continue;
        }
        let mut files: Vec<_> =
            std::fs::read_dir(home.path()).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{line}: {files:?}");
        let file = files.remove(0);
        let content = std::fs::read(&file).unwrap();
        assert!(content == pattern(100_000), "{line}: {} bytes as {file:?}", content.len());
        assert_eq!(file.file_name().unwrap().to_str(), Some("report 我.pdf"), "{line}");
        std::fs::remove_file(file).unwrap();
    }
    stage.stop().await;
}
