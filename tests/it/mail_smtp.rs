//! Mails through a real mail server: accepted, rejected, delayed, dropped; with STARTTLS and with TLS.

use oncelink::web::mail::queue::MailState;

use crate::support::smtp::{Smtp, Talk};
use crate::support::web::TestWeb;

async fn web(smtp: &Smtp) -> TestWeb {
    let address = format!("smtp://127.0.0.1:{}", smtp.port);
    let web = TestWeb::spawn_with(|settings| settings.mail.send = address.into()).await;
    web.account("ada@example.org", &[]).await;
    web
}

async fn forgot(web: &TestWeb) {
    let answer = web.browser().fill("/forgot", "/forgot", &[("email", "ada@example.org")]).await;
    assert_eq!(answer.status, 303);
}

async fn counts(web: &TestWeb) -> [u64; 3] {
    let queue = &web.outside.queue;
    [
        queue.count(MailState::Waiting).await.unwrap(),
        queue.count(MailState::Sent).await.unwrap(),
        queue.count(MailState::Failed).await.unwrap(),
    ]
}

#[actix_web::test]
async fn a_mail_arrives_with_both_parts_and_the_headers_of_an_automatic_one() {
    let Some(smtp) = Smtp::start(Talk::Plain, None) else { return };
    let web = web(&smtp).await;
    forgot(&web).await;
    assert_eq!(counts(&web).await, [1, 0, 0], "no request waits for a mail server");
    web.app.send_due_mails().await.unwrap();
    let mails = smtp.mails();
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    assert_eq!(mail.header("to"), "ada@example.org");
    assert_eq!(mail.header("auto-submitted"), "auto-generated");
    assert!(mail.header("from").contains("noreply@localhost"), "{:?}", mail.headers);
    assert!(mail.header("message-id").ends_with("@127.0.0.1>"), "{:?}", mail.headers);
    assert!(mail.header("date").contains("2027"), "the clock of the app: {:?}", mail.headers);
    assert!(mail.header("subject").contains("Reset your password"), "{:?}", mail.headers);
    assert!(mail.text.contains(&mail.link()) && mail.html.contains(&mail.link()));
    assert!(mail.html.contains("Test &#60;b&#62;Person"), "names are escaped: {}", mail.html);
    assert_eq!(web.browser().get(&mail.path()).await.status, 200);
    assert_eq!(counts(&web).await, [0, 1, 0]);
    web.pass(7 * 24 * 60 * 60);
    web.app.upkeep().prune().await;
    assert_eq!(counts(&web).await, [0, 0, 0], "sent mails are deleted after a week");
    web.stop().await;
}

#[actix_web::test]
async fn a_mailbox_that_does_not_exist_is_given_up_at_once() {
    let Some(smtp) = Smtp::start(Talk::Plain, None) else { return };
    let web = web(&smtp).await;
    smtp.mode("refuse");
    forgot(&web).await;
    web.app.send_due_mails().await.unwrap();
    assert_eq!(counts(&web).await, [0, 0, 1]);
    let failed = web.outside.queue.list(MailState::Failed, 0, 10).await.unwrap();
    let problem = failed[0].problem.clone().unwrap();
    assert!(problem.contains("no such mailbox"), "{problem}");
    assert!(!problem.contains("/reset/"));
    web.stop().await;
}

#[actix_web::test]
async fn a_server_that_delays_or_drops_or_is_down_loses_no_mail_and_gets_the_same_link() {
    let Some(smtp) = Smtp::start(Talk::Plain, None) else { return };
    let web = web(&smtp).await;
    forgot(&web).await;
    let mut waited = 0;
    for mode in ["later", "drop", "later"] {
        smtp.mode(mode);
        web.app.send_due_mails().await.unwrap();
        assert_eq!(counts(&web).await, [1, 0, 0], "{mode}");
        let waiting = web.outside.queue.list(MailState::Waiting, 0, 10).await.unwrap();
        let wait = waiting[0].next_at.since(web.clock.now()).as_secs();
        assert!(wait > waited, "it waits longer each time: {wait} after {waited}");
        assert!(waiting[0].problem.is_some());
        waited = wait;
        web.pass(wait - 1);
        web.app.send_due_mails().await.unwrap();
        assert_eq!(
            web.outside.queue.list(MailState::Waiting, 0, 1).await.unwrap()[0].attempts,
            waiting[0].attempts
        );
        web.pass(1);
    }
    smtp.mode("accept");
    web.app.send_due_mails().await.unwrap();
    assert_eq!((smtp.mails().len(), counts(&web).await), (1, [0, 1, 0]));
    let path = smtp.mails()[0].path();
    assert_eq!(web.browser().get(&path).await.status, 200, "its lifetime began when it was sent");
    web.stop().await;
}

