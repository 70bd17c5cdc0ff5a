//! The owner's list of deliveries in a real browser: it updates while the page is open, and without scripts
//! it shows the state at loading.

use crate::support::browser::Browser;
use crate::support::client::{Client, Partial};
use crate::support::deliveries::{BothServices, LINK, eventually};
use crate::support::pattern;
use crate::support::web::PASSWORD;

const MIB: usize = 1024 * 1024;

#[actix_web::test]
async fn an_owner_watches_a_download_start_break_off_and_end() {
    let Some(browser) = Browser::start().await else { return };
    let services = BothServices::start().await;
    services.put("我这一辈子 & a long name.bin", &pattern(20 * MIB));
    let access = &services.access;
    access.link(Some("bob@example.org"), "never").await;
    let base = &services.settings.web.public_url;
    browser.goto(&format!("{base}/login?next=%2Flinks%2F{LINK}")).await;
    for (css, text) in [("#email", "ada@example.org"), ("#password", PASSWORD)] {
        browser.find(css).await.send_keys(text).await.unwrap();
    }
    browser.find("main button[type=submit]").await.click().await.unwrap();
    browser.at(|url| url.ends_with(&format!("/links/{LINK}"))).await;
    let part = async || {
        // Simulates activity: the script polls only while someone uses the page.
        let text = "document.dispatchEvent(new Event('pointermove')); \
                    return document.getElementById('deliveries').innerText";
        browser.run(text).await.as_str().unwrap().to_owned()
    };
    assert!(part().await.contains("No downloads yet."));
    browser.run("window.sameDocument = true").await;

    let name = "我这一辈子 & a long name.bin";
    let (_, link) = access.token(name, services.clock.now()).await;
    let mut partial = Partial::open(1, &link, "", 5 * MIB).await;
    eventually("the percentage", async || part().await.contains(" %")).await;
    browser.inspect("link-deliveries-running").await;
    partial.read(5 * MIB).await;
    let got = partial.body.len();
    drop(partial);
    eventually("the break", async || part().await.contains("interrupted at")).await;
    let range = format!("bytes={got}-");
    assert_eq!(Client::default().get_with(&link, &[("range", &range)]).await.status, 206);
    eventually("the end", async || part().await.contains("complete, resumed once")).await;
    let shown = part().await;
    for words in [name, "21.0 MB", "for bob@example.org", "to 127.0.0.0/24"] {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
    browser.inspect("link-deliveries-complete").await;
    assert_eq!(browser.run("return window.sameDocument === true").await, true, "the page was not reloaded");
    browser.quit().await;
    services.stop().await;
}
