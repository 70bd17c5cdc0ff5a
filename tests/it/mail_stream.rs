//! No mail waits for another: urgent ones go first, a mailbox that hangs delays no other, and a stop finishes
//! what is being sent.

use std::time::Duration;

use oncelink::web::mail::queue::MailState;

use crate::support::links::send;
use crate::support::scripted_smtp::{At, Does, ScriptedSmtp};
use crate::support::web::TestWeb;

async fn web(smtp: &ScriptedSmtp) -> TestWeb {
    let address = format!("smtp://127.0.0.1:{}", smtp.port);
    let web = TestWeb::spawn_with(|settings| settings.mail.send = address.into()).await;
    web.account("ada@example.org", &["readers"]).await;
    web
}

async fn forgot(web: &TestWeb, email: &str) {
    assert_eq!(web.browser().fill("/forgot", "/forgot", &[("email", email)]).await.status, 303);
}

/// Makes a link for these people, which queues a mail for each.
async fn bulk(web: &TestWeb, recipients: &[String]) {
    let mut browser = web.logged_in("ada@example.org").await;
    let answer = send(&mut browser, &[("recipients", &recipients.join("\n")), ("mail", "yes")]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
}

#[actix_web::test]
async fn a_mailbox_that_hangs_delays_nobody_else() {
    let smtp = ScriptedSmtp::start(|at, recipient| match (at, recipient) {
        (At::Content, "hangs@example.org") => Some(Does::Hangs),
        _ => None,
    })
    .await;
    let web = web(&smtp).await;
    for _ in 0..2 {
        bulk(&web, &["hangs@example.org".to_owned()]).await;
    }
    let recipients: Vec<String> = (0..60).map(|number| format!("r{number}@example.org")).collect();
    bulk(&web, &recipients).await;
    let app = web.app.clone();
    let sending = tokio::spawn(async move { app.send_mails().await });
    smtp.until("sixty mails arrive beside the one that hangs", |seen| seen.taken.len() == 60).await;
    forgot(&web, "ada@example.org").await;
    smtp.until("the reset arrives, too", |seen| seen.taken.iter().any(|to| to == "ada@example.org")).await;
    let hanging = smtp.seen().asked.iter().filter(|to| *to == "hangs@example.org").count();
    assert_eq!(hanging, 1, "one mailbox holds one connection");
    sending.abort();
    web.stop().await;
}

#[actix_web::test]
async fn a_deferred_mail_is_tried_again_on_time_while_another_one_hangs() {
    let hangs = |at: At, to: &str| (at == At::Content && to == "hangs@example.org").then_some(Does::Hangs);
    let smtp = ScriptedSmtp::start(move |at, recipient| match (at, recipient) {
        (At::Rcpt, "later@example.net") => Some(Does::says("450 4.2.0 greylisted")),
        _ => hangs(at, recipient),
    })
    .await;
    let web = web(&smtp).await;
    bulk(&web, &["hangs@example.org".to_owned(), "later@example.net".to_owned()]).await;
    let app = web.app.clone();
    let sending = tokio::spawn(async move { app.send_mails().await });
    let is_put_off = async || {
        let waiting = web.outside.queue.list(MailState::Waiting, 0, 10).await.unwrap();
        waiting.iter().any(|mail| mail.problem.is_some())
    };
    let put_off = async {
        while !is_put_off().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), put_off).await.expect("the second is put off");
    smtp.until("both are tried", |seen| seen.asked.len() == 2).await;
    smtp.follow(hangs);
    web.pass(10);
    smtp.until("the second is tried again", |seen| seen.taken == ["later@example.net"]).await;
    sending.abort();
    web.stop().await;
}

#[actix_web::test]
async fn mails_that_somebody_waits_for_are_sent_first() {
    let thinks = Duration::from_millis(20);
    let smtp = ScriptedSmtp::start(move |at, _| {
        (at == At::Content).then(|| Does::SaysAfter(thinks, "250 fine".to_owned()))
    })
    .await;
    let web = web(&smtp).await;
    let recipients: Vec<String> =
        (0..1_000).map(|number| format!("r{number}@d{}.example", number % 9)).collect();
    bulk(&web, &recipients).await;
    let app = web.app.clone();
    let sending = tokio::spawn(async move { app.send_mails().await });
    smtp.until("the bulk has begun", |seen| !seen.taken.is_empty()).await;
    for _ in 0..3 {
        let is_hers = |to: &String| to == "ada@example.org";
        let before = smtp.seen().taken.len();
        forgot(&web, "ada@example.org").await;
        let asked = smtp.seen().taken.len();
        let seen = smtp.until("the reset is sent", |seen| seen.taken.iter().skip(before).any(is_hers)).await;
        let place = seen.taken.iter().rposition(is_hers).unwrap();
        // The mails that were being sent, and one more that each connection takes meanwhile.
        assert!(
            place <= asked + 8,
            "number {place}, though only {asked} had been sent when it was requested"
        );
    }
    sending.abort();
    web.stop().await;
}

