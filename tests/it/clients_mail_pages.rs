//! Mail on the pages, in a real browser, with an axe check of every page: the delivery status of a link's
//! mails, the notice for administrators and what they can do about it, and unsubscribing.

use oncelink::web::mail::MailKind;

use crate::support::browser::Browser;
use crate::support::deliveries::eventually;
use crate::support::links::make;
use crate::support::scripted_smtp::{At, Does, ScriptedSmtp};
use crate::support::web::{PASSWORD, TestWeb};
use crate::web_admin::administrator;

struct Stage {
    web: TestWeb,
    smtp: ScriptedSmtp,
    browser: Browser,
}

impl Stage {
    async fn start() -> Option<Stage> {
        let browser = Browser::start().await?;
        let smtp = ScriptedSmtp::start(|at, recipient| match (at, recipient.split('@').next()) {
            (At::Rcpt, Some("none")) => {
                Some(Does::says("550 5.1.1 <none@x.org>: Recipient address rejected"))
            }
            (At::Rcpt, Some("full")) => Some(Does::says("452 4.2.2 mailbox full")),
            _ => None,
        })
        .await;
        let send = format!("smtp://127.0.0.1:{}", smtp.port);
        let web = TestWeb::spawn_with(|settings| settings.mail.send = send.into()).await;
        Some(Stage { web, smtp, browser })
    }

    async fn open(&self, path: &str) {
        self.browser.goto(&format!("{}{path}", self.web.base)).await;
    }

    async fn log_in(&self, email: &str) {
        self.open("/login").await;
        for (css, text) in [("#email", email), ("#password", PASSWORD)] {
            self.browser.find(css).await.send_keys(text).await.unwrap();
        }
        self.browser.leave_by("main button[type=submit]").await;
        self.browser.at(|url| url.contains("/files/")).await;
    }

    async fn end(self) {
        self.browser.quit().await;
        self.web.stop().await;
    }
}

