//! The start page in a real browser: dropping, choosing and pasting files makes one link at once.

use std::fs;

use serde_json::json;
use thirtyfour::By;

use crate::support::browser::Browser;
use crate::support::tus::personal;
use crate::support::web::{PASSWORD, TestWeb};

/// Opens the start page as Ada.
pub(crate) async fn start(browser: &Browser, base: &str) {
    browser.goto(&format!("{base}/login")).await;
    for (css, text) in [("#email", "ada@example.org"), ("#password", PASSWORD)] {
        browser.find(css).await.send_keys(text).await.unwrap();
    }
    browser.leave_by("main button[type=submit]").await;
}

/// A script that drops what `make` puts into a `DataTransfer` called `all` onto an element, and returns whether
/// the page kept the browser from opening it.
pub(crate) fn drop(make: &str, css: &str) -> String {
    format!(
        "const all = new DataTransfer(); {make}; const target = document.querySelector('{css}'); \
         const fire = (name) => target.dispatchEvent(new DragEvent(name, \
         {{ dataTransfer: all, bubbles: true, cancelable: true }})); \
         return [fire('dragover'), fire('drop')];"
    )
}

#[actix_web::test]
async fn a_drop_is_a_link_with_two_clicks_and_its_options_change_it() {
    let Some(browser) = Browser::start().await else { return };
    let web = TestWeb::spawn_with(personal).await;
    web.account("ada@example.org", &[]).await;
    start(&browser, &web.base).await;
    // One click opens the dialog in which people choose files; here its result is set.
    assert!(browser.find("[data-picks=pick-files]").await.is_displayed().await.unwrap());
    let own = tempfile::tempdir().unwrap();
    let paths = ["a.txt", "b.txt"].map(|name| {
        fs::write(own.path().join(name), name).unwrap();
        own.path().join(name).to_str().unwrap().to_owned()
    });
    browser.find("#pick-files").await.send_keys(paths.join("\n")).await.unwrap();
    // The other click.
    browser.find(".sheet [data-copy]").await.click().await.unwrap();
    browser.says("Copied").await;
    let address = browser.find(".sheet #address").await.prop("value").await.unwrap().unwrap();
    browser.says("Ready to download").await;
    let page = web.browser().get(address.strip_prefix(&web.base).unwrap()).await.body;
    assert!(page.contains("a.txt and 1 more") && page.contains("Download"), "{page}");
    browser.inspect("start-sheet").await;

    browser.look(1280, "light").await;
    browser.find(".sheet details:not(.mail-to) summary").await.click().await.unwrap();
    let uses = browser.find("#uses").await;
    uses.clear().await.unwrap();
    uses.send_keys("many").await.unwrap();
    browser.find("#expires option[value='1h']").await.click().await.unwrap();
    assert!(!browser.find("#ends").await.is_displayed().await.unwrap(), "a date is not chosen");
    browser.find(".sheet details[open] button[type=submit]").await.click().await.unwrap();
    browser.says("Nothing was changed.").await;
    browser.inspect("start-sheet-options").await;
    browser.look(1280, "light").await;
    let uses = browser.find("#uses").await;
    uses.clear().await.unwrap();
    uses.send_keys("3").await.unwrap();
    browser.find("#remember").await.click().await.unwrap();
    browser.find(".sheet details[open] button[type=submit]").await.click().await.unwrap();
    browser.says("3 downloads, expires").await;
    browser.find(".mail-to summary").await.click().await.unwrap();
    browser.find("#recipients").await.send_keys("bob@example.org").await.unwrap();
    browser.find(".mail-to button[type=submit]").await.click().await.unwrap();
    browser.says("Emailed to bob@example.org").await;

    // The next one begins with what was remembered, and the first one steps back.
    browser.run(&drop("all.items.add(new File(['c'], 'c.txt'))", "main")).await;
    browser.says("c.txt").await;
    browser.find(".sheet.folded").await;
    browser.find(".sheet:not(.folded) [data-copy]").await;
    browser.says("Ready to download").await;
    assert_eq!(browser.driver.find_all(By::Css(".sheet.folded")).await.unwrap().len(), 1);
    let terms = browser.find(".sheet:not(.folded) .share-it .detail").await.text().await.unwrap();
    assert!(terms.starts_with("3 downloads, expires"), "{terms}");
    browser.inspect("start-two-sheets").await;
    browser.quit().await;
    web.stop().await;
}

