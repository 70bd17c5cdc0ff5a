//! The whole way in a browser: from the first administrator's link to a file on the disk, with the mouse
//! and with the keyboard, and the layout of the pages at every width, light and dark.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use oncelink::clock::Clock;
use oncelink::config::{Settings, ShareSettings};
use oncelink::server::{self, Role, RunningServices};
use tempfile::TempDir;
use thirtyfour::Key;

use crate::support::browser::Browser;
use crate::support::client::Client;
use crate::support::pattern;

const PASSWORD: &str = "seven quiet herons wait";

/// Both services, as `oncelink serve` starts them, with a share of sample books.
struct Services {
    running: RunningServices,
    _dir: TempDir,
}

impl Services {
    async fn start() -> Services {
        let dir = TempDir::new().unwrap();
        let books = dir.path().join("books");
        fs::create_dir_all(books.join("nothing here")).unwrap();
        fs::create_dir_all(books.join("samples")).unwrap();
        for folder in ["", "samples"] {
            let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("storage/books").join(folder);
            for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
                if file.file_type().unwrap().is_file() {
                    fs::copy(file.path(), books.join(folder).join(file.file_name())).unwrap();
                }
            }
        }
        fs::write(books.join("a very long name that has no place to break_".repeat(5)), pattern(10)).unwrap();
        fs::write(books.join("<b>&amp; \"quoted\"\n.txt"), pattern(1000)).unwrap();
        let mut settings = Settings { data_dir: dir.path().join("data"), ..Settings::default() };
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
        Services { running, _dir: dir }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.settings.web.public_url)
    }

    /// Creates the first administrator through the form.
    async fn administrator(&self, browser: &Browser) {
        browser.goto(self.running.first_admin_link.as_ref().unwrap()).await;
        fill(browser, "#email", "ada@example.org").await;
        fill(browser, "#name", "Ada").await;
        fill(browser, "#password", PASSWORD).await;
        fill(browser, "#password_again", PASSWORD).await;
        browser.find("main button[type=submit]").await.click().await.unwrap();
        browser.at(|url| url.ends_with("/files/")).await;
    }
}

async fn fill(browser: &Browser, css: &str, text: &str) {
    browser.find(css).await.send_keys(text).await.unwrap();
}

async fn log_in(browser: &Browser, password: &str) {
    fill(browser, "#email", "ada@example.org").await;
    fill(browser, "#password", password).await;
    browser.named("Log in").await.click().await.unwrap();
}

/// Selects the first button in the row of this name.
fn row(name: &str) -> String {
    format!("button[value$='{name}']")
}

#[actix_web::test]
async fn a_person_logs_in_and_downloads_a_file_and_the_link_no_longer_works() {
    let Some(browser) = Browser::start().await else { return };
    let services = Services::start().await;
    services.administrator(&browser).await;
    browser.named("Log out").await.click().await.unwrap();
    browser.at(|url| url.ends_with("/login")).await;
    log_in(&browser, PASSWORD).await;
    browser.named("books").await.click().await.unwrap();
    browser.at(|url| url.ends_with("/files/books")).await;

    browser.requested().await;
    browser.find(&row("我这一辈子.pdf")).await.click().await.unwrap();
    let files = browser.downloaded(1).await;
    assert!(files[0].ends_with("我这一辈子.pdf"));
    let original = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("storage/books/我这一辈子.pdf");
    assert!(fs::read(&files[0]).unwrap() == fs::read(original).unwrap());
    assert!(browser.url().await.ends_with("/files/books"), "the browser stays on the list");

    let download = format!("{}/d/", services.running.settings.download.public_url);
    let links: Vec<_> =
        browser.requested().await.into_iter().filter(|url| url.starts_with(&download)).collect();
    assert_eq!(links.len(), 1, "one click, one link: {links:?}");
    assert_eq!(Client::default().get(&links[0]).await.slug(), "used-token");
    browser.goto(&links[0]).await;
    assert!(browser.text().await.contains("used"), "{}", browser.text().await);
    assert_eq!(browser.downloads().len(), 1);

    browser.goto(&services.url("/files/")).await;
    browser.named("Log out").await.click().await.unwrap();
    browser.at(|url| url.ends_with("/login")).await;
    browser.goto(&services.url("/files/books")).await;
    browser.at(|url| url.contains("/login?next=")).await;
    browser.quit().await;
    services.running.stop().await;
}