#[actix_web::test]
async fn an_owner_watches_mails_being_sent_and_sends_one_again() {
    let Some(stage) = Stage::start().await else { return };
    let browser = &stage.browser;
    stage.web.account("ada@example.org", &[]).await;
    let mut ada = stage.web.logged_in("ada@example.org").await;
    let everybody =
        "fine@x.org none@x.org full@x.org somebody-with-a-very-long-name@an-even-longer-name.example.org";
    let made = make(&mut ada, &[("recipients", everybody), ("mail", "yes")]).await;
    stage.log_in("ada@example.org").await;
    stage.open(&made.page).await;
    assert!(browser.text().await.contains("Email waiting to be sent."));
    browser.run("window.sameDocument = true").await;
    stage.web.app.send_due_mails().await.unwrap();
    let text = async || {
        // Simulates activity: the script polls only while someone uses the page.
        browser.run("document.dispatchEvent(new Event('pointermove'))").await;
        browser.text().await
    };
    eventually("the states", async || text().await.contains("there is no such mailbox")).await;
    assert_eq!(browser.run("return window.sameDocument === true").await, true, "the page was not reloaded");
    let shown = text().await;
    for words in
        ["Email sent ", "asks us to try again later", "452 4.2.2 mailbox full", "Recipient address rejected"]
    {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
    browser.inspect("link-mails").await;
    stage.smtp.follow(|_, _| None);
    browser.leave_by("button[form='send-again']").await;
    browser.says("We’re sending the link again.").await;
    stage.web.app.send_due_mails().await.unwrap();
    eventually("the new state", async || !text().await.contains("there is no such mailbox")).await;
    browser.inspect("link-mails-sent-again").await;
    assert!(stage.smtp.seen().taken.contains(&"none@x.org".to_owned()));

    // The page of someone who waits for a code.
    let changed = [("recipients", "bob@x.org"), ("mailed_code", "yes")];
    let made = make(&mut ada, &changed).await;
    stage.smtp.follow(|at, _| (at == At::Rcpt).then(|| Does::says("450 4.2.0 greylisted")));
    stage.open(&made.public[0]).await;
    browser.named("Email me the code").await.click().await.unwrap();
    browser.says("We’re sending a code to b…@x.org.").await;
    stage.web.app.send_due_mails().await.unwrap();
    stage.open(&made.public[0]).await;
    browser.says("takes longer than usual").await;
    browser.inspect("link-public-code-late").await;
    stage.end().await;
}

#[actix_web::test]
async fn an_administrator_follows_the_notice_and_fixes_stuck_mail() {
    let Some(stage) = Stage::start().await else { return };
    let (browser, web) = (&stage.browser, &stage.web);
    let _logged_in = administrator(web, "root@example.org").await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    make(&mut ada, &[("recipients", "none@x.org"), ("mail", "yes")]).await;
    web.app.send_due_mails().await.unwrap();
    stage.smtp.follow(|at, _| (at == At::Mail).then(|| Does::says("550 5.7.1 Sender rejected")));
    make(&mut ada, &[("recipients", "kim@x.org lee@x.org"), ("mail", "yes")]).await;
    web.browser().fill("/forgot", "/forgot", &[("email", "ada@example.org")]).await;
    web.app.send_due_mails().await.unwrap();
    web.app.upkeep().look_at_mail().await.unwrap();
    stage.log_in("root@example.org").await;
    browser.inspect("admin-mark").await;
    browser.leave_by(".site-notice a").await;
    browser.at(|url| url.ends_with("/admin/mail")).await;
    assert!(browser.text().await.contains("550 5.7.1 Sender rejected"));
    browser.inspect("admin-mail-waiting").await;
    stage.open("/admin/mail?state=failed").await;
    browser.inspect("admin-mail-failed").await;
    browser.leave_by("form[action='/admin/mail/test'] button").await;
    browser.says("not sent: ").await;
    browser.inspect("admin-mail-test-refused").await;
    stage.smtp.follow(|_, _| None);
    browser.leave_by("form[action='/admin/mail/test'] button").await;
    browser.says("The mail server said: “250 2.0.0 queued as S1”").await;
    browser.inspect("admin-mail-test-sent").await;
    stage.open("/admin/mail").await;
    browser.leave_by("form[action='/admin/mail/retry-all'] button").await;
    browser.says("We’re trying these emails again now.").await;
    web.app.send_due_mails().await.unwrap();
    web.app.upkeep().look_at_mail().await.unwrap();
    stage.open("/files/").await;
    assert_eq!(browser.run("return document.querySelectorAll('.site-notice').length").await, 0);
    stage.end().await;
}

#[actix_web::test]
async fn somebody_unsubscribes_on_the_page_and_subscribes_again_in_their_account() {
    let Some(stage) = Stage::start().await else { return };
    let (browser, web) = (&stage.browser, &stage.web);
    let ada = web.account("ada@example.org", &[]).await;
    let notices = &web.outside.notices;
    stage.open(&notices.path(&ada.id, MailKind::Taken)).await;
    browser.inspect("unsubscribe").await;
    assert!(!notices.are_off(&ada.id, MailKind::Taken).await.unwrap(), "looking changes nothing");
    browser.leave_by("main button[type=submit]").await;
    browser.says("You’re unsubscribed").await;
    browser.inspect("unsubscribed").await;
    assert!(notices.are_off(&ada.id, MailKind::Taken).await.unwrap());
    stage.log_in("ada@example.org").await;
    stage.open("/account").await;
    browser.find("#downloads").await.click().await.unwrap();
    browser.inspect("account-notices").await;
    browser.leave_by("form[action='/account/notices'] button").await;
    browser.says("You’ll get emails about downloads again.").await;
    assert!(!notices.are_off(&ada.id, MailKind::Taken).await.unwrap());
    stage.end().await;
}
