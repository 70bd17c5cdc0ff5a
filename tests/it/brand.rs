//! The operator's own name, logo, color and support address: on the pages of both services, in emails, and what
//! an operator is told about a mistake.

use std::fs;
use std::path::Path;
use std::process::Command;

use oncelink::config::Settings;
use oncelink::web::mail::letters::Letter;

use crate::support::client::Client;
use crate::support::process::PROGRAM;
use crate::support::web::TestWeb;
use crate::support::{Setup, for_everyone, on_free_ports, pattern};

const SVG: &[u8] = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";

fn acme(settings: &mut Settings) {
    let logo = settings.data_dir.with_file_name("logo.svg");
    fs::write(&logo, SVG).unwrap();
    settings.brand.name = "Acme <Files>".to_owned();
    settings.brand.logo = logo;
    settings.brand.color = "#ffd400".to_owned();
    settings.brand.support = "help@acme.example".to_owned();
}

/// The address in the attribute of the first element that begins so.
fn attribute<'b>(body: &'b str, begin: &str) -> &'b str {
    body.split_once(begin).unwrap_or_else(|| panic!("{begin} in {body}")).1.split('"').next().unwrap()
}

#[test]
fn no_template_contains_the_name_that_an_operator_can_replace() {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut folders = vec![templates];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.parent().unwrap().ends_with("static") {
                let text = fs::read_to_string(&path).unwrap();
                assert!(!text.contains("Oncelink"), "{}", path.display());
                read += 1;
            }
        }
    }
    assert!(read > 50, "only {read} templates");
}

#[actix_web::test]
async fn every_page_of_the_web_app_has_the_name_the_logo_and_the_support_address() {
    let web = TestWeb::spawn_with(acme).await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let mut stranger = web.browser();
    for (is_logged_in, path, status) in [
        (false, "/", 200),
        (false, "/login", 200),
        (false, "/l/nothing", 404),
        (true, "/files/", 200),
        (true, "/files/missing", 404),
        (true, "/account", 200),
    ] {
        let browser = if is_logged_in { &mut ada } else { &mut stranger };
        let page = browser.get(path).await;
        assert_eq!(page.status, status, "{path}");
        assert!(page.body.contains("· Acme &#60;Files&#62;</title>"), "{path}: {}", page.body);
        assert!(page.body.contains("<bdi class=\"brand-name\">Acme &#60;Files&#62;</bdi>"), "{path}");
        assert!(page.body.contains("href=\"mailto:help@acme.example\""), "{path}: {}", page.body);
        assert!(!page.body.contains("Oncelink"), "{path}: {}", page.body);
        assert!(page.body.contains("<img class=\"logo\" src=\"/static/"), "{path}");
    }
    // A form that is sent runs in another task than the one that reads the request.
    let wrong =
        stranger.fill("/login", "/login", &[("email", "ada@example.org"), ("password", "wrong")]).await;
    assert!(wrong.status == 403 && wrong.body.contains("Acme"), "{wrong:?}");
    web.stop().await;
}

#[actix_web::test]
async fn the_logo_and_the_colors_are_cached_for_ever_and_run_nothing() {
    let web = TestWeb::spawn_with(acme).await;
    let mut browser = web.browser();
    let page = browser.get("/login").await;
    assert!(!page.header("content-security-policy").contains("unsafe"), "{page:?}");
    let logo = browser.get(attribute(&page.body, "<img class=\"logo\" src=\"")).await;
    assert_eq!((logo.status, logo.header("content-type")), (200, "image/svg+xml"));
    assert_eq!(logo.body.as_bytes(), SVG);
    let policy = logo.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("sandbox"), "{policy}");
    assert_eq!(logo.header("x-content-type-options"), "nosniff");
    let style =
        page.body.split("<link rel=\"stylesheet\" href=\"").nth(2).unwrap().split('"').next().unwrap();
    let style = browser.get(style).await;
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
    assert!(
        style.body.contains("--fill:#ffd400;") && style.body.contains("--on-fill:#000000;"),
        "{}",
        style.body
    );
    for answer in [&logo, &style] {
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
    }
    web.stop().await;
}

