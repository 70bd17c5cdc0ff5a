//! File requests in a real browser: asking for files with a few clicks, and sending them as a guest: dropped,
//! paused, after a reload, with a password, and without JavaScript.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::browser::Browser;
use crate::support::pattern;
use crate::support::proxy::{Line, Proxy, Uplink};
use crate::support::requests::{Asked, ask};
use crate::support::tus::writable;
use crate::support::web::{PASSWORD, TestWeb};

/// Slow enough for a test to act during the transfer.
const SLOW: Uplink = Uplink { cuts: 0, cut_after: 0, speed: Some(300_000) };

struct Stage {
    web: TestWeb,
    browser: Browser,
    base: String,
    /// Files on the guest's own machine.
    own: TempDir,
    asked: Asked,
}

impl Stage {
    /// A browser without cookies, and a request by Ada for files in `/open`.
    async fn start(changed: &[(&str, &str)]) -> Option<Stage> {
        let browser = Browser::start().await?;
        let web = TestWeb::spawn_with(writable).await;
        web.account("ada@example.org", &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        let asked = ask(&mut ada, changed).await;
        Some(Stage { base: web.base.clone(), web, browser, own: TempDir::new().unwrap(), asked })
    }

    /// The same through a slow connection.
    async fn start_slow() -> Option<(Stage, Proxy)> {
        let mut stage = Stage::start(&[("note", "All of them, please.")]).await?;
        let node: SocketAddr = stage.web.base.strip_prefix("http://").unwrap().parse().unwrap();
        let proxy = Proxy::start_with(node, Line::default(), SLOW).await;
        stage.base = format!("http://{}", proxy.address);
        Some((stage, proxy))
    }

    async fn open(&self) {
        self.browser.goto(&format!("{}{}", self.base, self.asked.public)).await;
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.own.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    async fn pick(&self, files: &[&Path]) {
        let paths: Vec<_> = files.iter().map(|path| path.to_str().unwrap()).collect();
        self.browser.find("#pick-files").await.send_keys(paths.join("\n")).await.unwrap();
    }

    /// Waits until the page has `count` files and all of them are in this state.
    async fn until(&self, state: &str, count: usize) {
        self.browser.find(&format!("#uploads:has(li[data-state={state}]:nth-child({count}))")).await;
        self.browser.find(&format!("#uploads:not(:has(li:not([data-state={state}])))")).await;
    }

    async fn press(&self, css: &str) {
        self.browser.find(css).await.click().await.unwrap();
    }

    async fn end(self) {
        self.browser.quit().await;
        self.web.stop().await;
    }
}

#[actix_web::test]
async fn a_guest_drops_files_and_the_person_who_asked_sees_them_arrive() {
    let Some(stage) = Stage::start(&[("note", "All of them, please.")]).await else { return };
    stage.open().await;
    stage.browser.inspect("request-guest").await;
    stage.browser.find("#name").await.send_keys("Eve").await.unwrap();
    stage
        .browser
        .run(
            "const files = new DataTransfer();
             files.items.add(new File(['dropped one'], 'file.txt', { lastModified: 1 }));
             files.items.add(new File([''], 'empty.txt', { lastModified: 2 }));
             files.items.add(new File(['x'], 'y'.repeat(300), { lastModified: 3 }));
             for (const kind of ['dragenter', 'dragover', 'drop'])
               document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true }));
             return 0;",
        )
        .await;
    stage.browser.find("#uploads li[data-state=failed]").await;
    let text = stage.browser.says("2 of 3 files").await;
    assert!(text.contains("11 bytes · arrived") && !text.contains("file (2).txt"), "{text}");
    stage.press("#uploads li[data-state=failed] [data-act=cancel]").await;
    stage.browser.says("Thank you! All your files have arrived.").await;
    stage.browser.inspect("request-guest-done").await;
    assert_eq!(fs::read(stage.web.share("open").join("file (2).txt")).unwrap(), b"dropped one");
    stage.open().await;
    stage.browser.says("What you have sent").await;
    stage.browser.inspect("request-guest-again").await;
    stage.browser.goto(&format!("{}/login", stage.base)).await;
    for (css, text) in [("#email", "ada@example.org"), ("#password", PASSWORD)] {
        stage.browser.find(css).await.send_keys(text).await.unwrap();
    }
    stage.press("main button[type=submit]").await;
    stage.browser.at(|url| url.ends_with("/files/")).await;
    stage.browser.goto(&format!("{}{}", stage.base, stage.asked.page)).await;
    let text = stage.browser.says("from Eve").await;
    assert!(text.contains("saved as /open/file (2).txt"), "{text}");
    stage.browser.inspect("request").await;
    // What arrives while she watches appears by itself.
    let guest = crate::support::requests::Guest::admitted(&stage.web.base, &stage.asked.public, &[]).await;
    guest.put("while-she-watches.txt", b"live").await;
    stage.browser.says("while-she-watches.txt").await;
    stage.browser.goto(&format!("{}/requests", stage.base)).await;
    stage.browser.inspect("requests").await;
    stage.browser.look(390, "light").await;
    let heights = "return [...document.querySelectorAll('.links > li')].map((row) => row.offsetHeight)";
    let heights = stage.browser.run(heights).await;
    let heights = heights.as_array().unwrap();
    assert!(
        !heights.is_empty() && heights.iter().all(|height| height.as_u64().unwrap() <= 72),
        "{heights:?}"
    );
    stage.end().await;
}

