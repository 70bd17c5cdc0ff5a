//! Accounts in a real browser, with mails through a real mail server: every flow from its first page to
//! its last, with an axe check of every page.

use serde_json::json;
use std::collections::BTreeSet;

use oncelink::web::audit::Actor;

use crate::support::browser::Browser;
use crate::support::mail::Mail;
use crate::support::smtp::{Smtp, Talk};
use crate::support::web::{PASSWORD, TestWeb};

const NEW: &str = "an entirely new password";

struct Stage {
    web: TestWeb,
    smtp: Smtp,
    browser: Browser,
}

impl Stage {
    async fn start() -> Option<Stage> {
        let browser = Browser::start().await?;
        let smtp = Smtp::start(Talk::Plain, None)?;
        let address = format!("smtp://127.0.0.1:{}", smtp.port);
        let web = TestWeb::spawn_with(|settings| settings.mail.send = address.into()).await;
        Some(Stage { web, smtp, browser })
    }

    async fn open(&self, path: &str) {
        self.browser.goto(&format!("{}{path}", self.web.base)).await;
    }

    async fn fill(&self, css: &str, text: &str) {
        let field = self.browser.find(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Presses the button in the form with this action, and waits until the address is right.
    async fn press(&self, css: &str, arrives: &str) {
        self.browser.leave_by(css).await;
        self.browser.at(|url| url.contains(arrives)).await;
    }

    /// The newest mail.
    async fn mail(&self) -> Mail {
        self.web.app.send_due_mails().await.unwrap();
        self.smtp.mails().pop().expect("a mail")
    }

    /// Deletes all cookies, as if in another browser.
    async fn forget_everything(&self) {
        self.browser.devtools("Network.clearBrowserCookies", json!({})).await;
    }

    async fn log_in(&self, email: &str, password: &str) {
        self.open("/login").await;
        self.fill("#email", email).await;
        self.fill("#password", password).await;
        self.press("main button[type=submit]", "/files/").await;
    }

    async fn end(self) {
        self.browser.quit().await;
        self.web.stop().await;
    }
}

#[actix_web::test]
async fn somebody_signs_up_activates_in_another_browser_and_deletes_the_account() {
    let Some(stage) = Stage::start().await else { return };
    let browser = &stage.browser;
    stage.open("/login").await;
    browser.named("Sign up").await.click().await.unwrap();
    browser.at(|url| url.ends_with("/signup")).await;
    browser.inspect("signup").await;
    for (css, text) in [
        ("#email", "nia@example.org"),
        ("#name", "Nia"),
        ("#password", "nia@example.org"),
        ("#password_again", PASSWORD),
    ] {
        stage.fill(css, text).await;
    }
    browser.find("main button[type=submit]").await.click().await.unwrap();
    browser.find("[aria-invalid]").await;
    browser.inspect("signup-mistakes").await;
    stage.fill("#password", PASSWORD).await;
    stage.fill("#password_again", PASSWORD).await;
    stage.press("main button[type=submit]", "/mail-sent").await;
    browser.inspect("mail-sent").await;
    let mail = stage.mail().await;
    let link = mail.link();

    browser.goto(&link).await;
    browser.inspect("activate-same-browser").await;
    stage.forget_everything().await;
    browser.goto(&link).await;
    browser.inspect("activate-other-browser").await;
    stage.fill("#password", PASSWORD).await;
    stage.press("main button[type=submit]", "/files/").await;
    browser.goto(&link).await;
    assert!(browser.text().await.contains("This is already done"));
    browser.inspect("activate-done").await;

    stage.open("/account").await;
    browser.inspect("account-own").await;
    stage.fill("#delete-current_password", PASSWORD).await;
    stage.press("form[action='/account/delete'] button", "/login").await;
    assert!(browser.text().await.contains("has been deleted"), "{}", browser.text().await);
    browser.inspect("login-after-deletion").await;
    assert!(stage.mail().await.header("subject").contains("deleted"));
    stage.end().await;
}

#[actix_web::test]
async fn somebody_forgets_the_password_changes_it_and_moves_to_another_address() {
    let Some(stage) = Stage::start().await else { return };
    stage.web.account("ada@example.org", &[]).await;
    let browser = &stage.browser;
    stage.open("/login").await;
    browser.named("Forgot your password?").await.click().await.unwrap();
    browser.at(|url| url.ends_with("/forgot")).await;
    browser.inspect("forgot").await;
    stage.fill("#email", "ada@example.org").await;
    stage.press("main button[type=submit]", "/mail-sent").await;
    let link = stage.mail().await.link();
    browser.goto(&link).await;
    browser.inspect("reset").await;
    stage.fill("#password", NEW).await;
    stage.fill("#password_again", NEW).await;
    stage.press("main button[type=submit]", "/login").await;
    assert!(browser.text().await.contains("Your new password is saved"));
    assert!(stage.mail().await.header("subject").contains("was changed"));
    browser.goto(&link).await;
    browser.inspect("reset-done").await;
    stage.web.pass(31 * 60);
    stage.log_in("ada@example.org", NEW).await;

    stage.open("/account").await;
    stage.fill("#email", "ada@new.example").await;
    stage.fill("#email-current_password", NEW).await;
    stage.press("form[action='/account/email'] button", "/account").await;
    assert!(browser.text().await.contains("ada@new.example"));
    browser.inspect("account-pending-address").await;
    let link = stage.mail().await.link();
    stage.forget_everything().await;
    browser.goto(&link).await;
    browser.inspect("confirm-address").await;
    stage.fill("#password", NEW).await;
    stage.press("main button[type=submit]", "/login").await;
    // Read this mail before waiting for the next one: two that are sent together arrive in any order.
    assert!(stage.mail().await.text.contains("ada@new.example"));
    stage.log_in("ada@new.example", NEW).await;
    stage.open("/account/sessions").await;
    browser.inspect("sessions").await;
    let path = link.strip_prefix(&stage.web.base).unwrap().to_owned();
    stage.web.pass(25 * 60 * 60);
    stage.open(&path).await;
    browser.inspect("link-done-address").await;

    // An expired link offers a new one in one click.
    stage.open("/forgot").await;
    stage.fill("#email", "ada@new.example").await;
    stage.press("main button[type=submit]", "/mail-sent").await;
    let old = stage.mail().await.link();
    stage.web.pass(60 * 60);
    browser.goto(&old).await;
    browser.inspect("link-over").await;
    stage.press("main button[type=submit]", "/mail-sent").await;
    assert_ne!(stage.mail().await.link(), old);
    stage.end().await;
}

#[actix_web::test]
async fn an_administrator_invites_looks_around_and_disables() {
    let Some(stage) = Stage::start().await else { return };
    let browser = &stage.browser;
    let root = stage.web.account("root@example.org", &["staff"]).await;
    let (none, operator) = (BTreeSet::new(), Actor::operator());
    let now = stage.web.clock.now();
    stage.web.outside.account_admin.set_rights(&root, &none, true, &operator, now).await.unwrap();
    stage.log_in("root@example.org", PASSWORD).await;
    browser.named("Administration").await.click().await.unwrap();
    browser.at(|url| url.ends_with("/admin/accounts")).await;
    browser.inspect("admin-accounts").await;
    browser.named("Invite someone").await.click().await.unwrap();
    browser.at(|url| url.ends_with("/admin/invite")).await;
    browser.inspect("admin-invite").await;
    stage.fill("#email", "kim@example.org").await;
    stage.fill("#groups", "staff readers").await;
    stage.press("form[action='/admin/invite'] button", "/admin/accounts/").await;
    browser.inspect("admin-account-invited").await;
    let detail = browser.url().await;
    let link = stage.mail().await.link();
    stage.open("/admin/mail?state=sent").await;
    assert!(browser.text().await.contains("kim@example.org"));
    browser.inspect("admin-mail").await;
    browser.goto(&detail).await;
    browser.find(".confirm > summary").await.click().await.unwrap();
    stage.press("form[action$='/disable'] button", "/admin/accounts/").await;
    browser.find("form[action$='/enable']").await;
    browser.inspect("admin-account-disabled").await;
    stage.press("form[action$='/enable'] button", "/admin/accounts/").await;
    browser.find("form[action$='/disable']").await;
    stage.open("/admin/audit?check=yes").await;
    assert!(browser.text().await.contains("Keep this digest"));
    browser.inspect("admin-audit").await;

    stage.forget_everything().await;
    browser.goto(&link).await;
    browser.inspect("invitation").await;
    stage.fill("#name", "Kim").await;
    stage.fill("#password", PASSWORD).await;
    stage.fill("#password_again", PASSWORD).await;
    stage.press("main button[type=submit]", "/files/").await;
    assert!(browser.text().await.contains("staff"));
    stage.end().await;
}
