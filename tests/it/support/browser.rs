//! Headless Chromium, driven through chromedriver, with its own profile and download folder.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::{Request, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::common::capabilities::chromium::ChromiumLikeCapabilities;
use thirtyfour::error::{WebDriverError, WebDriverResult};
use thirtyfour::session::http;
use thirtyfour::{By, DesiredCapabilities, LoggingPrefsLogLevel, WebDriver, WebElement};

use crate::needs::{has_program, skip, variable};
use crate::support::client::{Client, Whole};
use crate::support::unused_address;

/// The maximum time for a page or a download on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
/// Longer than axe needs for the longest page on a machine with many other things to do.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(240);
/// The maximum time for a command of chromedriver.
const ANSWERING: Duration = Duration::from_secs(300);

/// The HTTP client for chromedriver.
#[derive(Default)]
struct Wire(Client);

#[async_trait]
impl http::HttpClient for Wire {
    async fn send(&self, request: Request<http::Body<'_>>) -> WebDriverResult<Response<Bytes>> {
        let (head, body) = request.into_parts();
        let body = match body {
            http::Body::Empty => Vec::new(),
            http::Body::Json(value) => serde_json::to_vec(value).unwrap(),
        };
        let exchange = self.0.exchange(Request::from_parts(head, Whole::from(body)));
        let reply = tokio::time::timeout(ANSWERING, exchange).await.unwrap();
        let reply = reply.map_err(|error| WebDriverError::RequestFailed(error.to_string()))?;
        let mut response = Response::new(reply.body.into());
        *response.status_mut() = reply.status;
        *response.headers_mut() = reply.headers;
        Ok(response)
    }

    async fn new(&self) -> Arc<dyn http::HttpClient> {
        Arc::new(Wire::default())
    }
}

/// Returns the texts of buttons and fields that cover each other. In a list on a phone the whole row is a button, and
/// the bar for what is selected lies above the rows.
const COVERED: &str = "
const seen = (one) => {
  // What a list scrolls out of sight isn't there to be covered.
  const box = one.getBoundingClientRect();
  let { left, top, right, bottom } = box;
  const frame = one.closest('.entries')?.getBoundingClientRect();
  if (frame) [top, bottom] = [Math.max(top, frame.top), Math.min(bottom, frame.bottom)];
  return { left, top, right, bottom };
};
const shown = [...document.querySelectorAll('main .button, main input, main select, main textarea')]
  .filter((one) => !one.closest('.selection') && !one.matches('.listing .act > [form=download]:not([formaction])'))
  .filter((one) => one.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true }))
  .slice(0, 150).map((one) => [one, seen(one)]).filter(([, box]) => box.right > box.left && box.bottom > box.top);
const cover = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
return shown.flatMap(([one, a], at) => shown.slice(at + 1).filter(([, b]) => cover(a, b))
  .map(([other]) => `${one.textContent || one.id} and ${other.textContent || other.id}`));";

/// A browser. Its processes end when it is dropped.
pub struct Browser {
    pub driver: WebDriver,
    home: Arc<TempDir>,
    chromedriver: Child,
}

impl Browser {
    /// Starts one; `None`, with a printed note, where it is not installed.
    pub async fn start() -> Option<Browser> {
        Browser::start_for(false).await
    }

    /// Starts one that blocks all cookies.
    pub async fn start_without_cookies() -> Option<Browser> {
        Browser::start_for(true).await
    }

    async fn start_for(blocks_cookies: bool) -> Option<Browser> {
        if !has_program("chromium") || !has_program("chromedriver") {
            return None;
        }
        let home = TempDir::new().unwrap();
        fs::create_dir(home.path().join("downloads")).unwrap();
        Some(Browser::start_in(Arc::new(home), blocks_cookies).await)
    }

    /// Kills the browser like a crash, once `word` is in the stored data of its pages, and starts it again
    /// with the same profile. Session cookies may be gone then.
    pub async fn crash(self, word: &str) -> Browser {
        let home = Arc::clone(&self.home);
        let storage = home.path().join("profile/Default/Local Storage/leveldb");
        let stored = async || {
            let files = fs::read_dir(&storage).ok()?.map(|entry| fs::read(entry.unwrap().path()));
            let has_word = |bytes: Vec<u8>| bytes.windows(word.len()).any(|part| part == word.as_bytes());
            files.filter_map(Result::ok).any(has_word).then_some(())
        };
        self.until(stored).await.unwrap_or_else(|| panic!("{word} is not in the profile"));
        drop(self);
        Browser::start_in(home, false).await
    }

