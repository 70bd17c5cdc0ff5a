//! The uses of a named recipient are theirs, not a browser's: what is not begun starts in any browser, and what is
//! begun continues only where it began. Through the socket, with downloads.

use crate::support::client::{Client, Partial};
use crate::support::deliveries::eventually;
use crate::support::links::make;
use crate::support::postgres::empty_schema;
use crate::support::web::{Answer, Browser, TestWeb};
use crate::web_link_downloads::Stage;

/// Presses the button of a file on the page twice, which counts.
async fn press(browser: &mut Browser, public: &str, file: &str) -> Answer {
    browser.fill(public, public, &[("file", file), ("again", "yes")]).await
}

fn is_token(answer: &Answer) -> bool {
    answer.status == 303 && answer.location.as_deref().is_some_and(|to| to.contains("/d/"))
}

/// The state of a file on the page, as `data-offer` has it, and what its row says.
fn row(page: &str, file: &str) -> (String, String) {
    let row = page.split(&format!("<li data-file=\"{file}\" data-offer=\"")).nth(1);
    let row = row.unwrap_or_else(|| panic!("{file}: {page}"));
    let row = row.split("</li>").next().unwrap();
    (row.split('"').next().unwrap().to_owned(), row.to_owned())
}

#[actix_web::test]
async fn a_person_takes_each_file_once_on_whichever_device_they_are() {
    let mut stage = Stage::start_with(|_| {}).await;
    for name in ["b.txt", "c.txt"] {
        std::fs::write(stage.folder.path().join("open").join(name), name).unwrap();
    }
    let files = ("files", "/open/big.bin /open/b.txt /open/c.txt");
    let made = stage.make(&[files, ("recipients", "bob@example.org"), ("uses", "1")]).await;
    let public = made.public[0].as_str();
    let (mut phone, mut laptop) = (Browser::at(&stage.base), Browser::at(&stage.base));
    // The phone begins the first file and loses its connection.
    let address = press(&mut phone, public, "0").await.location.unwrap();
    drop(Partial::open(1, &address, "", 1 << 20).await);
    eventually("the report of the break", async || {
        row(&phone.get(public).await.body, "0").0 == "interrupted"
    })
    .await;
    let page = laptop.get(public).await.body;
    let (offer, text) = row(&page, "0");
    assert_eq!(offer, "unavailable");
    assert!(text.contains("Already downloaded or started in another browser"), "{text}");
    assert!(page.contains("Each file can be downloaded in one browser only."), "{page}");
    assert_eq!((row(&page, "1").0.as_str(), row(&page, "2").0.as_str()), ("available", "available"));
    let refused = press(&mut laptop, public, "0").await;
    assert_eq!(refused.status, 410);
    assert!(refused.body.contains("This file was downloaded in another browser"), "{}", refused.body);
    assert!(!refused.body.to_lowercase().contains("log in"), "{}", refused.body);
    // What is not begun starts on the laptop.
    let address = press(&mut laptop, public, "1").await.location.unwrap();
    assert_eq!(Client::at(2).get(&address).await.body, b"b.txt");
    // The phone goes on with its own, and takes the rest.
    let continued = press(&mut phone, public, "0").await;
    assert!(is_token(&continued), "{}", continued.body);
    let address = press(&mut phone, public, "2").await.location.unwrap();
    assert_eq!(Client::at(1).get(&address).await.body, b"c.txt");
    let own = stage.ada.get(&made.page).await.body;
    assert!(own.contains("1 of 1 download used"), "all of it is one use: {own}");
    stage.stop().await;
}

#[actix_web::test]
async fn a_file_that_was_only_requested_starts_in_another_browser_and_only_once() {
    for database in [Some("sqlite".to_owned()), empty_schema().await].into_iter().flatten() {
        let web = TestWeb::spawn_with(|settings| settings.web.database = database.as_str().into()).await;
        web.account("ada@example.org", &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        let made = make(&mut ada, &[("recipients", "bob@example.org")]).await;
        let public = made.public[0].as_str();
        let (mut phone, mut laptop) = (web.browser(), web.browser());
        let first = press(&mut phone, public, "0").await;
        assert!(is_token(&first), "{}", first.body);
        // The phone may be about to start.
        assert_eq!(row(&laptop.get(public).await.body, "0").0, "unavailable");
        assert_eq!(press(&mut laptop, public, "0").await.status, 410);
        web.pass(6);
        assert_eq!(row(&laptop.get(public).await.body, "0").0, "available");
        let second = press(&mut laptop, public, "0").await;
        assert!(is_token(&second), "{}", second.body);
        let jtis: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM link_tokens")
            .fetch_one(web.outside.db.reader())
            .await
            .unwrap();
        assert_eq!(jtis, 1, "the same jti, which can be redeemed once");
        assert!(ada.get(&made.page).await.body.contains("1 of 1 download used"));
        // Now it is the laptop's.
        assert_eq!(row(&laptop.get(public).await.body, "0").0, "starting");
        assert_eq!(
            row(&phone.get(public).await.body, "0").0,
            "unavailable",
            "it may be about to start there"
        );
        // A program has no cookie by which it could continue, so nothing is handed over to it.
        assert_eq!(web.browser().post(public, &[]).await.status, 410);
        // A link that names nobody stays with the browser.
        let made = make(&mut ada, &[]).await;
        let public = made.public[0].as_str();
        assert!(is_token(&press(&mut phone, public, "0").await));
        web.pass(6);
        assert_eq!(laptop.get(public).await.status, 410);
        web.stop().await;
    }
}