#[actix_web::test]
async fn files_are_pasted_and_no_page_is_left_when_something_is_dropped_beside_a_target() {
    let Some(browser) = Browser::start().await else { return };
    let web = TestWeb::spawn_with(personal).await;
    web.account("ada@example.org", &[]).await;
    browser.goto(&format!("{}/login", web.base)).await;
    let file = "all.items.add(new File(['x'], 'x.txt'))";
    // `false`: the page prevented what the browser does by itself.
    assert_eq!(browser.run(&drop(file, "body")).await, json!([false, false]), "on the login page");
    start(&browser, &web.base).await;
    let paste = "const all = new DataTransfer(); all.items.add(new File(['png'], 'image.png')); \
        document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: all, bubbles: true, cancelable: true }))";
    browser.run(paste).await;
    browser.says("Ready to download").await;
    browser.says("image.png").await;
    for path in ["/account", "/links", "/files/open", "/account/sessions", "/nothing"] {
        browser.goto(&format!("{}{path}", web.base)).await;
        if path != "/files/open" {
            assert_eq!(browser.run(&drop(file, "body")).await, json!([false, false]), "{path}");
        }
    }
    browser.quit().await;
    web.stop().await;
}

#[actix_web::test]
async fn an_upload_that_was_interrupted_goes_on_for_the_same_link_when_the_files_are_dropped_again() {
    let Some(browser) = Browser::start().await else { return };
    let web = TestWeb::spawn_with(personal).await;
    web.account("ada@example.org", &[]).await;
    start(&browser, &web.base).await;
    // Four files, of which three are sent at once; their bytes never arrive.
    browser.devtools("Network.enable", json!({})).await;
    let files = "for (const name of ['a', 'b', 'c', 'd']) \
        all.items.add(new File([name.repeat(10)], name + '.txt', { lastModified: 1 }))";
    browser
        .run(
            "const send = XMLHttpRequest.prototype.send; \
              XMLHttpRequest.prototype.send = function (body) { if (!body?.size) send.call(this, body); }",
        )
        .await;
    browser.run(&drop(files, "main")).await;
    let address = browser.find(".sheet #address").await.prop("value").await.unwrap().unwrap();
    browser.says("Uploading, 0 of 4 files").await;
    let public = address.strip_prefix(&web.base).unwrap();
    browser
        .driver
        .execute(
            "window.addEventListener('beforeunload', (event) => event.stopImmediatePropagation(), true)",
            Vec::new(),
        )
        .await
        .unwrap();
    browser.goto(&format!("{}/links", web.base)).await;
    browser.says("uploading").await;
    browser.goto(&format!("{}/files/", web.base)).await;
    browser.says("Uploading, 0 of 4 files").await;
    browser.inspect("start-unfinished").await;
    browser.look(1280, "light").await;
    browser.run(&drop(files, "main")).await;
    browser.says("Ready to download").await;
    let page = web.browser().get(public).await.body;
    assert!(page.contains("d.txt") && page.contains("Download"), "{page}");
    let mut ada = web.logged_in("ada@example.org").await;
    assert_eq!(
        ada.get("/links").await.body.matches("<a href=\"/links/").count(),
        1,
        "no other link was made"
    );
    browser.quit().await;
    web.stop().await;
}

