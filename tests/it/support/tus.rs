//! A tus client that sends exactly what a test wants.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use oncelink::config::{Settings, ShareSettings};

use super::client::Client;
use super::web::{Browser, TestWeb};

/// Lets everyone write to and manage the share `open`, and Ada the share `private`.
pub fn writable(settings: &mut Settings) {
    for share in &mut settings.shares {
        share.write.clone_from(&share.read);
        share.manage.clone_from(&share.read);
    }
}

/// Adds the personal share `home`, with a folder for everyone, and lets everyone manage the share `open`.
pub fn personal(settings: &mut Settings) {
    writable(settings);
    let path = settings.shares[0].path.with_file_name("home");
    std::fs::create_dir(&path).unwrap();
    let read = vec!["everyone".to_owned()];
    let share = ShareSettings { name: "home".to_owned(), path, personal: true, read, ..Default::default() };
    settings.shares.push(share);
}

/// An account that is logged in and uploads.
#[derive(Clone)]
pub struct Uploader {
    pub client: Client,
    pub base: String,
    pub cookie: String,
    pub csrf: String,
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn offset(&self) -> Option<u64> {
        self.header("upload-offset").map(|offset| offset.parse().unwrap())
    }

    /// The slug and the sentence of a problem.
    pub fn problem(&self) -> (String, String) {
        let problem: serde_json::Value =
            serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"));
        assert_eq!(problem["status"], self.status);
        let text = |key: &str| problem[key].as_str().unwrap().to_owned();
        (text("type"), text("detail"))
    }
}

impl Uploader {
    /// The account that is logged in in this browser.
    pub async fn of(mut browser: Browser) -> Uploader {
        let csrf = browser.get("/account").await.csrf();
        let cookies = browser.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let cookie = cookies.collect::<Vec<_>>().join("; ");
        Uploader { client: Client::without_keep_alive(), base: browser.base.clone(), cookie, csrf }
    }

    /// Ada, with an account in a new app in which everyone may write.
    pub async fn ada(web: &TestWeb) -> Uploader {
        web.account("ada@example.org", &[]).await;
        Uploader::of(web.logged_in("ada@example.org").await).await
    }

    /// Sends a request with the headers that every request needs.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let all = [("tus-resumable", "1.0.0"), ("x-csrf-token", self.csrf.as_str())];
        let headers = [&all, headers].concat();
        self.bare(method, path, &headers, body).await
    }

    /// Sends a request with only the session's cookie and these headers.
    pub async fn bare(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let headers = [&[("cookie", self.cookie.as_str())], headers].concat();
        let reply = self.client.send(method, &format!("{}{path}", self.base), &headers, body).await;
        let headers = reply.headers.iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        Answer { status: reply.status.as_u16(), headers: headers.collect(), body: reply.text() }
    }

    /// Begins an upload, which must succeed, and returns its address.
    pub async fn begin(&self, folder: &str, name: &str, size: usize) -> String {
        let answer = self.try_begin(folder, name, size).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.header("location").unwrap().to_owned()
    }

    pub async fn try_begin(&self, folder: &str, name: &str, size: usize) -> Answer {
        let metadata = metadata(&[("folder", folder), ("filename", name)]);
        let size = size.to_string();
        self.send("POST", "/uploads", &[("upload-length", &size), ("upload-metadata", &metadata)], Vec::new())
            .await
    }

    /// Sends bytes to store at `offset`.
    pub async fn patch(&self, address: &str, offset: u64, body: &[u8]) -> Answer {
        self.patch_with(address, offset, body, &[]).await
    }

    pub async fn patch_with(
        &self,
        address: &str,
        offset: u64,
        body: &[u8],
        headers: &[(&str, &str)],
    ) -> Answer {
        let offset = offset.to_string();
        let own = [("content-type", "application/offset+octet-stream"), ("upload-offset", offset.as_str())];
        self.send("PATCH", address, &[&own, headers].concat(), body.to_vec()).await
    }

    pub async fn head(&self, address: &str) -> Answer {
        self.send("HEAD", address, &[], Vec::new()).await
    }

    /// Uploads a whole file, and returns the last response.
    pub async fn put(&self, folder: &str, name: &str, content: &[u8]) -> Answer {
        let address = self.begin(folder, name, content.len()).await;
        self.patch(&address, 0, content).await
    }
}

/// The header `Upload-Metadata`.
pub fn metadata(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(key, value)| format!("{key} {}", STANDARD.encode(value)));
    pairs.collect::<Vec<_>>().join(",")
}
