//! The five main jobs in a real browser, on a desktop and on a phone: how many clicks each takes, from the start page
//! to the result. The seconds are printed only, because the machine decides about them.

use std::cell::Cell;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use oncelink::clock::Clock;
use oncelink::config::{Settings, ShareSettings};
use oncelink::server::{self, Role, RunningServices};
use serde_json::json;
use tempfile::TempDir;

use crate::support::browser::Browser;
use crate::support::client::Client;
use crate::support::deliveries::eventually;
use crate::support::mail::outbox;
use crate::support::pattern;
use crate::support::web::Browser as Visitor;

const PASSWORD: &str = "seven quiet herons wait";
const PEOPLE: [&str; 3] = ["bob@example.org", "kim@example.org", "lin@example.org"];

/// Both services with the share `books` and *My files*, and a browser in which Ada is logged in.
struct Stage {
    running: RunningServices,
    browser: Browser,
    folder: TempDir,
    screen: Cell<&'static str>,
    clicks: Cell<u32>,
    began: Cell<Instant>,
}

impl Stage {
    async fn start() -> Option<Stage> {
        let browser = Browser::start().await?;
        let folder = TempDir::new().unwrap();
        let share = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            let read = vec!["everyone".to_owned()];
            ShareSettings { name: name.to_owned(), path, read, ..ShareSettings::default() }
        };
        let books = share("books");
        fs::create_dir(books.path.join("Photos")).unwrap();
        fs::write(books.path.join("Photos/beach.jpg"), pattern(2_000)).unwrap();
        for screen in ["desktop", "phone"] {
            fs::write(books.path.join(format!("for a {screen}.docx")), pattern(30_000)).unwrap();
        }
        let mut settings = Settings { data_dir: folder.path().join("data"), ..Settings::default() };
        for (listen, url) in [
            (&mut settings.web.listen, &mut settings.web.public_url),
            (&mut settings.download.listen, &mut settings.download.public_url),
        ] {
            *listen = SocketAddr::from(([127, 0, 0, 1], 0)).into();
            *url = "http://127.0.0.1:0".to_owned();
        }
        settings.shares = vec![books, ShareSettings { personal: true, ..share("home") }];
        let running = Box::pin(server::start(settings, Role::Both, Clock::wall())).await.unwrap();
        browser.goto(running.first_admin_link.as_ref().unwrap()).await;
        for (css, text) in [
            ("#email", "ada@example.org"),
            ("#name", "Ada Lovelace"),
            ("#password", PASSWORD),
            ("#password_again", PASSWORD),
        ] {
            let field = browser.find(css).await;
            field.clear().await.unwrap();
            field.send_keys(text).await.unwrap();
        }
        browser.leave_by("main button[type=submit]").await;
        let allowed = json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
        browser.devtools("Browser.grantPermissions", allowed).await;
        // A click on *Upload files* opens the system's dialog; the test chooses the file in its place.
        browser.devtools("Page.setInterceptFileChooserDialog", json!({ "enabled": true })).await;
        let (screen, clicks, began) = (Cell::new(""), Cell::new(0), Cell::new(Instant::now()));
        Some(Stage { running, browser, folder, screen, clicks, began })
    }

    fn base(&self) -> &str {
        &self.running.settings.web.public_url
    }

    /// Begins a job at the start page.
    async fn begin(&self) {
        self.browser.goto(&format!("{}/files/", self.base())).await;
        self.browser.find("#upload-form, [data-picks]").await;
        self.clicks.set(0);
        self.began.set(Instant::now());
    }

    async fn click(&self, css: &str) {
        self.browser.find(css).await.click().await.unwrap();
        self.clicks.set(self.clicks.get() + 1);
    }

    #[expect(clippy::print_stdout, reason = "the seconds are for people, who run this test with --nocapture")]
    fn say(&self, words: &str) {
        println!("{}: {words}", self.screen.get());
    }

    /// Ends a job, which must have taken at most this many clicks.
    fn end(&self, job: &str, most: u32) {
        let (clicks, seconds) = (self.clicks.get(), self.began.get().elapsed().as_secs_f64());
        self.say(&format!("{job}: {clicks} clicks, {seconds:.1} s"));
        assert!(clicks <= most, "{}: {job} takes {clicks} clicks", self.screen.get());
    }

    async fn clipboard(&self) -> String {
        self.browser.run("return navigator.clipboard.readText()").await.as_str().unwrap().to_owned()
    }

    /// What a stranger finds under a link.
    async fn public(&self, address: &str) -> String {
        let page = Visitor::at(self.base()).get(address.strip_prefix(self.base()).unwrap()).await;
        assert_eq!(page.status, 200, "{}", page.body);
        page.body
    }
}