#[actix_web::test]
async fn asking_for_files_takes_two_clicks_from_a_folder() {
    let Some(stage) = Stage::start(&[]).await else { return };
    stage.browser.goto(&format!("{}/login", stage.base)).await;
    for (css, text) in [("#email", "ada@example.org"), ("#password", PASSWORD)] {
        stage.browser.find(css).await.send_keys(text).await.unwrap();
    }
    stage.press("main button[type=submit]").await;
    stage.browser.at(|url| url.ends_with("/files/")).await;
    stage.browser.goto(&format!("{}/files/open", stage.base)).await;
    stage.browser.named("Ask for files").await.click().await.unwrap();
    stage.browser.at(|url| url.contains("/requests/new")).await;
    stage.browser.inspect("request-new").await;
    stage.press("main button[type=submit]").await;
    stage.browser.says("Your link is ready").await;
    let address = stage.browser.find("#address").await.prop("value").await.unwrap().unwrap();
    assert!(address.starts_with(&format!("{}/r/", stage.base)), "{address}");
    stage.browser.inspect("request-made").await;
    stage.end().await;
}

#[actix_web::test]
async fn a_guests_file_is_paused_and_continues_after_a_reload() {
    let Some((stage, proxy)) = Stage::start_slow().await else { return };
    let content = pattern(6_000_000);
    let file = stage.file("long.bin", &content);
    stage.open().await;
    stage.pick(&[&file]).await;
    stage.browser.find("#uploads li progress:not([value='0'])").await;
    stage.press("#uploads li [data-act=toggle]").await;
    stage.until("paused", 1).await;
    stage.browser.inspect("request-guest-paused").await;
    stage.press("#uploads li [data-act=toggle]").await;
    stage.browser.find("#uploads li[data-state=running]").await;
    stage.browser.goto("about:blank").await;
    stage.open().await;
    stage.until("unfinished", 1).await;
    stage.browser.says("Choose the same file again to continue.").await;
    proxy.remove_speed_limit();
    stage.pick(&[&file]).await;
    stage.until("done", 1).await;
    assert!(fs::read(stage.web.share("open").join("long.bin")).unwrap() == content);
    let heads = proxy.requests();
    let begun = heads.iter().filter(|head| head.starts_with("POST /uploads")).count();
    assert_eq!(begun, 1, "it resumed and did not start again");
    stage.end().await;
}

#[actix_web::test]
async fn a_password_comes_first_and_a_stopped_request_says_so() {
    let Some(stage) = Stage::start(&[("password", "the right word")]).await else { return };
    stage.open().await;
    stage.browser.inspect("request-guest-password").await;
    stage.browser.find("#password").await.send_keys("the right word").await.unwrap();
    stage.browser.find("#name").await.send_keys("Eve").await.unwrap();
    stage.press("main button[type=submit]").await;
    stage.pick(&[&stage.file("a.txt", b"a")]).await;
    stage.until("done", 1).await;
    assert_eq!(fs::read(stage.web.share("open").join("a.txt")).unwrap(), b"a");
    let mut ada = stage.web.logged_in("ada@example.org").await;
    assert_eq!(ada.fill(&stage.asked.page, &format!("{}/stop", stage.asked.page), &[]).await.status, 303);
    stage.pick(&[&stage.file("b.txt", b"b")]).await;
    stage.browser.says("No more files are accepted here.").await;
    stage.open().await;
    stage.browser.says("No more files are accepted").await;
    stage.browser.inspect("request-guest-stopped").await;
    stage.end().await;
}
