//! Links that delete their files afterwards: not before the last download is over, and surely then.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use oncelink::files::ShareFolders;
use oncelink::web::WebApp;
use serde_json::Value;

use crate::support::client::{Client, Partial};
use crate::support::deliveries::eventually;
use crate::support::links::Made;
use crate::support::pattern;
use crate::support::tus::personal;
use crate::support::web::{Browser, PASSWORD};
use crate::web_link_downloads::Stage;

const MIB: usize = 1024 * 1024;

struct Afterwards {
    stage: Stage,
    /// A second web app on the same database, whose upkeep runs when the test says so.
    twin: WebApp,
    file: PathBuf,
    path: String,
}

impl Afterwards {
    async fn start() -> Afterwards {
        let stage = Stage::start_with(personal).await;
        let settings = &stage.running.settings;
        let folders = ShareFolders::open(&settings.shares).unwrap();
        let twin = WebApp::open(settings, stage.clock.clone(), folders).await.unwrap();
        let ada = stage.desk.accounts.by_email(&"ada@example.org".parse().unwrap()).await.unwrap().unwrap();
        let home = stage.folder.path().join("home").join(ada.id.as_str());
        fs::create_dir_all(&home).unwrap();
        let file = home.join("once.bin");
        fs::write(&file, pattern(24 * MIB)).unwrap();
        Afterwards { stage, twin, file, path: format!("/home/{}/once.bin", ada.id) }
    }

    async fn link(&mut self, uses: &str) -> Made {
        let path = self.path.clone();
        self.stage.make(&[("files", &path), ("uses", uses), ("delete_files", "yes")]).await
    }

    /// Whether the file is still there after the upkeep.
    async fn stays(&self) -> bool {
        self.twin.upkeep().prune().await;
        self.file.exists()
    }

    fn pass(&self, seconds: u64) {
        self.stage.clock.set(self.stage.clock.now().plus(Duration::from_secs(seconds)));
    }

    async fn press(&self, browser: &mut Browser, made: &Made) -> String {
        let answer = browser.fill(&made.public[0], &made.public[0], &[("file", "0")]).await;
        answer.location.unwrap_or_else(|| panic!("{} {}", answer.status, answer.body))
    }

    /// Waits until the visitor's page shows this state of the file.
    async fn until(&self, browser: &mut Browser, made: &Made, state: &str) {
        eventually(state, async || {
            let answer = browser.get(&format!("{}/state", made.public[0])).await;
            let facts: Value = serde_json::from_str(&answer.body).unwrap_or_default();
            facts["files"][0]["state"] == state
        })
        .await;
    }

    async fn page(&mut self, made: &Made) -> String {
        self.stage.ada = Browser::at(&self.stage.base);
        self.stage.ada.log_in("ada@example.org", PASSWORD).await;
        self.stage.ada.get(&made.page).await.body
    }

    async fn stop(self) {
        self.twin.close().await;
        self.stage.stop().await;
    }
}

#[actix_web::test]
async fn a_link_that_is_used_up_deletes_its_file_when_nobody_can_continue_any_more() {
    let mut all = Afterwards::start().await;
    let made = all.link("2").await;
    let (mut ann, mut bob) = (Browser::at(&all.stage.base), Browser::at(&all.stage.base));
    let address = all.press(&mut ann, &made).await;
    assert_eq!(Client::at(1).get(&address).await.body.len(), 24 * MIB);
    all.until(&mut ann, &made, "downloaded").await;
    all.pass(2 * 3600);
    assert!(all.stays().await, "a download is left");

    // The last one is interrupted: whoever began it may still go on.
    let address = all.press(&mut bob, &made).await;
    let partial = Partial::open(2, &address, "", MIB).await;
    assert_eq!(partial.status(), 200);
    all.until(&mut bob, &made, "running").await;
    assert!(all.stays().await, "it is being sent");
    drop(partial);
    all.until(&mut bob, &made, "interrupted").await;
    all.pass(1800);
    assert!(all.stays().await, "it can be continued");
    let address = all.press(&mut bob, &made).await;
    assert_eq!(Client::at(2).get(&address).await.body.len(), 24 * MIB);
    all.until(&mut bob, &made, "downloaded").await;
    all.pass(1800);
    assert!(all.stays().await, "a program may still fetch a part again");
    all.pass(1860);
    assert!(!all.stays().await, "used up, and no lease runs");
    let page = all.page(&made).await;
    assert!(page.contains("were moved to the trash"), "{page}");
    Box::pin(all.stop()).await;
}

#[actix_web::test]
async fn a_download_that_is_never_continued_keeps_the_file_until_its_lease_has_ended() {
    let mut all = Afterwards::start().await;
    let made = all.link("1").await;
    let mut bob = Browser::at(&all.stage.base);
    let address = all.press(&mut bob, &made).await;
    assert!(all.stays().await, "it may still begin");
    let partial = Partial::open(1, &address, "", MIB).await;
    all.until(&mut bob, &made, "running").await;
    drop(partial);
    all.until(&mut bob, &made, "interrupted").await;
    all.pass(3500);
    assert!(all.stays().await, "the lease runs");
    all.pass(160);
    assert!(!all.stays().await, "the lease has ended");
    Box::pin(all.stop()).await;
}
