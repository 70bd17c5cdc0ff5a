//! What an operator sees of mail on the command line: `check`, and `oncelink mail …`.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use oncelink::web::mail::queue::MailState;

use crate::support::process::PROGRAM;
use crate::support::scripted_smtp::{At, Does, ScriptedSmtp};
use crate::support::web::TestWeb;

async fn web(send: &str) -> TestWeb {
    let send = send.to_owned();
    let web = TestWeb::spawn_with(|settings| settings.mail.send = send.into()).await;
    web.account("ada@example.org", &[]).await;
    web
}

/// Runs the program on the web app's data directory, with this app's mail settings.
pub(crate) async fn oncelink(web: &TestWeb, arguments: &[&str], input: &str) -> (Output, String) {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .env_clear()
        .env("ONCELINK_DATA_DIR", &web.settings.data_dir)
        .env("ONCELINK_WEB__PUBLIC_URL", &web.settings.web.public_url)
        .env("ONCELINK_MAIL__SEND", web.settings.mail.send.as_str())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let input = input.to_owned();
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap();
    let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
    (output, said)
}

/// The line of `check` about mail.
async fn checked(web: &TestWeb) -> String {
    let (_, said) = oncelink(web, &["check"], "").await;
    said.lines().filter(|line| line.contains(" mail: ")).collect::<Vec<_>>().join("\n")
}

#[actix_web::test]
async fn check_says_whether_the_mail_server_accepts_mail() {
    let smtp = ScriptedSmtp::start(|_, _| None).await;
    let address = format!("smtp://127.0.0.1:{}", smtp.port);
    let web = web(&address).await;
    let line = checked(&web).await;
    assert!(
        line.contains(&format!("ok       mail: connected to 127.0.0.1:{} without TLS", smtp.port)),
        "{line}"
    );
    for (does, word) in [(Does::says("554 go away"), "go away"), (Does::Closes, "connecting")] {
        smtp.follow(move |at, _| (at == At::Greeting).then(|| does.clone()));
        let line = checked(&web).await;
        assert!(line.lines().any(|line| line.starts_with("problem") && line.contains(word)), "{line}");
    }
    assert!(smtp.seen().asked.is_empty(), "no mail is sent");
    web.stop().await;
}

#[actix_web::test]
async fn check_warns_where_mails_only_go_to_a_folder_though_the_address_is_public() {
    let mut web = web("outbox").await;
    assert!(checked(&web).await.starts_with("ok"));
    web.settings.web.public_url = "https://files.example".to_owned();
    let line = checked(&web).await;
    assert!(line.starts_with("warning  mail: emails are only written to"), "{line}");
    web.stop().await;
}

#[actix_web::test]
async fn a_test_mail_is_sent_at_once_and_the_server_s_words_are_printed() {
    let smtp = ScriptedSmtp::start(|_, _| None).await;
    let web = web(&format!("smtp://127.0.0.1:{}", smtp.port)).await;
    let (output, said) = oncelink(&web, &["mail", "test", "ann@example.org"], "").await;
    assert!(output.status.success(), "{said}");
    assert!(said.contains("sent: 250 2.0.0 queued as S1"), "{said}");
    assert_eq!(smtp.seen().taken, ["ann@example.org"]);
    smtp.follow(|at, _| (at == At::Rcpt).then(|| Does::says("550 relay not permitted")));
    let (output, said) = oncelink(&web, &["mail", "test", "ann@example.org"], "").await;
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("recipient: 550 relay not permitted"), "{said}");
    let (output, said) = oncelink(&web, &["mail", "test", "nobody"], "").await;
    assert_eq!(output.status.code(), Some(2), "{said}");
    web.stop().await;
}

#[actix_web::test]
async fn mails_are_listed_tried_again_dropped_and_marked_as_bounced() {
    let smtp =
        ScriptedSmtp::start(|at, _| (at == At::Rcpt).then(|| Does::says("550 5.1.1 no such user"))).await;
    let web = web(&format!("smtp://127.0.0.1:{}", smtp.port)).await;
    web.browser().fill("/forgot", "/forgot", &[("email", "ada@example.org")]).await;
    web.app.send_due_mails().await.unwrap();
    let (_, said) = oncelink(&web, &["mail", "list", "--json"], "").await;
    let listed: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(listed[0]["state"], "failed", "{said}");
    assert!(listed[0]["problem"].as_str().unwrap().contains("no such user"), "{said}");
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    let (output, said) = oncelink(&web, &["mail", "retry", "--all"], "").await;
    assert!(output.status.success() && said.contains("the running web app will retry 1 "), "{said}");
    smtp.follow(|_, _| None);
    web.app.send_due_mails().await.unwrap();
    assert_eq!(web.outside.queue.count(MailState::Sent).await.unwrap(), 1);
    let bounce = format!(
        "Content-Type: multipart/report\n\nFinal-Recipient: rfc822; ada@example.org\nAction: failed\n\
         Status: 5.1.1\nDiagnostic-Code: smtp; 550 mailbox gone\n\nMessage-ID: <{id}@files.example>\n"
    );
    let (output, said) = oncelink(&web, &["mail", "bounced"], &bounce).await;
    assert!(output.status.success() && said.contains("could not be delivered"), "{said}");
    let failed = web.outside.queue.list(MailState::Failed, 0, 10).await.unwrap();
    assert_eq!(failed[0].problem.as_deref(), Some("bounced: 550 mailbox gone"));
    let (output, _) = oncelink(&web, &["mail", "drop", &id], "").await;
    assert!(output.status.success());
    let (output, said) = oncelink(&web, &["mail", "drop", &id], "").await;
    assert_eq!(output.status.code(), Some(1), "{said}");
    web.stop().await;
}
