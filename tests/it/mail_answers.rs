//! What each reply of a mail server, at each step, means for a mail: sent, waiting or given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oncelink::web::mail::queue::{MailState, QueuedMail};
use oncelink::web::mail::smtp::StepTimeouts;
use oncelink::web::mail::transport::MailTransport;
use oncelink::web::mail::verdict::{MailFault, SmtpStep};
use tokio::sync::Notify;

use crate::support::scripted_smtp::{At, Does, ScriptedSmtp};
use crate::support::web::TestWeb;

async fn web(smtp: &ScriptedSmtp) -> TestWeb {
    let address = format!("smtp://127.0.0.1:{}", smtp.port);
    let web = TestWeb::spawn_with(|settings| settings.mail.send = address.into()).await;
    web.account("ada@example.org", &[]).await;
    web
}

async fn forgot(web: &TestWeb) {
    let answer = web.browser().fill("/forgot", "/forgot", &[("email", "ada@example.org")]).await;
    assert_eq!(answer.status, 303);
}

async fn only_mail(web: &TestWeb) -> QueuedMail {
    let mut all = Vec::new();
    for state in MailState::ALL {
        all.extend(web.outside.queue.list(state, 0, 10).await.unwrap());
    }
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[actix_web::test]
async fn each_reply_at_each_step_has_the_right_outcome() {
    use At::{Content, Data, Ehlo, Greeting, Mail, Rcpt};
    use MailState::{Failed, Sent, Waiting};
    let smtp = ScriptedSmtp::start(|_, _| None).await;
    for (at, says, expected) in [
        (Greeting, "421 busy", Waiting),
        (Greeting, "554 no service", Waiting),
        (Ehlo, "502 unknown", Waiting),
        (Mail, "421 busy", Waiting),
        (Mail, "451 4.3.0 later", Waiting),
        (Mail, "550 5.7.1 Sender rejected", Waiting),
        (Mail, "530 5.7.0 Must issue a STARTTLS command first", Waiting),
        (Mail, "552 5.3.4 too big", Waiting),
        (Rcpt, "421 4.7.0 busy", Waiting),
        (Rcpt, "450 4.2.0 greylisted", Waiting),
        (Rcpt, "452 4.2.2 full", Waiting),
        (Rcpt, "503 bad sequence", Waiting),
        (Rcpt, "521 does not accept mail", Waiting),
        (Rcpt, "530 authentication required", Waiting),
        (Rcpt, "550 relay not permitted", Waiting),
        (Rcpt, "550 5.7.1 relaying denied", Waiting),
        (Rcpt, "454 4.7.1 Relay access denied", Waiting),
        (Rcpt, "550 rejected", Waiting),
        (Rcpt, "550 no such user here", Failed),
        (Rcpt, "550-5.1.1 The account\r\n550 5.1.1 does not exist", Failed),
        (Rcpt, "551 user not local", Failed),
        (Rcpt, "552 5.2.2 mailbox full", Waiting),
        (Rcpt, "553 5.1.3 invalid address", Failed),
        (Rcpt, "554 5.7.1 blocked", Waiting),
        (Rcpt, "556 5.1.10 recipient has null MX", Failed),
        (Data, "451 local error", Waiting),
        (Data, "554 no valid recipients", Waiting),
        (Content, "250 fine", Sent),
        (Content, "451 later", Waiting),
        (Content, "552 5.2.2 full", Waiting),
        (Content, "554 5.7.1 spam", Waiting),
        (Content, "550 5.1.1 no such user", Failed),
    ] {
        let said = says.to_owned();
        smtp.follow(move |step, _| (step == at).then(|| Does::Says(said.clone())));
        let web = web(&smtp).await;
        forgot(&web).await;
        let before = smtp.seen().taken.len();
        web.app.send_due_mails().await.unwrap();
        let mail = only_mail(&web).await;
        let problem = mail.problem.clone().unwrap_or_default();
        assert_eq!(mail.state, expected, "{at:?} {says}: {problem}");
        let taken = smtp.seen().taken.len() - before;
        assert_eq!(taken, usize::from(expected == Sent), "{at:?} {says}");
        if expected != Sent {
            let code = says.get(..3).unwrap();
            assert!(problem.contains(code), "{at:?} {says}: {problem}");
            assert!(problem.contains(&format!("127.0.0.1:{}", smtp.port)), "it names the server: {problem}");
            assert!(!problem.contains("/reset/"), "{problem}");
        }
        // Whatever the reply was, the mail is sent once the server accepts it, unless there is no such
        // mailbox.
        if expected == Waiting {
            smtp.follow(|_, _| None);
            web.pass(mail.next_at.since(web.clock.now()).as_secs());
            web.app.send_due_mails().await.unwrap();
            assert_eq!(only_mail(&web).await.state, Sent, "{at:?} {says}");
        }
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_mail_that_is_refused_three_times_is_given_up_and_one_that_the_operator_can_fix_is_kept() {
    let smtp = ScriptedSmtp::start(|_, _| None).await;
    for (at, says, tries, expected) in [
        (At::Content, "554 5.7.1 spam", 3, MailState::Failed),
        (At::Rcpt, "550 rejected", 3, MailState::Failed),
        (At::Rcpt, "550 relay not permitted", 8, MailState::Waiting),
        (At::Rcpt, "454 4.7.1 Relay access denied", 8, MailState::Waiting),
        (At::Mail, "550 5.7.1 Sender rejected", 8, MailState::Waiting),
    ] {
        smtp.follow(move |step, _| (step == at).then(|| Does::says(says)));
        let web = web(&smtp).await;
        forgot(&web).await;
        for attempt in 1..=tries {
            assert_eq!(only_mail(&web).await.state, MailState::Waiting, "{says}, before attempt {attempt}");
            web.app.send_due_mails().await.unwrap();
            let mail = only_mail(&web).await;
            assert_eq!(mail.attempts, attempt, "{says}");
            web.pass(mail.next_at.since(web.clock.now()).as_secs());
        }
        assert_eq!(only_mail(&web).await.state, expected, "{says}");
        let stuck = web.outside.queue.stuck(web.clock.now()).await.unwrap();
        assert!(stuck.is_any(), "administrators are told: {says}");
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_connection_that_is_cut_in_the_middle_loses_no_mail_and_the_same_one_is_sent_again() {
    let smtp = ScriptedSmtp::start(|_, _| None).await;
    for at in [At::Greeting, At::Ehlo, At::Mail, At::Rcpt, At::Data, At::Content] {
        smtp.follow(move |step, _| (step == at).then_some(Does::Closes));
        let web = web(&smtp).await;
        forgot(&web).await;
        web.app.send_due_mails().await.unwrap();
        let mail = only_mail(&web).await;
        assert_eq!(mail.state, MailState::Waiting, "{at:?}");
        smtp.follow(|_, _| None);
        web.pass(mail.next_at.since(web.clock.now()).as_secs());
        web.app.send_due_mails().await.unwrap();
        let sent = only_mail(&web).await;
        assert_eq!(sent.state, MailState::Sent, "{at:?}");
        assert_eq!(sent.answer.as_deref(), Some("250 2.0.0 queued as S1"));
        let id = format!("Message-ID: <{}@127.0.0.1>", mail.id);
        assert!(smtp.seen().mails.last().unwrap().contains(&id), "the same mail: {at:?}");
        web.stop().await;
    }
}

#[actix_web::test]
async fn odd_answers_are_read_or_refused_and_lose_nothing() {
    let smtp = ScriptedSmtp::start(|_, _| None).await;
    let long = format!("250 {}", "x".repeat(1_000_000));
    let endless: String = "250-more\r\n".repeat(20_000) + "250 done";
    for (does, expected) in [
        (Does::SaysInPieces("250 2.0.0 queued".to_owned()), MailState::Sent),
        (Does::SaysInPieces("250-2.0.0 queued\r\n250 2.0.0 as S1".to_owned()), MailState::Sent),
        (Does::Says(long), MailState::Waiting),
        (Does::Says(endless), MailState::Waiting),
        (Does::says("250 ünangekündigt"), MailState::Sent),
        (Does::says("what?"), MailState::Waiting),
        (Does::says("999 what?"), MailState::Waiting),
        (Does::SaysAndCloses("250 2.0.0 queued".to_owned()), MailState::Sent),
    ] {
        let shown = format!("{does:?}").chars().take(60).collect::<String>();
        smtp.follow(move |step, _| (step == At::Content).then(|| does.clone()));
        let web = web(&smtp).await;
        forgot(&web).await;
        web.app.send_due_mails().await.unwrap();
        let mail = only_mail(&web).await;
        assert_eq!(mail.state, expected, "{shown}: {:?}", mail.problem);
        assert!(mail.problem.is_none_or(|problem| problem.len() < 1_000), "{shown}");
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_server_that_says_everything_in_pieces_gets_the_mail() {
    let smtp = ScriptedSmtp::start(|at, _| {
        let says = match at {
            At::Greeting => "220-hello\r\n220 ready",
            At::Ehlo => "250-script\r\n250-8BITMIME\r\n250 SIZE",
            At::Data => "354 go on",
            At::Mail | At::Rcpt | At::Content => "250 2.0.0 fine",
        };
        Some(Does::SaysInPieces(says.to_owned()))
    })
    .await;
    let web = web(&smtp).await;
    forgot(&web).await;
    web.app.send_due_mails().await.unwrap();
    assert_eq!(only_mail(&web).await.state, MailState::Sent);
    assert_eq!(smtp.seen().taken, ["ada@example.org"]);
    web.stop().await;
}

#[actix_web::test]
async fn a_server_that_defers_a_mail_forever_is_tried_less_and_less_and_the_mail_can_be_tried_again() {
    let smtp = ScriptedSmtp::start(|at, _| (at == At::Rcpt).then(|| Does::says("450 4.2.0 come back"))).await;
    let web = web(&smtp).await;
    forgot(&web).await;
    let began = web.clock.now();
    let mut pauses = Vec::new();
    let given_up = loop {
        web.app.send_due_mails().await.unwrap();
        let mail = only_mail(&web).await;
        if mail.state != MailState::Waiting {
            break mail;
        }
        let pause = mail.next_at.since(web.clock.now()).as_secs();
        pauses.push(pause);
        assert!(pauses.len() < 30, "it is never given up: {pauses:?}");
        web.pass(pause);
    };
    assert_eq!(given_up.state, MailState::Failed);
    assert!(given_up.problem.as_deref().unwrap().contains("450 4.2.0 come back"), "{given_up:?}");
    let took = web.clock.now().since(began).as_secs();
    assert!((48 * 3600..52 * 3600).contains(&took), "two days: {took}");
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert_eq!(smtp.seen().asked.len(), pauses.len() + 1, "asked once for each attempt");
    smtp.follow(|_, _| None);
    let queue = &web.outside.queue;
    let mut transaction = web.outside.db.begin().await.unwrap();
    assert!(queue.retry(&mut transaction, &given_up.id, web.clock.now()).await.unwrap());
    web.outside.db.commit(transaction).await.unwrap();
    web.app.send_due_mails().await.unwrap();
    assert_eq!(only_mail(&web).await.state, MailState::Sent);
    web.stop().await;
}

#[actix_web::test]
async fn a_server_whose_answers_can_t_be_read_gets_a_mail_three_times_and_no_more() {
    let answers =
        [Does::says("what?"), Does::says("999 what?"), Does::SaysBytes(b"250 angenommen f\xfcr\r\n")];
    for does in answers {
        let shown = format!("{does:?}");
        let smtp = ScriptedSmtp::start(move |at, _| (at == At::Content).then(|| does.clone())).await;
        let web = web(&smtp).await;
        forgot(&web).await;
        let given_up = loop {
            web.app.send_due_mails().await.unwrap();
            let mail = only_mail(&web).await;
            if mail.state != MailState::Waiting {
                break mail;
            }
            assert!(mail.attempts < 10, "{shown}: it is never given up");
            web.pass(mail.next_at.since(web.clock.now()).as_secs());
        };
        assert_eq!(given_up.state, MailState::Failed, "{shown}: {given_up:?}");
        assert!(given_up.problem.as_deref().unwrap().contains("can't be read"), "{given_up:?}");
        assert_eq!(smtp.seen().asked.len(), 3, "{shown}");
        web.stop().await;
    }
}

/// Settings that send mails to this server.
fn sending_to(smtp: &ScriptedSmtp) -> oncelink::config::Settings {
    let send = format!("smtp://127.0.0.1:{}", smtp.port).into();
    let mail = oncelink::config::MailSettings { send, ..Default::default() };
    oncelink::config::Settings { mail, ..Default::default() }
}

fn message(to: &str) -> lettre::Message {
    lettre::Message::builder()
        .from("noreply@example.org".parse().unwrap())
        .to(to.parse().unwrap())
        .body("text".to_owned())
        .unwrap()
}

#[actix_web::test]
async fn silence_at_each_step_ends_with_its_limit_and_closes_the_connection() {
    let smtp = ScriptedSmtp::start(|_, _| None).await;
    let settings = sending_to(&smtp);
    let short = Duration::from_millis(200);
    let limits = StepTimeouts { connect: short, command: short, data: short, content: short };
    let transport = MailTransport::with_limits(&settings, limits).unwrap();
    let MailTransport::Smtp(_) = &transport else { panic!("a mail server") };
    for (at, step, fault) in [
        (At::Greeting, SmtpStep::Connect, MailFault::Server),
        (At::Ehlo, SmtpStep::Connect, MailFault::Server),
        (At::Mail, SmtpStep::Sender, MailFault::Server),
        (At::Rcpt, SmtpStep::Recipient, MailFault::Later),
        (At::Data, SmtpStep::Data, MailFault::Later),
        (At::Content, SmtpStep::Content, MailFault::Later),
    ] {
        smtp.follow(move |asked, _| (asked == at).then_some(Does::Hangs));
        let error = transport.send("x", &message("a@example.org")).await.unwrap_err();
        assert_eq!(error.fault(), fault, "{at:?}: {error}");
        assert!(error.to_string().contains(step.as_str()), "{at:?}: {error}");
        smtp.until("the connection is closed", |seen| seen.closed == seen.connections).await;
    }
    assert!(smtp.seen().taken.is_empty());
}

#[actix_web::test]
async fn a_late_reply_is_never_mistaken_for_that_to_the_next_mail() {
    let allow = Arc::new(Notify::new());
    let late = allow.clone();
    let smtp = ScriptedSmtp::start(move |at, recipient| match (at, recipient) {
        (At::Content, "slow@example.org") => Some(Does::SaysWhen(late.clone(), "250 queued".to_owned())),
        (At::Content, _) => Some(Does::says("554 5.7.1 refused")),
        _ => None,
    })
    .await;
    let settings = sending_to(&smtp);
    let limits = StepTimeouts { content: Duration::from_millis(300), ..StepTimeouts::default() };
    let transport = MailTransport::with_limits(&settings, limits).unwrap();
    let slow = transport.send("1", &message("slow@example.org")).await.unwrap_err();
    assert_eq!(slow.fault(), MailFault::Later);
    allow.notify_waiters();
    allow.notify_one();
    for number in 2..6 {
        let next = transport.send(&number.to_string(), &message("next@example.org")).await;
        let error = next.expect_err("a mail that the server refused is never called sent");
        assert!(error.to_string().contains("554"), "{error}");
    }
}

#[actix_web::test]
async fn a_connection_that_the_server_closed_while_it_waited_costs_no_mail_a_pause() {
    let (mails, closes) = (Arc::new(AtomicUsize::new(0)), Does::SaysAndCloses("421 4.4.2 idle".to_owned()));
    // When the second mail comes over a connection, the server has already given up waiting for it.
    let smtp = ScriptedSmtp::start(move |at, _| {
        (at == At::Mail && mails.fetch_add(1, Ordering::Relaxed) % 2 == 1).then(|| closes.clone())
    })
    .await;
    let settings = sending_to(&smtp);
    let transport = MailTransport::open(&settings).unwrap();
    for number in 0..4 {
        transport.send(&number.to_string(), &message("a@example.org")).await.unwrap();
    }
    assert_eq!((smtp.seen().taken.len(), smtp.seen().connections), (4, 4));
}
