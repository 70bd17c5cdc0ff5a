//! What an owner does with a link later, and what its recipients then see, in a real browser with scripts and
//! without, with an axe check of every page.

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::web::PASSWORD;
use crate::web_link_downloads::Stage;

async fn fill(browser: &Browser, css: &str, text: &str) {
    let field = browser.find(css).await;
    field.clear().await.unwrap();
    field.send_keys(text).await.unwrap();
}

async fn click(browser: &Browser, css: &str) {
    browser.find(css).await.click().await.unwrap();
}

async fn log_in(browser: &Browser, base: &str) {
    browser.goto(&format!("{base}/login")).await;
    fill(browser, "#email", "ada@example.org").await;
    fill(browser, "#password", PASSWORD).await;
    click(browser, "main button[type=submit]").await;
    browser.at(|url| url.ends_with("/files/")).await;
}

#[actix_web::test]
async fn an_owner_adds_and_removes_people_extends_and_duplicates_with_scripts_and_without() {
    let Some(browser) = Browser::start().await else { return };
    let mut stage = Stage::start_with(|_| {}).await;
    let made = stage.make(&[("recipients", "bob@example.org"), ("ends", "2027-01-16T08:00")]).await;
    log_in(&browser, &stage.base).await;
    for script in [true, false] {
        browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": !script })).await;
        let page = format!("{}{}", stage.base, made.page);
        browser.goto(&page).await;
        browser.find(&format!("a[href='{}/recipients']", made.page)).await.click().await.unwrap();
        browser.says("Email addresses. Each person gets their own link").await;
        fill(&browser, "#recipients", "kim@example.org, nobody").await;
        click(&browser, "main button[type=submit]").await;
        browser.says("“nobody” is not a valid email address.").await;
        if script {
            browser.inspect("link-recipients-errors").await;
        }
        fill(&browser, "#recipients", "kim@example.org").await;
        click(&browser, "main button[type=submit]").await;
        browser.says("The recipients have been added.").await;
        if script {
            browser.inspect("link-with-added-recipient").await;
        }
        click(&browser, "button[name=add][value='7-days']").await;
        browser.says("The link has been extended.").await;
        // The last one in the list is Kim.
        click(&browser, ".entries li:last-of-type .row-actions a.quiet").await;
        let said = browser.says("This can’t be undone.").await;
        assert!(said.contains("Remove kim@example.org?"), "{said}");
        if script {
            browser.inspect("link-remove-recipient").await;
        }
        click(&browser, "main button.danger").await;
        let said = browser.says("The recipient has been removed").await;
        assert!(said.contains("removed"), "{said}");
        click(&browser, &format!("a[href='{}/duplicate']", made.page)).await;
        browser.says("The copy has its own address").await;
        if script {
            browser.inspect("link-duplicate").await;
        }
        click(&browser, "main button[type=submit]").await;
        browser.says("Your copy is ready.").await;
    }
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": false })).await;
    browser.inspect("link-copy").await;
    browser.quit().await;
    stage.stop().await;
}

#[actix_web::test]
async fn a_recipient_sees_what_is_missing_and_finds_a_file_among_many() {
    let Some(browser) = Browser::start().await else { return };
    let mut stage = Stage::start_with(|_| {}).await;
    let open = stage.folder.path().join("open");
    std::fs::create_dir(open.join("scans")).unwrap();
    for n in 0..230 {
        std::fs::write(open.join("scans").join(format!("scan {n:03}.pdf")), "content").unwrap();
    }
    std::fs::write(open.join("lost.txt"), "x").unwrap();
    let files = ("files", "/open/file.txt /open/lost.txt /open/scans");
    let made = stage.make(&[files, ("uses", ""), ("ends", "2027-01-20T08:00"), ("note", "The scans.")]).await;
    std::fs::remove_file(open.join("lost.txt")).unwrap();
    let address = format!("{}{}", stage.base, made.public[0]);
    browser.goto(&address).await;
    let said = browser.says("231 files").await;
    assert!(
        said.contains("One item of this link is not available right now.") && said.contains("lost.txt"),
        "{said}"
    );
    browser.inspect("public-many-and-missing").await;
    fill(&browser, "#q", "scan 22").await;
    click(&browser, ".search button").await;
    browser.at(|url| url.contains("q=scan")).await;
    let rows = browser.run("return document.querySelectorAll('.takes li').length").await;
    assert_eq!(rows, 12, "022, 122 and 220 to 229");
    click(&browser, ".takes li:last-child button").await;
    let files = browser.downloaded(1).await;
    assert!(files[0].ends_with("scan 229.pdf"), "{files:?}");
    log_in(&browser, &stage.base).await;
    browser.goto(&format!("{}{}", stage.base, made.page)).await;
    browser.says("The others can still be downloaded.").await;
    browser.inspect("link-partly-missing").await;
    // A single file on a phone: one glance, one button.
    let single = stage.make(&[("note", "For you."), ("ends", "2027-01-20T08:00")]).await;
    browser.goto(&format!("{}{}", stage.base, single.public[0])).await;
    browser.inspect("public-single").await;
    stage.ada.fill(&single.page, &format!("{}/pause", single.page), &[]).await;
    browser.goto(&format!("{}{}", stage.base, single.public[0])).await;
    browser.says("This link is paused").await;
    browser.inspect("public-paused").await;
    browser.quit().await;
    stage.stop().await;
}