#[actix_web::test]
async fn the_five_main_jobs_take_at_most_one_to_three_clicks_on_a_desktop_and_a_phone() {
    let Some(stage) = Stage::start().await else { return };
    for (screen, width) in [("desktop", 1280), ("phone", 390)] {
        stage.screen.set(screen);
        stage.browser.look(width, "light").await;
        download_a_hosted_file(&stage).await;
        let address = share_once(&stage).await;
        send_a_folder_to_three_people(&stage).await;
        upload_to_a_link(&stage).await;
        see_whether_it_was_taken(&stage, &address).await;
    }
    stage.browser.quit().await;
    Box::pin(stage.running.stop()).await;
}

async fn download_a_hosted_file(stage: &Stage) {
    let screen = stage.screen.get();
    let before = stage.browser.downloads().len();
    stage.begin().await;
    stage.click("a.share[href='/files/books']").await;
    stage.click(&format!("button[form=download][value='/books/for a {screen}.docx']")).await;
    let files = stage.browser.downloaded(before + 1).await;
    stage.end("download a hosted file", 2);
    assert!(files.iter().any(|file| file.ends_with(format!("for a {screen}.docx"))), "{files:?}");
}

async fn share_once(stage: &Stage) -> String {
    let screen = stage.screen.get();
    stage.begin().await;
    stage.click("a.share[href='/files/books']").await;
    let row = format!("tr:has(input.pick[value='/books/for a {screen}.docx'])");
    stage.click(&format!("{row} button.quick")).await;
    stage.browser.says("Link copied. 1 download, expires in 7 days.").await;
    stage.end("share once", 2);
    let address = stage.clipboard().await;
    assert!(stage.public(&address).await.contains(&format!("for a {screen}.docx")));
    if screen == "desktop" {
        // Pressed again, it copies the same link.
        stage.browser.run("return navigator.clipboard.writeText('')").await;
        stage.click(&format!("{row} button.quick")).await;
        stage.browser.says("Link copied.").await;
        assert_eq!(stage.clipboard().await, address);
        stage.browser.inspect("folder-link-copied").await;
        stage.browser.look(1280, "light").await;
    }
    address
}

async fn send_a_folder_to_three_people(stage: &Stage) {
    let folder = stage.running.settings.outbox_dir();
    let before = outbox(&folder).len();
    stage.begin().await;
    stage.click("a.share[href='/files/books']").await;
    stage.click("a.button[href^='/links/new?file=%2Fbooks%2FPhotos']").await;
    stage.browser.find("#recipients").await.send_keys(PEOPLE.join("\n")).await.unwrap();
    stage.click("main form button.primary").await;
    stage.browser.says("Your link is ready.").await;
    stage.end("a folder to three people", 3);
    let all = async {
        loop {
            let mails = outbox(&folder);
            if mails.len() >= before + PEOPLE.len() {
                return mails;
            }
            tokio::task::yield_now().await;
        }
    };
    let mails = tokio::time::timeout(Duration::from_secs(60), all).await.expect("the mails come");
    for person in PEOPLE {
        let own = mails.iter().skip(before).find(|mail| mail.header("to").contains(person)).unwrap();
        assert!(stage.public(&own.link()).await.contains("Photos"));
    }
}

async fn upload_to_a_link(stage: &Stage) {
    let screen = stage.screen.get();
    let file = stage.folder.path().join(format!("new on a {screen}.pdf"));
    fs::write(&file, "pages").unwrap();
    stage.begin().await;
    stage.click("[data-picks=pick-files]").await;
    stage.browser.find("#pick-files").await.send_keys(file.to_str().unwrap()).await.unwrap();
    stage.click(".sheet [data-copy]").await;
    stage.browser.says("Copied").await;
    stage.end("upload to a link, and a dialog", 2);
    stage.browser.says("Ready to download").await;
    let address = stage.clipboard().await;
    assert!(stage.public(&address).await.contains(&format!("new on a {screen}.pdf")));
}

async fn see_whether_it_was_taken(stage: &Stage, address: &str) {
    let path = address.strip_prefix(stage.base()).unwrap();
    let title = format!("for a {}.docx", stage.screen.get());
    stage.begin().await;
    stage.click(".main-nav a[href='/links']").await;
    let row = format!(
        "return [...document.querySelectorAll('.entries li')].find((row) => row.innerText.includes('{title}')).innerText"
    );
    stage.browser.says(&title).await;
    let says = async |words: &str| stage.browser.run(&row).await.as_str().unwrap().contains(words);
    assert!(says("0 of 1 download").await);
    stage.end("was it taken", 1);

    // The recipient needs one click, and the answer changes while the list is open.
    let mut bob = Visitor::at(stage.base());
    let pressed = bob.fill(path, path, &[("file", "0")]).await;
    assert_eq!(pressed.status, 303, "{}", pressed.body);
    let reply = Client::default().get(&pressed.location.unwrap()).await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 30_000));
    let ended = Instant::now();
    eventually("the new state", async || says("1 of 1 download").await && says("used up").await).await;
    stage.say(&format!("the answer changed after {:.1} s", ended.elapsed().as_secs_f64()));
}
