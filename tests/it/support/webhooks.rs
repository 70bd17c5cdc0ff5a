//! A program that receives webhooks, and answers as a test tells it to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oncelink::config::Settings;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::web::{Answer, Browser, TestWeb};

/// A message as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The first line of the request.
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    /// The signatures in the header.
    pub(crate) fn signatures(&self) -> Vec<&str> {
        self.header("webhook-signature").split(' ').collect()
    }

    /// Whether one of the signatures is by this secret.
    pub(crate) fn is_signed_by(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let (id, at) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let signed = format!("{id}.{at}.{}", self.body);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
        self.signatures().contains(&format!("v1,{}", STANDARD.encode(tag.as_ref())).as_str())
    }
}

type Script = dyn FnMut(&Received) -> String + Send;

/// A running receiver; its tasks end with the test's runtime.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    script: Arc<Mutex<Box<Script>>>,
}

impl Receiver {
    /// Starts one that accepts everything.
    pub(crate) async fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let script: Arc<Mutex<Box<Script>>> = Arc::new(Mutex::new(Box::new(|_| answer(204))));
        let (all, told) = (received.clone(), script.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (all, told) = (all.clone(), told.clone());
                tokio::spawn(async move {
                    let _gone = serve(stream, &all, &told).await;
                });
            }
        });
        Receiver { port, received, script }
    }

    /// Answers with what `script` returns from now on; nothing and a closed connection for an empty text.
    pub(crate) fn answers(&self, script: impl FnMut(&Received) -> String + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?key=1", self.port)
    }

    /// What has arrived so far, in order.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub(crate) fn kinds(&self) -> Vec<String> {
        self.received().iter().map(Received::kind).collect()
    }

    /// The sequences in the order of arrival.
    pub(crate) fn sequences(&self) -> Vec<i64> {
        self.received().iter().map(|one| one.json()["data"]["sequence"].as_i64().unwrap()).collect()
    }
}

/// A response without a body.
pub(crate) fn answer(status: u16) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

async fn serve(
    mut stream: TcpStream,
    all: &Mutex<Vec<Received>>,
    script: &Mutex<Box<Script>>,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if !bytes.is_empty() && !b"POST ".starts_with(&bytes[..bytes.len().min(5)]) {
            return Ok(());
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default().to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
    let body = String::from_utf8(bytes[head_end + 4..].to_vec()).unwrap();
    let received = Received { line, headers, body };
    all.lock().unwrap().push(received.clone());
    let says = (*script.lock().unwrap())(&received);
    stream.write_all(says.as_bytes()).await?;
    stream.shutdown().await
}

/// Allows receivers on this machine.
pub(crate) fn allowed(settings: &mut Settings) {
    settings.webhooks.allow_private = true;
}

/// Makes a webhook for all events by the form, and returns the address of its page and its secret.
pub(crate) async fn make(browser: &mut Browser, url: &str) -> (String, String) {
    let events = [
        "link.viewed",
        "delivery.started",
        "delivery.completed",
        "link.used_up",
        "link.ended",
        "upload.completed",
        "request.received",
    ];
    make_for(browser, url, &events).await
}

/// The same for these events.
pub(crate) async fn make_for(browser: &mut Browser, url: &str, events: &[&str]) -> (String, String) {
    let shown = send(browser, url, events).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    let after = |start: &str| {
        shown
            .body
            .split_once(start)
            .unwrap_or_else(|| panic!("{}", shown.body))
            .1
            .split(['<', '"'])
            .next()
            .unwrap()
    };
    let page = format!("/account/webhooks/{}", after("href=\"/account/webhooks/"));
    (page, after("<p class=\"key\"><code>").to_owned())
}

/// Sends the form.
pub(crate) async fn send(browser: &mut Browser, url: &str, events: &[&str]) -> Answer {
    let mut fields = vec![("url", url)];
    fields.extend(events.iter().map(|event| ("event", *event)));
    browser.fill("/account/webhooks", "/account/webhooks", &fields).await
}

/// Presses a button on the page of a webhook.
pub(crate) async fn press(browser: &mut Browser, page: &str, button: &str) {
    let answer = browser.fill(page, &format!("{page}/{button}"), &[]).await;
    assert_eq!(answer.status, 303, "{button}: {}", answer.body);
}

/// Sends what is due.
pub(crate) async fn deliver(web: &TestWeb) {
    web.app.send_due_webhooks().await.unwrap();
}