    async fn start_in(home: Arc<TempDir>, blocks_cookies: bool) -> Browser {
        let mut chromedriver = Command::new("chromedriver")
            .arg(format!("--port={}", unused_address().port()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .env("HOME", home.path())
            .env("LC_ALL", "C.UTF-8")
            .spawn()
            .unwrap();
        let said = chromedriver.stdout.take().unwrap();
        let port = tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(said).lines();
            let port = lines.by_ref().find_map(|line| {
                let line = line.unwrap();
                line.strip_prefix("ChromeDriver was started successfully on port ")
                    .map(|port| port.trim_end_matches('.').to_owned())
            });
            // Keep reading, so that its output never blocks it.
            std::thread::spawn(move || lines.for_each(drop));
            port.unwrap()
        });
        let port = port.await.unwrap();
        let mut wishes = DesiredCapabilities::chrome();
        wishes.set_binary("/usr/bin/chromium").unwrap();
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--no-proxy-server",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--lang=en-GB",
            "--window-size=1280,900",
            &format!("--user-data-dir={}", home.path().join("profile").display()),
        ] {
            wishes.add_arg(argument).unwrap();
        }
        let preferences = json!({
            "download.default_directory": home.path().join("downloads"),
            "download.prompt_for_download": false,
            // 1 allows, 2 blocks.
            "profile.default_content_setting_values.cookies": if blocks_cookies { 2 } else { 1 },
        });
        wishes.add_experimental_option("prefs", preferences).unwrap();
        wishes.set_logging_prefs("performance", LoggingPrefsLogLevel::All).unwrap();
        let driver = WebDriver::builder(format!("http://127.0.0.1:{port}"), wishes).client(Wire::default());
        let driver = driver.await.unwrap();
        driver.set_script_timeout(SCRIPT_PATIENCE).await.unwrap();
        Browser { driver, home, chromedriver }
    }

    /// Closes the browser normally.
    pub async fn quit(self) {
        self.driver.clone().quit().await.unwrap();
    }

    pub async fn goto(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    /// Waits for the first element that matches.
    pub async fn find(&self, css: &str) -> WebElement {
        let found = self.until(async || self.driver.find(By::Css(css)).await.ok()).await;
        let Some(element) = found else {
            panic!("no {css} at {}:\n{}", self.url().await, self.driver.source().await.unwrap());
        };
        element
    }

    /// Waits for the button or link with this text.
    pub async fn named(&self, text: &str) -> WebElement {
        let path = format!("//*[self::a or self::button][starts-with(normalize-space(.), '{text}')]");
        let by = || By::XPath(path.as_str());
        let found = self.until(async || self.driver.find(by()).await.ok()).await;
        let Some(element) = found else {
            panic!("no {text:?} at {}:\n{}", self.url().await, self.driver.source().await.unwrap());
        };
        element
    }

    async fn until<T>(&self, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look().await {
                return Some(found);
            }
            if tokio::time::Instant::now() > end {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn url(&self) -> String {
        self.driver.current_url().await.unwrap().to_string()
    }

    /// Waits until `is_it` accepts the address.
    pub async fn at(&self, is_it: impl Fn(&str) -> bool) {
        let arrived = self.until(async || is_it(&self.url().await).then_some(())).await.is_some();
        assert!(arrived, "at {} instead:\n{}", self.url().await, self.driver.source().await.unwrap());
    }

    /// The text of the page; during a navigation, that of the new page.
    pub async fn text(&self) -> String {
        let read = self.until(async || self.driver.find(By::Css("body")).await.ok()?.text().await.ok()).await;
        read.expect("the page has text")
    }

    /// Clicks an element, and waits until the page is replaced by another one.
    pub async fn leave_by(&self, css: &str) {
        const MARK: &str = "document.documentElement.dataset.left";
        self.run(&format!("{MARK} = 'yes'")).await;
        self.find(css).await.click().await.unwrap();
        let is_gone = format!("return {MARK} === undefined");
        let gone = self.until(async || {
            let answer = self.driver.execute(&is_gone, Vec::new()).await.ok()?;
            answer.json().as_bool()?.then_some(())
        });
        assert!(gone.await.is_some(), "still at {}", self.url().await);
    }

    /// Waits until the page contains these words, and returns its text.
    pub async fn says(&self, words: &str) -> String {
        let text = async || {
            let body = self.driver.find(By::Css("body")).await.ok()?;
            body.text().await.ok().filter(|text| text.contains(words))
        };
        let said = self.until(text).await;
        let Some(said) = said else {
            panic!("no {words:?} at {}:\n{}", self.url().await, self.text().await);
        };
        said
    }

    /// Waits until the page no longer contains these words.
    pub async fn no_longer_says(&self, words: &str) {
        let gone = async || (!self.text().await.contains(words)).then_some(());
        assert!(self.until(gone).await.is_some(), "still {words:?} at {}", self.url().await);
    }

    /// The addresses of all requests since the last call, including redirects.
    pub async fn requested(&self) -> Vec<String> {
        let log = self.driver.get_log("performance").await.unwrap();
        let events = log.iter().map(|entry| serde_json::from_str::<Value>(&entry.message).unwrap());
        events
            .filter(|event| event["message"]["method"] == "Network.requestWillBeSent")
            .filter_map(|event| Some(event["message"]["params"]["request"]["url"].as_str()?.to_owned()))
            .collect()
    }

    /// Cancels the latest download, as people do in the browser's list of downloads.
    pub async fn cancel_download(&self) {
        let log = self.driver.get_log("performance").await.unwrap();
        let mut events = log.iter().map(|entry| serde_json::from_str::<Value>(&entry.message).unwrap());
        let began = events.rfind(|event| event["message"]["method"] == "Page.downloadWillBegin");
        let guid = began.expect("a download began")["message"]["params"]["guid"].clone();
        self.devtools("Browser.cancelDownload", json!({ "guid": guid })).await;
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str) -> Value {
        self.driver.execute(script, Vec::new()).await.unwrap().json().clone()
    }

    /// Sends a command of the DevTools protocol.
    pub async fn devtools(&self, method: &str, parameters: Value) {
        self.driver.cdp().send_raw(method, parameters).await.unwrap();
    }

    /// Sets the width of the window in CSS pixels, and light or dark mode.
    pub async fn look(&self, width: u32, scheme: &str) {
        let size = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Checks a page at several widths, light and dark: nothing overflows, no button covers another, and axe finds no
    /// problem.
    /// With `ONCELINK_TEST_SCREENSHOTS` set to a folder, saves pictures there for review.
    pub async fn inspect(&self, page: &str) {
        // axe-core is not part of this repository; `.ci/run` fetches it.
        let axe = variable("ONCELINK_TEST_AXE").map(|file| fs::read_to_string(file).unwrap());
        match &axe {
            Some(axe) => assert_eq!(self.run(axe).await, Value::Null),
            None => _ = skip("axe-core (ONCELINK_TEST_AXE, the path of axe.min.js); all else is done"),
        }
        for (width, scheme) in
            [(320, "light"), (390, "light"), (390, "dark"), (768, "light"), (1280, "light"), (1280, "dark")]
        {
            self.look(width, scheme).await;
            let sizes = self.run("return [document.documentElement.scrollWidth, innerWidth]").await;
            assert!(sizes[0].as_u64() <= sizes[1].as_u64(), "{page} is too wide at {width}: {sizes}");
            assert_eq!(self.run(COVERED).await, json!([]), "{page} at {width}: one covers the other");
            if let Some(folder) = variable("ONCELINK_TEST_SCREENSHOTS") {
                let file = Path::new(&folder).join(format!("{page}-{width}-{scheme}.png"));
                self.driver.screenshot(&file).await.unwrap();
            }
            if axe.is_some() && [(390, "dark"), (1280, "light")].contains(&(width, scheme)) {
                // The rows of a long list are alike.
                let check = "return axe.run({ exclude: ['.listing tbody tr:nth-child(n + 40)'] }) \
                             .then(found => [found.passes.length, found.violations])";
                let found = self.run(check).await;
                assert!(found[0].as_u64() > Some(5), "axe did not check {page}");
                assert_eq!(found[1], json!([]), "{page} at {width}, {scheme}");
            }
        }
    }

    /// The downloads that are complete and not empty, by name.
    pub fn downloads(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.home.path().join("downloads"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| !is_unfinished(path))
            // Chromium reserves the name with an empty file before it moves the download there.
            .filter(|path| fs::metadata(path).is_ok_and(|file| file.len() > 0))
            .collect();
        files.sort();
        files
    }

    /// Waits until there are `count` complete downloads.
    pub async fn downloaded(&self, count: usize) -> Vec<PathBuf> {
        let enough = self.until(async || Some(self.downloads()).filter(|files| files.len() >= count)).await;
        let Some(files) = enough else {
            let all: Vec<_> = fs::read_dir(self.home.path().join("downloads")).unwrap().collect();
            panic!("expected {count} downloads, found {all:?}");
        };
        assert_eq!(files.len(), count);
        files
    }
}

fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    name.ends_with(".crdownload") || name.starts_with(".com.google.") || name.starts_with(".org.chromium.")
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Not closed: that would wait for a response of a chromedriver that is gone.
        let _quit_before = self.driver.clone().leak();
        // After a failed test the browser still runs; its profile contains its process id.
        let lock = fs::read_link(self.home.path().join("profile/SingletonLock"));
        let process = lock.ok().and_then(|lock| lock.to_str()?.rsplit_once('-')?.1.parse().ok());
        if let Some(process) = process.and_then(rustix::process::Pid::from_raw) {
            let _gone = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
        let _gone = self.chromedriver.kill();
        let _ended = self.chromedriver.wait();
    }
}
