//! The official libraries of the specification accept our signatures, and the receiver in `docs/webhooks.md` does
//! what it says. `.ci/run` fetches the libraries into `target/`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use oncelink::clock::Clock;
use oncelink::files::ShareFolders;
use oncelink::web::WebApp;
use serde_json::json;
use tokio::sync::mpsc;

use crate::needs::{has_program, skip};
use crate::support::deliveries::in_time;
use crate::support::programs;
use crate::support::web::TestWeb;
use crate::support::webhooks::{Received, Receiver, allowed, deliver, make, press};

#[derive(Clone, Copy, Debug)]
enum Library {
    Js,
    Python,
}

impl Library {
    /// Whether it is installed. If not, says so.
    fn is_there(self) -> bool {
        let (program, library) = self.parts();
        has_program(program)
            && (library.exists() || skip(&format!("{}; .ci/run fetches it", library.display())))
    }

    fn parts(self) -> (&'static str, PathBuf) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        match self {
            Library::Js => ("node", root.join("webhooks-js/node_modules/standardwebhooks")),
            Library::Python => ("/usr/bin/python3", root.join("webhooks-python")),
        }
    }

    /// What it says about a message.
    async fn verify(self, message: &Received, secret: &str) -> String {
        let (program, library) = self.parts();
        let script = match self {
            Library::Js => "tests/it/support/webhook_verify.cjs",
            Library::Python => "tests/it/support/webhook_verify.py",
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        let order = json!({
            "library": library,
            "secret": secret,
            "body": message.body,
            "headers": message.headers,
        });
        let folder = tempfile::tempdir().unwrap();
        let ended =
            programs::run(folder.path(), program, &[script.to_str().unwrap(), &order.to_string()]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        ended.said.trim().to_owned()
    }
}

/// A web app whose time is that of the machine, because the libraries refuse old messages.
async fn web_of_today() -> TestWeb {
    let web = TestWeb::spawn_with(allowed).await;
    let now = Clock::wall().now();
    web.clock.set(now);
    web.clock.reset(now);
    web
}

#[actix_web::test]
async fn the_official_libraries_accept_our_signatures_and_no_others() {
    let libraries: Vec<Library> =
        [Library::Js, Library::Python].into_iter().filter(|library| library.is_there()).collect();
    if libraries.is_empty() {
        return;
    }
    let web = web_of_today().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let receiver = Receiver::start().await;
    let (page, secret) = make(&mut ada, &receiver.url()).await;
    let (_, foreign) = make(&mut ada, "https://127.0.0.1:1/").await;
    press(&mut ada, &page, "test").await;
    deliver(&web).await;
    let rotated = ada.fill(&page, &format!("{page}/rotate"), &[]).await.body;
    let new = rotated.split("<p class=\"key\"><code>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    press(&mut ada, &page, "test").await;
    deliver(&web).await;
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    for library in libraries {
        assert_eq!(library.verify(&received[0], &secret).await, "right", "{library:?}");
        for secret in [&secret, &new] {
            assert_eq!(library.verify(&received[1], secret).await, "right", "{library:?}: both secrets");
        }
        for (message, secret) in [(&received[0], &new), (&received[0], &foreign), (&received[1], &foreign)] {
            let said = library.verify(message, secret).await;
            assert!(said.starts_with("wrong"), "{library:?}: {said}");
        }
        let altered =
            Received { body: received[0].body.replace("webhook.test", "link.ended"), ..received[0].clone() };
        assert!(library.verify(&altered, &secret).await.starts_with("wrong"), "{library:?}");
    }
    web.stop().await;
}

/// The receiver in the documentation, as it stands there.
struct Documented {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    port: u16,
}

impl Documented {
    async fn start(folder: &Path, port: u16, secret: &str) -> Documented {
        let text = fs::read_to_string("docs/webhooks.md").unwrap();
        let script = text.split_once("```python\n").unwrap().1.split_once("```").unwrap().0;
        fs::write(folder.join("receiver.py"), script).unwrap();
        let mut child = Command::new("/usr/bin/python3")
            .args(["receiver.py", &port.to_string()])
            .current_dir(folder)
            .env_clear()
            .env("PYTHONPATH", Library::Python.parts().1)
            .env("WEBHOOK_SECRET", secret)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut lines = output.lines().map_while(Result::ok);
            lines.all(|line| tell.send(line).is_ok())
        });
        let mut receiver = Documented { child, lines, port: 0 };
        let said = receiver.line().await;
        receiver.port = said.strip_prefix("listening on ").unwrap().parse().unwrap();
        receiver
    }

    async fn line(&mut self) -> String {
        in_time("a line of the receiver", self.lines.recv()).await.expect("the receiver has ended")
    }
}

impl Drop for Documented {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _status = self.child.wait();
    }
}

#[actix_web::test]
async fn the_receiver_in_the_documentation_works() {
    if !Library::Python.is_there() {
        return;
    }
    let web = web_of_today().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let folder = tempfile::tempdir().unwrap();
    // It needs the secret, and the webhook its port: a first one finds a free port.
    let found = Documented::start(folder.path(), 0, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").await.port;
    let (page, secret) = make(&mut ada, &format!("http://127.0.0.1:{found}/")).await;
    press(&mut ada, &page, "test").await;
    let mut receiver = Documented::start(folder.path(), found, &secret).await;
    deliver(&web).await;
    let shown = ada.get(&page).await.body;
    assert!(shown.contains("status 204"), "{shown}");
    let line = receiver.line().await;
    assert!(line.starts_with("webhook.test {\"sequence\": "), "{line}");
    // A message that was sent already is recognized, and one with a wrong signature refused.
    let message = ada.get(&page).await.body.split("name=\"message\" value=\"").nth(1).unwrap().to_owned();
    let message = message.split('"').next().unwrap();
    ada.fill(&page, &format!("{page}/resend"), &[("message", message)]).await;
    press(&mut ada, &page, "test").await;
    deliver(&web).await;
    let next = receiver.line().await;
    assert_ne!(next, line, "the first message isn't reported again");
    ada.fill(&page, &format!("{page}/rotate"), &[]).await;
    ada.fill(&page, &format!("{page}/rotate"), &[]).await;
    press(&mut ada, &page, "test").await;
    deliver(&web).await;
    assert!(ada.get(&page).await.body.contains("status 401"));
    web.stop().await;
}

/// Messages that were recorded before the process was killed are sent by the next one.
#[actix_web::test]
async fn a_restart_loses_no_message() {
    let web = TestWeb::spawn_with(allowed).await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let receiver = Receiver::start().await;
    let (page, secret) = make(&mut ada, &receiver.url()).await;
    press(&mut ada, &page, "test").await;
    // Another process was killed while it was sending: its reservation is over after a minute.
    let until = i64::try_from(web.clock.now().secs() + 60).unwrap();
    sqlx::query("UPDATE webhooks SET reserved_until = $1")
        .bind(until)
        .execute(web.outside.db.writer())
        .await
        .unwrap();
    let folders = ShareFolders::open(&web.settings.shares).unwrap();
    let app = Box::pin(WebApp::open(&web.settings, web.clock.clone(), folders)).await.unwrap();
    app.send_due_webhooks().await.unwrap();
    assert!(receiver.received().is_empty());
    web.pass(60);
    app.send_due_webhooks().await.unwrap();
    assert_eq!(receiver.received().len(), 1);
    assert!(receiver.received()[0].is_signed_by(&secret), "the keys are those of before");
    web.stop().await;
}
