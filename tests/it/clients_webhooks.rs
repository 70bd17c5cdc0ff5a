//! The pages of webhooks in a real browser, with an axe check of each: from the form to what came of the messages.

use crate::support::browser::Browser;
use crate::support::web::{PASSWORD, TestWeb};
use crate::support::webhooks::{Receiver, allowed, answer, deliver};

#[actix_web::test]
async fn a_webhook_is_added_tested_and_deleted() {
    let Some(browser) = Browser::start().await else { return };
    let web = TestWeb::spawn_with(allowed).await;
    web.account("ada@example.org", &[]).await;
    let receiver = Receiver::start().await;
    browser.goto(&format!("{}/login", web.base)).await;
    for (css, text) in [("#email", "ada@example.org"), ("#password", PASSWORD)] {
        browser.find(css).await.send_keys(text).await.unwrap();
    }
    browser.leave_by("main button[type=submit]").await;
    browser.goto(&format!("{}/account", web.base)).await;
    browser.leave_by("a[href='/account/webhooks']").await;
    browser.inspect("webhooks-none").await;
    browser.find("#url").await.send_keys("http://hooks.example.org/").await.unwrap();
    browser.leave_by("main button[type=submit]").await;
    browser.says("must begin with https://").await;
    browser.inspect("webhooks-mistake").await;
    browser.run("document.querySelector('#url').value = ''; return 0").await;
    let long = format!("{}&{}", receiver.url(), "long=".repeat(60));
    browser.find("#url").await.send_keys(&long).await.unwrap();
    browser.leave_by("main button[type=submit]").await;
    browser.says("whsec_").await;
    browser.inspect("webhook-secret").await;
    browser.leave_by("main a.primary").await;
    browser.inspect("webhook-quiet").await;
    browser.leave_by("form[action$='/test'] button").await;
    receiver.answers(|_| answer(503));
    deliver(&web).await;
    browser.leave_by("main p > a").await;
    browser.inspect("webhooks").await;
    browser.leave_by(".entries a").await;
    browser.says("status 503").await;
    browser.inspect("webhook-failing").await;
    receiver.answers(|_| answer(204));
    web.pass(10);
    deliver(&web).await;
    let url = browser.url().await;
    browser.goto(&url).await;
    browser.says("delivered").await;
    browser.leave_by("form[action$='/resend'] button").await;
    browser.says("is sent again").await;
    browser.leave_by("form[action$='/pause'] button").await;
    browser.says("Messages wait until you resume it.").await;
    browser.inspect("webhook-paused").await;
    browser.run("document.querySelectorAll('details.confirm')[1].open = true; return 0").await;
    browser.inspect("webhook-delete").await;
    browser.leave_by("form[action$='/delete'] button").await;
    browser.says("The webhook was deleted.").await;
    assert_eq!(receiver.received().len(), 2);
    browser.quit().await;
    web.stop().await;
}