#[actix_web::test]
async fn what_waits_survives_a_restart_and_two_processes_send_it_once() {
    let Some(smtp) = Smtp::start(Talk::Plain, None) else { return };
    let mut web = web(&smtp).await;
    for email in ["bob@example.org", "cyn@example.org"] {
        web.account(email, &[]).await;
        assert_eq!(web.browser().fill("/forgot", "/forgot", &[("email", email)]).await.status, 303);
    }
    forgot(&web).await;
    // A second process on the same database, and both send at the same time.
    web.twin().await;
    let folders = oncelink::files::ShareFolders::open(&web.settings.shares).unwrap();
    let other = oncelink::web::WebApp::open(&web.settings, web.clock.clone(), folders).await.unwrap();
    let (one, two) = tokio::join!(web.app.send_due_mails(), other.send_due_mails());
    one.unwrap();
    two.unwrap();
    assert_eq!((smtp.mails().len(), counts(&web).await), (3, [0, 3, 0]));
    other.close().await;
    web.stop().await;
}

#[actix_web::test]
async fn a_mail_that_can_t_be_sent_for_two_days_is_given_up_and_can_be_tried_again() {
    let Some(smtp) = Smtp::start(Talk::Plain, None) else { return };
    let web = web(&smtp).await;
    smtp.mode("later");
    forgot(&web).await;
    for _ in 0..40 {
        web.app.send_due_mails().await.unwrap();
        web.pass(3 * 60 * 60);
    }
    assert_eq!(counts(&web).await, [0, 0, 1]);
    web.stop().await;
}

#[actix_web::test]
async fn starttls_and_tls_are_used_with_a_password_from_a_file_and_a_private_certificate() {
    for talk in [Talk::StartTls, Talk::Wrapped] {
        let Some(smtp) = Smtp::start(talk, Some("sender:a secret")) else { return };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials");
        let send = match talk {
            Talk::StartTls => format!("smtp://localhost:{}?tls=required", smtp.port),
            _ => format!("smtps://localhost:{}", smtp.port),
        };
        for (password, trusted, arrives) in
            [("a secret", true, true), ("not the secret", true, false), ("a secret", false, false)]
        {
            std::fs::write(&file, format!("sender\n{password}\n")).unwrap();
            let web = TestWeb::spawn_with(|settings| {
                settings.mail.send = send.clone().into();
                settings.mail.credentials.clone_from(&file);
                if trusted {
                    settings.mail.certificates = smtp.certificate();
                }
            })
            .await;
            web.account("ada@example.org", &[]).await;
            forgot(&web).await;
            let before = smtp.mails().len();
            web.app.send_due_mails().await.unwrap();
            let expected = if arrives { [0, 1, 0] } else { [1, 0, 0] };
            let waiting = web.outside.queue.list(MailState::Waiting, 0, 1).await.unwrap();
            let problem = waiting.first().and_then(|mail| mail.problem.clone()).unwrap_or_default();
            assert_eq!(counts(&web).await, expected, "{password} {trusted}: {problem}");
            assert_eq!(smtp.mails().len() - before, usize::from(arrives));
            assert!(!problem.contains("secret"), "{problem}");
            web.stop().await;
        }
    }
}

#[actix_web::test]
async fn a_server_without_tls_gets_no_mail_where_tls_is_required() {
    let Some(smtp) = Smtp::start(Talk::Plain, None) else { return };
    let address = format!("smtp://127.0.0.1:{}?tls=required", smtp.port);
    let web = TestWeb::spawn_with(|settings| settings.mail.send = address.into()).await;
    web.account("ada@example.org", &[]).await;
    forgot(&web).await;
    web.app.send_due_mails().await.unwrap();
    assert_eq!((smtp.mails().len(), counts(&web).await), (0, [1, 0, 0]));
    web.stop().await;
}
