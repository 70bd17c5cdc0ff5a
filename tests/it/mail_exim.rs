//! Mails through a real Exim, where it is installed: in plain text, with STARTTLS and with TLS, with a
//! certificate from a private authority, and with a login.

use std::path::Path;

use oncelink::config::MailSettings;
use oncelink::web::mail::queue::{MailState, QueuedMail};

use crate::support::exim::{CREDENTIALS, Exim, LogIn};
use crate::support::links::send;
use crate::support::web::TestWeb;

async fn web(change: impl FnOnce(&mut MailSettings)) -> TestWeb {
    let web = TestWeb::spawn_with(|settings| change(&mut settings.mail)).await;
    web.account("ada@example.org", &[]).await;
    web
}

/// Queues a mail to each recipient.
async fn mail_to(web: &TestWeb, recipients: &[String]) {
    let mut browser = web.logged_in("ada@example.org").await;
    let answer = send(&mut browser, &[("recipients", &recipients.join("\n")), ("mail", "yes")]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
}

/// Sends sixty mails to people at `domain`, and returns them as they arrived.
async fn sixty(web: &TestWeb, exim: &Exim, domain: &str) -> Vec<String> {
    let recipients: Vec<String> = (0..60).map(|number| format!("r{number}@{domain}")).collect();
    mail_to(web, &recipients).await;
    web.app.send_due_mails().await.unwrap();
    assert_eq!(web.outside.queue.count(MailState::Sent).await.unwrap(), 60, "{}", exim.log());
    let arrived = exim.until(60);
    assert_eq!(arrived.len(), 60);
    for recipient in &recipients {
        let to = format!("Envelope-to: {recipient}\n");
        assert_eq!(arrived.iter().filter(|mail| mail.contains(&to)).count(), 1, "{recipient}");
    }
    arrived
}

async fn waiting(web: &TestWeb) -> Vec<QueuedMail> {
    web.outside.queue.list(MailState::Waiting, 0, 100).await.unwrap()
}

#[actix_web::test]
async fn sixty_mails_go_through_exim_as_smtp_to_this_machine() {
    let Some(exim) = Exim::start(LogIn::Plain) else { return };
    let web = web(|mail| mail.send = format!("smtp://{}", exim.address).into()).await;
    let arrived = sixty(&web, &exim, "example.org").await;
    assert!(arrived.iter().all(|mail| mail.contains("with esmtps")), "encrypted nevertheless");
    let sent = web.outside.queue.list(MailState::Sent, 0, 1).await.unwrap();
    assert!(sent[0].answer.as_deref().unwrap().contains("OK id="), "{:?}", sent[0].answer);
    web.stop().await;
}

#[actix_web::test]
async fn what_exim_does_not_relay_is_kept_and_reported_and_sent_once_that_is_fixed() {
    let Some(exim) = Exim::start(LogIn::Plain) else { return };
    let web = web(|mail| mail.send = format!("smtp://{}", exim.address).into()).await;
    let recipients =
        ["one@elsewhere.example", "two@elsewhere.example", "nobody@example.org", "ann@example.org"];
    mail_to(&web, &recipients.map(str::to_owned)).await;
    web.app.send_due_mails().await.unwrap();
    assert_eq!(exim.until(1).len(), 1);
    let failed = web.outside.queue.list(MailState::Failed, 0, 10).await.unwrap();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].problem.as_deref().unwrap().contains("no such mailbox"), "{failed:?}");
    let kept = waiting(&web).await;
    assert_eq!(kept.len(), 2, "{kept:?}");
    let problem = kept[0].problem.as_deref().unwrap();
    assert!(problem.contains("recipient: 550 relay not permitted"), "{problem}");
    assert_eq!(web.outside.queue.stuck(web.clock.now()).await.unwrap().waiting, 2, "administrators are told");
    exim.relay();
    web.pass(10);
    web.app.send_due_mails().await.unwrap();
    assert_eq!(web.outside.queue.count(MailState::Sent).await.unwrap(), 3, "{}", exim.log());
    web.stop().await;
}

#[actix_web::test]
async fn sixty_mails_go_through_required_starttls_with_a_private_authority() {
    let Some(exim) = Exim::start(LogIn::Plain) else { return };
    let send = format!("smtp://{}?tls=required", exim.address);
    let stranger = web(|mail| mail.send = send.clone().into()).await;
    mail_to(&stranger, &["ann@example.org".to_owned()]).await;
    stranger.app.send_due_mails().await.unwrap();
    let kept = waiting(&stranger).await;
    assert!(kept[0].problem.as_deref().unwrap().contains("certificate"), "an unknown authority: {kept:?}");
    stranger.stop().await;
    let web = web(|mail| {
        mail.send = send.into();
        mail.certificates = exim.authority();
    })
    .await;
    let arrived = sixty(&web, &exim, "example.org").await;
    assert!(arrived.iter().all(|mail| mail.contains("with esmtps")));
    web.stop().await;
}

#[actix_web::test]
async fn sixty_mails_go_through_tls_with_a_login_that_exim_checks() {
    for log_in in [LogIn::Plain, LogIn::Login] {
        let Some(exim) = Exim::start(log_in) else { return };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials");
        std::fs::write(&file, CREDENTIALS).unwrap();
        let web = web(|mail| with_log_in(mail, &exim, &file)).await;
        // It relays only after a login.
        let arrived = sixty(&web, &exim, "elsewhere.example").await;
        assert!(arrived.iter().all(|mail| mail.contains("with esmtpsa")), "{log_in:?}");
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_wrong_password_loses_no_mail_and_a_corrected_one_counts_without_a_restart() {
    let Some(exim) = Exim::start(LogIn::Plain) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    std::fs::write(&file, "sender\nnot the secret\n").unwrap();
    let web = web(|mail| with_log_in(mail, &exim, &file)).await;
    let recipients: Vec<String> = (0..5).map(|number| format!("r{number}@elsewhere.example")).collect();
    mail_to(&web, &recipients).await;
    web.app.send_due_mails().await.unwrap();
    assert_eq!(waiting(&web).await.len(), 5);
    let kept = waiting(&web).await;
    let tried: Vec<_> = kept.iter().filter_map(|mail| mail.problem.as_deref()).collect();
    assert!(
        !tried.is_empty() && tried.iter().all(|problem| problem.contains("logging in: 535")),
        "{tried:?}"
    );
    assert!(!tried.iter().any(|problem| problem.contains("secret")), "{tried:?}");
    assert!(web.outside.queue.stuck(web.clock.now()).await.unwrap().is_any(), "administrators are told");
    // As Windows writes it: with a byte order mark and CRLF line ends.
    std::fs::write(&file, format!("\u{feff}{}", CREDENTIALS.replace('\n', "\r\n"))).unwrap();
    web.pass(10);
    web.app.send_due_mails().await.unwrap();
    assert_eq!(web.outside.queue.count(MailState::Sent).await.unwrap(), 5, "{}", exim.log());
    web.stop().await;
}

fn with_log_in(mail: &mut MailSettings, exim: &Exim, credentials: &Path) {
    mail.send = format!("smtps://{}", exim.tls_address).into();
    mail.certificates = exim.authority();
    mail.credentials = credentials.to_owned();
}