#[actix_web::test]
async fn when_the_server_is_back_all_waiting_mail_is_sent_at_once() {
    let smtp = ScriptedSmtp::start(|at, _| (at == At::Greeting).then(|| Does::says("421 busy"))).await;
    let web = web(&smtp).await;
    let recipients: Vec<String> = (0..20).map(|number| format!("r{number}@example.org")).collect();
    bulk(&web, &recipients).await;
    // During a long outage one mail is tried at a time, not twenty.
    for _ in 0..10 {
        web.app.send_due_mails().await.unwrap();
        web.pass(5 * 60);
    }
    assert!(smtp.seen().connections < 20, "{}", smtp.seen().connections);
    smtp.follow(|_, _| None);
    web.app.send_due_mails().await.unwrap();
    assert_eq!(smtp.seen().taken.len(), 20, "no mail waits for its own retry");
    web.stop().await;
}

#[actix_web::test]
async fn a_stop_finishes_what_is_under_way_and_sends_nothing_twice() {
    let let_go = std::sync::Arc::new(tokio::sync::Notify::new());
    let held = let_go.clone();
    let smtp = ScriptedSmtp::start(move |at, recipient| match (at, recipient) {
        (At::Rcpt, "first@example.org") => Some(Does::SaysWhen(held.clone(), "250 fine".to_owned())),
        _ => None,
    })
    .await;
    let web = web(&smtp).await;
    bulk(&web, &["first@example.org".to_owned()]).await;
    let app = web.app.clone();
    let sending = tokio::spawn(async move { app.send_mails().await });
    smtp.until("sending has begun", |seen| !seen.asked.is_empty()).await;
    let app = web.app.clone();
    let stopping = tokio::spawn(async move { app.finish_mails().await });
    let_go.notify_one();
    stopping.await.unwrap();
    sending.await.unwrap();
    assert_eq!(smtp.seen().taken, ["first@example.org"]);
    assert_eq!(web.outside.queue.count(MailState::Sent).await.unwrap(), 1);
    assert_eq!(web.outside.queue.count(MailState::Waiting).await.unwrap(), 0);
    web.stop().await;
}

#[actix_web::test]
async fn a_mail_that_a_killed_process_had_is_due_again_when_its_reservation_ends() {
    let smtp = ScriptedSmtp::start(|at, _| (at == At::Content).then_some(Does::Hangs)).await;
    let web = web(&smtp).await;
    forgot(&web, "ada@example.org").await;
    let app = web.app.clone();
    let sending = tokio::spawn(async move { app.send_mails().await });
    smtp.until("sending has begun", |seen| !seen.asked.is_empty()).await;
    // Aborted without cleanup, like a killed process.
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());
    smtp.follow(|_, _| None);
    web.app.send_due_mails().await.unwrap();
    assert!(smtp.seen().taken.is_empty(), "it is reserved: another process could still be sending it");
    web.pass(60);
    web.app.send_due_mails().await.unwrap();
    assert_eq!(smtp.seen().taken, ["ada@example.org"]);
    web.stop().await;
}

#[actix_web::test]
async fn a_newer_request_replaces_one_that_waits() {
    let smtp = ScriptedSmtp::start(|at, _| (at == At::Greeting).then(|| Does::says("421 busy"))).await;
    let web = web(&smtp).await;
    for _ in 0..3 {
        forgot(&web, "ada@example.org").await;
    }
    assert_eq!(web.outside.queue.count(MailState::Waiting).await.unwrap(), 1);
    smtp.follow(|_, _| None);
    web.app.send_due_mails().await.unwrap();
    assert_eq!(smtp.seen().taken.len(), 1, "one mail, and its link works");
    web.stop().await;
}

#[actix_web::test]
async fn a_newer_request_replaces_one_whose_attempt_failed_meanwhile() {
    let let_go = std::sync::Arc::new(tokio::sync::Notify::new());
    let held = let_go.clone();
    let smtp = ScriptedSmtp::start(move |at, _| {
        (at == At::Rcpt).then(|| Does::SaysWhen(held.clone(), "450 4.2.0 come back".to_owned()))
    })
    .await;
    let web = web(&smtp).await;
    forgot(&web, "ada@example.org").await;
    let app = web.app.clone();
    let sending = tokio::spawn(async move { app.send_due_mails().await });
    smtp.until("sending the first has begun", |seen| !seen.asked.is_empty()).await;
    for _ in 0..2 {
        forgot(&web, "ada@example.org").await;
    }
    assert_eq!(web.outside.queue.count(MailState::Waiting).await.unwrap(), 2);
    smtp.follow(|_, _| None);
    let_go.notify_one();
    sending.await.unwrap().unwrap();
    assert_eq!(smtp.seen().taken.len(), 1, "one mail, and its link works");
    assert_eq!(web.outside.queue.count(MailState::Waiting).await.unwrap(), 0);
    web.stop().await;
}

#[actix_web::test]
async fn a_limit_of_mails_a_second_spreads_them() {
    let smtp = ScriptedSmtp::start(|_, _| None).await;
    let address = format!("smtp://127.0.0.1:{}", smtp.port);
    let web = TestWeb::spawn_with(|settings| {
        settings.mail.send = address.into();
        settings.mail.per_second = 20;
    })
    .await;
    web.account("ada@example.org", &[]).await;
    let recipients: Vec<String> = (0..11).map(|number| format!("r{number}@example.org")).collect();
    bulk(&web, &recipients).await;
    let began = std::time::Instant::now();
    web.app.send_due_mails().await.unwrap();
    assert_eq!(smtp.seen().taken.len(), 11);
    // A lower bound that holds under any load: ten gaps of 50 ms.
    assert!(began.elapsed() >= Duration::from_millis(500));
    web.stop().await;
}