#[actix_web::test]
async fn the_download_service_shows_the_same_brand_without_other_files() {
    let mut setup = Setup::default();
    acme(&mut setup.settings);
    let node = setup.start().await;
    node.put("report.pdf", &pattern(1000));
    let html = [("accept", "text/html,*/*;q=0.8")];
    let confirm = node.issue("report.pdf", |order| order.confirm = true).address;
    for address in [confirm, node.url("/d/nonsense")] {
        let page = Client::default().get_with(&address, &html).await;
        let body = page.text();
        assert!(body.contains("· Acme &#60;Files&#62;</title>"), "{body}");
        assert!(body.contains("src=\"data:image/svg+xml;base64,"), "{body}");
        assert!(body.contains("help@acme.example") && body.contains("--fill:#ffd400;"), "{body}");
        assert!(!body.contains("Oncelink"), "{body}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
        assert!(page.body.len() < 80_000);
    }
    node.stop().await;
}

#[actix_web::test]
async fn emails_come_from_the_name_and_say_where_to_ask() {
    let web = TestWeb::spawn_with(acme).await;
    web.account("ada@example.org", &[]).await;
    let mut browser = web.browser();
    browser.fill("/forgot", "/forgot", &[("email", "ada@example.org")]).await;
    let mails = web.mails().await;
    let mail = mails.last().unwrap();
    assert_eq!(mail.header("subject"), "Reset your password at Acme <Files>");
    assert!(mail.header("from").contains("\"Acme <Files>\""), "{}", mail.header("from"));
    let words = mail.text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("Questions? help@acme.example"), "{words}");
    assert!(mail.html.contains("background:#ffd400;color:#000000"), "{}", mail.html);
    assert!(!mail.html.contains("Oncelink") && !mail.html.contains("#0b6a5f"), "{}", mail.html);
    web.stop().await;
}

#[test]
fn no_letter_names_the_product_of_a_server_with_its_own_name() {
    let settings = oncelink::config::BrandSettings { name: "Acme".to_owned(), ..Default::default() };
    let brand = oncelink::brand::Brand::open(&settings).unwrap();
    let now = oncelink::clock::Timestamp::from_secs(1_799_900_000);
    for letter in Letter::samples() {
        let rendered = letter.render("files.example", &brand, now).unwrap();
        for text in [&rendered.subject, &rendered.text, &rendered.html] {
            assert!(!text.contains("Oncelink"), "{text}");
        }
    }
}

/// What `oncelink check` says about these settings.
fn check(folder: &Path, brand: &str) -> (String, Option<i32>) {
    let services = "[web]\nlisten = '127.0.0.1:0'\n[download]\nlisten = '127.0.0.1:0'\n";
    fs::create_dir_all(folder.join("team")).unwrap();
    let share = "[[share]]\nname = 'team'\npath = 'team'\n";
    fs::write(folder.join("oncelink.toml"), format!("{services}[brand]\n{brand}\n{share}")).unwrap();
    let output = Command::new(PROGRAM).arg("check").current_dir(folder).env_clear().output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
    (said, output.status.code())
}

#[test]
fn a_mistake_is_named_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "no picture").unwrap();
    fs::write(folder.path().join("huge.svg"), [b"<svg>".as_slice(), &[b' '; 40_000]].concat()).unwrap();
    for (brand, expected) in [
        ("color = 'blue'", "setting `brand.color`"),
        ("color = 'blue'", "write `#` and six hexadecimal digits, as in `#0b6a5f`"),
        ("support = 'call me'", "`call me` is not an address; write an email address"),
        ("name = ''", "choose 1 to 40 visible characters"),
        ("logo = 'missing.png'", "setting `brand.logo`: cannot read"),
        ("logo = 'notes.txt'", "is not a PNG, JPEG, WebP or SVG picture"),
        ("logo = 'huge.svg'", "is larger than 32 KiB"),
    ] {
        let (said, code) = check(folder.path(), brand);
        assert!(said.contains(expected) && code != Some(0), "{brand}: {said}");
    }
    let (said, code) =
        check(folder.path(), "name = 'Acme'\ncolor = '#123456'\nsupport = 'https://acme.example'");
    assert!(said.contains("ok       brand: Acme") && code != Some(2), "{said}");
}

#[actix_web::test]
async fn a_start_with_a_logo_that_cannot_be_read_fails_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = on_free_ports(folder.path());
    let books = folder.path().join("books");
    fs::create_dir(&books).unwrap();
    settings.shares = vec![for_everyone("books", books)];
    settings.brand.logo = folder.path().join("missing.png");
    let clock = oncelink::clock::Clock::wall();
    let failed = oncelink::server::start(settings, oncelink::server::Role::Both, clock).await.err().unwrap();
    assert!(failed.to_string().contains("brand.logo"), "{failed}");
}