#[actix_web::test]
async fn everything_can_be_done_with_the_keyboard_alone() {
    let Some(browser) = Browser::start().await else { return };
    let services = Services::start().await;
    services.administrator(&browser).await;
    let out = browser.named("Log out").await;
    out.focus().await.unwrap();
    out.send_keys(Key::Enter).await.unwrap();
    browser.at(|url| url.ends_with("/login")).await;
    // The email field has the focus from the start.
    browser.find("#email:focus").await;
    for text in ["ada@example.org", "\t", PASSWORD, "\n"] {
        press(&browser, text).await;
    }
    browser.at(|url| url.ends_with("/files/")).await;
    press(&browser, "\t").await;
    assert_eq!(browser.run("return document.activeElement.className").await, "skip-link");
    press(&browser, "\n").await;
    tab_to(&browser, "books").await;
    press(&browser, "\n").await;
    browser.at(|url| url.ends_with("/files/books")).await;
    tab_to(&browser, "Download README.txt").await;
    press(&browser, " ").await;
    assert!(browser.downloaded(1).await[0].ends_with("README.txt"));
    browser.quit().await;
    services.running.stop().await;
}

/// Types into the focused element.
async fn press(browser: &Browser, text: &str) {
    browser.driver.action_chain().send_keys(text).perform().await.unwrap();
}

/// Presses Tab until the element called `name` has the focus; each stop on the way shows its focus.
async fn tab_to(browser: &Browser, name: &str) {
    let mut passed = Vec::new();
    for _ in 0..60 {
        press(browser, "\t").await;
        let at = browser
            .run(
                "const at = document.activeElement, style = getComputedStyle(at);
                 return [(at.ariaLabel ?? at.innerText).replace(/\\s+/g, ' ').trim(),
                         style.outlineStyle != 'none' || style.boxShadow != 'none' || at.tagName == 'INPUT'];",
            )
            .await;
        assert_eq!(at[1], true, "no visible focus on {at}");
        if at[0] == name {
            return;
        }
        passed.push(at[0].clone());
    }
    panic!("{name:?} is not reachable with Tab; reached: {passed:?}");
}

#[actix_web::test]
async fn every_page_fits_every_width_and_axe_finds_no_fault() {
    let Some(browser) = Browser::start().await else { return };
    let services = Services::start().await;
    browser.goto(services.running.first_admin_link.as_ref().unwrap()).await;
    browser.inspect("first-administrator").await;
    browser.run("document.querySelector('main form').noValidate = true; return 0").await;
    fill(&browser, "#email", "nonsense").await;
    fill(&browser, "#password", "short").await;
    browser.find("main button[type=submit]").await.click().await.unwrap();
    browser.find("[aria-invalid]").await;
    browser.inspect("first-administrator-mistakes").await;
    services.administrator(&browser).await;
    for (page, path) in [
        ("shares", "/files/"),
        ("folder", "/files/books"),
        ("folder-sorted", "/files/books?sort=size&order=desc"),
        ("subfolder", "/files/books/samples"),
        ("folder-empty", "/files/books/nothing%20here"),
        ("search", "/files/?q=a"),
        ("search-nothing", "/files/books?q=nowhere"),
        ("account", "/account"),
        ("not-found", "/files/missing"),
    ] {
        browser.goto(&services.url(path)).await;
        browser.inspect(page).await;
    }
    browser.goto(services.running.first_admin_link.as_ref().unwrap()).await;
    browser.inspect("activated-before").await;
    browser.goto(&services.url("/account")).await;
    browser.named("Log out").await.click().await.unwrap();
    browser.at(|url| url.ends_with("/login")).await;
    browser.inspect("login").await;
    log_in(&browser, "not the password at all").await;
    browser.find("[role=alert]").await;
    browser.inspect("login-wrong").await;
    let download = &services.running.settings.download.public_url;
    browser.goto(&format!("{download}/d/nonsense")).await;
    browser.inspect("download-refused").await;
    browser.quit().await;
    services.running.stop().await;
}
