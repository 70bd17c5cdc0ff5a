//! Links in a real browser, from the checkbox in the list to the file on the recipient's disk, with an axe
//! check of every page.

use std::net::SocketAddr;
use std::time::Duration;

use oncelink::clock::Clock;
use oncelink::config::{Settings, ShareSettings};
use oncelink::server::{self, Role, RunningServices};
use serde_json::json;
use tempfile::TempDir;
use thirtyfour::By;

use crate::support::browser::Browser;
use crate::support::mail::outbox;
use crate::support::pattern;

const PASSWORD: &str = "seven quiet herons wait";

/// Both services, and a browser.
struct Stage {
    running: RunningServices,
    browser: Browser,
    _folder: TempDir,
}

impl Stage {
    async fn start() -> Option<Stage> {
        let browser = Browser::start().await?;
        let folder = TempDir::new().unwrap();
        let books = folder.path().join("books");
        std::fs::create_dir_all(books.join("Photos/2026")).unwrap();
        std::fs::write(books.join("我这一辈子.pdf"), pattern(48_213)).unwrap();
        std::fs::write(books.join("contract.docx"), pattern(3_000)).unwrap();
        std::fs::write(books.join("Photos/2026/beach.jpg"), pattern(2_000)).unwrap();
        std::fs::write(books.join("Photos").join("long name without a place to break_".repeat(6)), "x")
            .unwrap();
        let mut settings = Settings { data_dir: folder.path().join("data"), ..Settings::default() };
        for (listen, url) in [
            (&mut settings.web.listen, &mut settings.web.public_url),
            (&mut settings.download.listen, &mut settings.download.public_url),
        ] {
            *listen = SocketAddr::from(([127, 0, 0, 1], 0)).into();
            *url = "http://127.0.0.1:0".to_owned();
        }
        settings.shares = vec![ShareSettings {
            name: "books".to_owned(),
            path: books,
            read: vec!["everyone".to_owned()],
            ..ShareSettings::default()
        }];
        let running = server::start(settings, Role::Both, Clock::wall()).await.unwrap();
        let stage = Stage { running, browser, _folder: folder };
        stage.browser.goto(stage.running.first_admin_link.as_ref().unwrap()).await;
        for (css, text) in [
            ("#email", "ada@example.org"),
            ("#name", "Ada Lovelace"),
            ("#password", PASSWORD),
            ("#password_again", PASSWORD),
        ] {
            stage.fill(css, text).await;
        }
        stage.press("main button[type=submit]").await;
        stage.browser.at(|url| url.ends_with("/files/")).await;
        Some(stage)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.settings.web.public_url)
    }

    async fn fill(&self, css: &str, text: &str) {
        let field = self.browser.find(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    async fn press(&self, css: &str) {
        self.browser.find(css).await.click().await.unwrap();
    }

    async fn forget_everything(&self) {
        self.browser.devtools("Network.clearBrowserCookies", json!({})).await;
    }

    /// The link's address, as the owner's page shows it.
    async fn address(&self) -> String {
        let shown = self.browser.run("return document.getElementById('address').value").await;
        shown.as_str().unwrap().to_owned()
    }

    async fn stop(self) {
        self.browser.quit().await;
        self.running.stop().await;
    }
}

#[actix_web::test]
async fn somebody_makes_a_link_and_somebody_else_downloads_once() {
    let Some(stage) = Stage::start().await else { return };
    let browser = &stage.browser;
    browser.goto(&stage.url("/files/books")).await;
    browser.inspect("folder-with-links").await;
    browser
        .driver
        .find(By::XPath("//tr[.//bdi[text()='我这一辈子.pdf']]//a[starts-with(., 'Share')]"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    browser.at(|url| url.contains("/links/new?")).await;
    browser.inspect("link-new").await;
    browser.look(1280, "light").await;
    stage.press("main form .options > summary").await;
    browser.inspect("link-new-options").await;
    browser.look(1280, "light").await;
    // The script sends the browser's time zone for the expiry date; without it the page says UTC.
    browser
        .run(
            "document.getElementById('expires').value = 'date'; \
                 document.getElementById('expires').dispatchEvent(new Event('change', { bubbles: true }))",
        )
        .await;
    assert!(browser.text().await.contains("Date and time in your time zone, "));
    let zone = browser.run("return document.getElementById('ends_zone').value").await;
    assert!(zone.as_str().is_some_and(|minutes| minutes.parse::<i32>().is_ok()), "{zone}");
    stage.fill("#uses", "0").await;
    stage.fill("#note", "For you, and for you alone.").await;
    browser.run("document.querySelectorAll('form').forEach(form => form.noValidate = true)").await;
    stage.press("main form button[type=submit]").await;
    browser.find("#uses[aria-invalid]").await;
    browser.inspect("link-new-mistakes").await;
    let kept = browser.run("return document.getElementById('note').value").await;
    assert_eq!(kept, json!("For you, and for you alone."));
    stage.fill("#uses", "1").await;
    stage.press("main form button[type=submit]").await;
    browser.find("#address").await;
    assert!(browser.text().await.contains("Your link is ready."));
    browser.inspect("link-own").await;
    let page = browser.url().await;
    let address = stage.address().await;

    stage.forget_everything().await;
    browser.goto(&address).await;
    browser.inspect("link-public").await;
    assert!(browser.text().await.contains("From Ada Lovelace"));
    stage.press("main form button[type=submit]").await;
    let files = browser.downloaded(1).await;
    assert_eq!(files[0].file_name().unwrap().to_str(), Some("我这一辈子.pdf"));
    assert!(std::fs::read(&files[0]).unwrap() == pattern(48_213));
    stage.forget_everything().await;
    browser.goto(&address).await;
    assert!(browser.text().await.contains("The download limit has been reached"));
    browser.inspect("link-public-used-up").await;

    browser.goto(&stage.url("/login?next=%2Flinks")).await;
    stage.fill("#email", "ada@example.org").await;
    stage.fill("#password", PASSWORD).await;
    stage.press("main button[type=submit]").await;
    browser.at(|url| url.ends_with("/links")).await;
    browser.inspect("links").await;
    // A row leads to its link wherever it is pressed.
    let corner = "const row = document.querySelector('.rows > li').getBoundingClientRect(); \
                  return document.elementFromPoint(row.right - 9, row.bottom - 9).closest('a')?.href";
    assert_eq!(browser.run(corner).await, json!(page));
    browser.goto(&page).await;
    stage.press(".confirm > summary").await;
    stage.press("form[action$='/revoke'] button").await;
    browser.find(".tag.off").await;
    browser.inspect("link-own-revoked").await;
    browser.goto(&address).await;
    browser.inspect("link-public-revoked").await;
    stage.stop().await;
}

#[actix_web::test]
async fn several_files_with_a_password_and_a_mailed_code_are_downloaded_by_a_named_recipient() {
    let Some(stage) = Stage::start().await else { return };
    let browser = &stage.browser;
    browser.goto(&stage.url("/files/books")).await;
    for name in ["Photos", "contract.docx"] {
        stage.press(&format!("input.pick[value='/books/{name}']")).await;
    }
    browser.named("Create link").await.click().await.unwrap();
    browser.at(|url| url.contains("/links/new?")).await;
    stage.fill("#recipients", "bob@example.org\nkim@example.org").await;
    stage.press("main form .options > summary").await;
    stage.press("#mailed_code").await;
    stage.fill("#password", "a word between us").await;
    stage.fill("#title", "All of it").await;
    stage.press("main form button[type=submit]").await;
    browser.find("#recipients").await;
    browser.inspect("link-own-recipients").await;
    let page = browser.url().await;
    let folder = stage.running.settings.outbox_dir();
    let mail = async |count: usize| {
        let arrived = async {
            loop {
                let mails = outbox(&folder);
                if mails.len() >= count {
                    return mails;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), arrived).await.expect("the mails come")
    };
    let mails = mail(2).await;
    let address = mails.iter().find(|mail| mail.header("to").contains("bob@")).unwrap().link();

    stage.forget_everything().await;
    browser.goto(&address).await;
    browser.inspect("link-public-several").await;
    browser.named("Email me the code").await.click().await.unwrap();
    browser.at(|url| url.ends_with("?mailed")).await;
    browser.inspect("link-public-code-mailed").await;
    let mails = mail(3).await;
    let subject =
        mails.iter().map(|mail| mail.header("subject")).find(|subject| subject.contains("is your code"));
    let code = subject.unwrap().split(' ').next().unwrap().to_owned();
    stage.fill("#password", "another word").await;
    stage.fill("#code", &code).await;
    stage.press(".takes button").await;
    browser.find("#password[aria-invalid]").await;
    browser.inspect("link-public-wrong-password").await;
    stage.fill("#password", "a word between us").await;
    stage.fill("#code", &code).await;
    let mut files = Vec::new();
    for (pressed, button) in browser
        .driver
        .find_all(By::Css(".takes li:not(:first-child) button[name=file]"))
        .await
        .unwrap()
        .iter()
        .enumerate()
    {
        button.click().await.unwrap();
        // A browser cancels a request when another form is submitted before the response.
        files = browser.downloaded(pressed + 1).await;
    }
    assert!(files.iter().any(|file| std::fs::read(file).unwrap() == pattern(2_000)), "{files:?}");
    browser.goto(&address).await;
    assert!(browser.text().await.contains("You have downloaded this file"));

    browser.goto(&stage.url("/login")).await;
    stage.fill("#email", "ada@example.org").await;
    stage.fill("#password", PASSWORD).await;
    stage.press("main button[type=submit]").await;
    browser.at(|url| url.ends_with("/files/")).await;
    browser.goto(&page).await;
    let text = browser.text().await;
    assert!(
        text.contains("1 of 1 download used") && text.contains("0 of 1 download used; not viewed yet"),
        "{text}"
    );
    stage.stop().await;
}
