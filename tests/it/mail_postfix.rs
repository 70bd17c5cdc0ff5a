//! Mails through a real Postfix, with Debian's default certificate, which is self-signed.

use oncelink::web::mail::queue::MailState;

use crate::support::links::send;
use crate::support::postfix::Postfix;
use crate::support::web::TestWeb;

async fn web(address: String) -> TestWeb {
    let web = TestWeb::spawn_with(|settings| settings.mail.send = address.into()).await;
    web.account("ada@example.org", &[]).await;
    web
}

#[actix_web::test]
async fn sixty_mails_go_through_a_server_on_this_machine_whose_certificate_nobody_signed() {
    let Some(postfix) = Postfix::start() else { return };
    let web = web(format!("smtp://{}", postfix.address)).await;
    let mut browser = web.logged_in("ada@example.org").await;
    let recipients: Vec<String> = (0..60).map(|number| format!("r{number}@example.org")).collect();
    let answer = send(&mut browser, &[("recipients", &recipients.join("\n")), ("mail", "yes")]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    web.app.send_due_mails().await.unwrap();
    assert_eq!(web.outside.queue.count(MailState::Sent).await.unwrap(), 60, "{}", postfix.log());
    let arrived = postfix.until(60).await;
    assert_eq!(arrived.len(), 60);
    for recipient in &recipients {
        let to = format!("X-Original-To: {recipient}\n");
        assert_eq!(arrived.iter().filter(|mail| mail.contains(&to)).count(), 1, "{recipient}");
    }
    assert!(arrived.iter().all(|mail| mail.contains("(using TLSv1.3")), "encrypted nevertheless");
    let sent = web.outside.queue.list(MailState::Sent, 0, 1).await.unwrap();
    assert!(sent[0].answer.as_deref().unwrap().contains("queued as"), "{:?}", sent[0].answer);
    web.stop().await;
}

#[actix_web::test]
async fn what_postfix_refuses_is_given_up_or_kept_as_it_should_be() {
    let Some(postfix) = Postfix::start() else { return };
    let web = web(format!("smtp://{}", postfix.address)).await;
    let mut browser = web.logged_in("ada@example.org").await;
    let recipients = "somebody@elsewhere.example\nann@example.org";
    let answer = send(&mut browser, &[("recipients", recipients), ("mail", "yes")]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    web.app.send_due_mails().await.unwrap();
    let waiting = web.outside.queue.list(MailState::Waiting, 0, 10).await.unwrap();
    assert_eq!(waiting.len(), 1, "a relay that is not set up yet loses no mail: {waiting:?}");
    let problem = waiting[0].problem.clone().unwrap();
    assert!(problem.contains("Relay access denied"), "{problem}");
    assert_eq!(postfix.until(1).await.len(), 1);
    web.stop().await;
}

#[actix_web::test]
async fn where_tls_is_required_a_certificate_that_nobody_signed_gets_no_mail() {
    let Some(postfix) = Postfix::start() else { return };
    let web = web(format!("smtp://{}?tls=required", postfix.address)).await;
    web.browser().fill("/forgot", "/forgot", &[("email", "ada@example.org")]).await;
    web.app.send_due_mails().await.unwrap();
    let waiting = web.outside.queue.list(MailState::Waiting, 0, 10).await.unwrap();
    assert_eq!(waiting.len(), 1);
    let problem = waiting[0].problem.clone().unwrap();
    assert!(problem.contains("starting TLS") && problem.contains("certificate"), "{problem}");
    assert_eq!(problem.matches("certificate").count(), 1, "the cause appears once: {problem}");
    web.stop().await;
}