#[actix_web::test]
async fn a_visitor_who_waits_gets_the_download_by_itself_and_a_canceled_upload_says_so() {
    let Some(browser) = Browser::start().await else { return };
    let web = TestWeb::spawn_with(personal).await;
    web.account("ada@example.org", &[]).await;
    start(&browser, &web.base).await;
    browser
        .run("const send = XMLHttpRequest.prototype.send; \
              XMLHttpRequest.prototype.send = function (body) { \
              if (!body?.size || window.mayGo) send.call(this, body); else window.held = () => send.call(this, body); }")
        .await;
    browser.run(&drop("all.items.add(new File(['x'], 'slow.txt'))", "main")).await;
    let address = browser.find(".sheet #address").await.prop("value").await.unwrap().unwrap();
    browser.says("Uploading, 0 of 1 file").await;
    let owner = browser.driver.window().await.unwrap();
    let visitor = browser.driver.new_tab().await.unwrap();
    browser.driver.switch_to_window(visitor).await.unwrap();
    browser.goto(&address).await;
    browser.says("Still uploading (0 of 1 file).").await;
    browser.inspect("public-uploading").await;
    browser.driver.switch_to_window(owner).await.unwrap();
    browser.run("window.mayGo = true; window.held()").await;
    browser.says("Ready to download").await;
    let tabs = browser.driver.windows().await.unwrap();
    browser.driver.switch_to_window(tabs[1].clone()).await.unwrap();
    browser.says("slow.txt").await;
    browser.find("button[name=file]").await;

    browser.driver.switch_to_window(tabs[0].clone()).await.unwrap();
    browser.look(1280, "light").await;
    browser.run("window.mayGo = false").await;
    browser.run(&drop("all.items.add(new File(['y'], 'never.txt'))", "main")).await;
    browser.says("Uploading, 0 of 1 file").await;
    browser.named("Cancel upload").await.click().await.unwrap();
    browser.says("upload not finished").await;
    browser.inspect("start-canceled").await;
    browser.quit().await;
    web.stop().await;
}

#[actix_web::test]
async fn a_session_that_ends_loses_nothing_that_was_dropped() {
    let Some(browser) = Browser::start().await else { return };
    let web = TestWeb::spawn_with(personal).await;
    web.account("ada@example.org", &[]).await;
    start(&browser, &web.base).await;
    browser.driver.delete_all_cookies().await.unwrap();
    browser.run(&drop("all.items.add(new File(['x'], 'kept.txt'))", "main")).await;
    browser.says("You are logged out.").await;
    browser.inspect("start-logged-out").await;
    browser.look(1280, "light").await;
    let page = browser.driver.window().await.unwrap();
    let other = browser.driver.new_tab().await.unwrap();
    browser.driver.switch_to_window(other).await.unwrap();
    start(&browser, &web.base).await;
    browser.driver.switch_to_window(page).await.unwrap();
    browser.find("#sheets [data-act=create]").await.click().await.unwrap();
    browser.says("Ready to download").await;
    browser.quit().await;
    web.stop().await;
}

#[actix_web::test]
async fn ten_thousand_files_and_names_that_no_folder_can_have_are_handled() {
    let Some(browser) = Browser::start().await else { return };
    let web = TestWeb::spawn_with(personal).await;
    web.account("ada@example.org", &[]).await;
    start(&browser, &web.base).await;
    let long = "for (const name of ['x'.repeat(300), 'good.txt']) all.items.add(new File(['1'], name))";
    browser.run(&drop(long, "main")).await;
    browser.says("is too long: at most 255 bytes").await;
    browser.says("Ready to download").await;
    browser.inspect("start-long-name").await;
    browser.look(1280, "light").await;

    // The link is there at once, and the page stays usable; the first files arrive.
    let many = "for (let n = 0; n < 10000; n += 1) all.items.add(new File(['1'], `f${n}.txt`))";
    let began = tokio::time::Instant::now();
    browser.run(&drop(many, "main")).await;
    browser.says("of 10,000 files").await;
    let took = began.elapsed();
    assert!(took.as_secs() < 30, "{took:?}");
    let rows = browser.driver.find_all(By::Css("#uploads li")).await.unwrap().len();
    assert!(rows <= 210, "{rows} rows");
    browser.says("Uploading, 1").await;
    browser.quit().await;
    web.stop().await;
}
