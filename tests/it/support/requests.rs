//! File requests that people make in tests, and their guests.

use std::collections::BTreeMap;

use hyper::Method;

use super::client::Client;
use super::tus::{Answer, metadata};
use super::web::{Browser, FORM, form};

/// The form's fields: into `/open`, with the usual limits.
const FIELDS: [(&str, &str); 7] = [
    ("folder", "/open"),
    ("title", "Photos"),
    ("note", ""),
    ("max_bytes", "2 GiB"),
    ("max_files", "100"),
    ("ends", "2027-01-22T08:00"),
    ("password", ""),
];

/// The usual fields, with `changed` replacing or extending them.
pub(crate) fn fields<'f>(changed: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    let usual = FIELDS.into_iter().filter(|(name, _)| !changed.iter().any(|(other, _)| other == name));
    usual.chain(changed.iter().copied()).collect()
}

/// A request that was made.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The address of its owner's page.
    pub(crate) page: String,
    /// Its address for guests, without the host.
    pub(crate) public: String,
}

/// Asks for files.
pub(crate) async fn ask(browser: &mut Browser, changed: &[(&str, &str)]) -> Asked {
    let answer = browser.fill("/requests/new", "/requests", &fields(changed)).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let page = answer.location.unwrap();
    let body = browser.get(&page).await.body;
    let (_, rest) = body.split_once("data-copy=\"").unwrap_or_else(|| panic!("{body}"));
    let address = rest.split('"').next().unwrap();
    Asked { page, public: address[address.find("/r/").unwrap()..].to_owned() }
}

/// A guest with a program that has a ticket.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) client: Client,
    pub(crate) base: String,
    pub(crate) ticket: String,
}

impl Guest {
    /// Asks for a ticket, which must be given.
    pub(crate) async fn admitted(base: &str, public: &str, fields: &[(&str, &str)]) -> Guest {
        let answer = Guest::try_admitted(base, public, fields).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let given: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let text = |key: &str| given[key].as_str().unwrap().to_owned();
        Guest { client: Client::without_keep_alive(), base: base.to_owned(), ticket: text("ticket") }
    }

    pub(crate) async fn try_admitted(base: &str, public: &str, fields: &[(&str, &str)]) -> Answer {
        let client = Client::without_keep_alive();
        let headers = [("accept", "application/json"), ("content-type", FORM)];
        let reply =
            client.send(Method::POST, &format!("{base}{public}"), &headers, form(fields).into_bytes()).await;
        answer_of(reply)
    }

    /// Sends a request with the ticket and these headers.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let own = [("tus-resumable", "1.0.0"), ("upload-ticket", self.ticket.as_str())];
        self.bare(method, path, &[&own, headers].concat(), body).await
    }

    /// Sends a request with only these headers.
    pub(crate) async fn bare(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        answer_of(self.client.send(method, &format!("{}{path}", self.base), headers, body).await)
    }

    pub(crate) async fn try_begin(&self, said: &[(&str, &str)], size: usize) -> Answer {
        let (size, said) = (size.to_string(), metadata(said));
        let headers = [("upload-length", size.as_str()), ("upload-metadata", said.as_str())];
        self.send("POST", "/uploads", &headers, Vec::new()).await
    }

    /// Begins an upload, which must succeed, and returns its address.
    pub(crate) async fn begin(&self, name: &str, size: usize) -> String {
        let answer = self.try_begin(&[("filename", name)], size).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.header("location").unwrap().to_owned()
    }

    /// Sends bytes to store at `offset`.
    pub(crate) async fn patch(&self, address: &str, offset: u64, body: &[u8]) -> Answer {
        let offset = offset.to_string();
        let headers =
            [("content-type", "application/offset+octet-stream"), ("upload-offset", offset.as_str())];
        self.send("PATCH", address, &headers, body.to_vec()).await
    }

    /// Sends a whole file, which must arrive.
    pub(crate) async fn put(&self, name: &str, content: &[u8]) {
        let answer = self.try_put(name, content).await;
        assert!([201, 204].contains(&answer.status), "{answer:?}");
    }

    /// Sends a whole file, and returns the last response.
    pub(crate) async fn try_put(&self, name: &str, content: &[u8]) -> Answer {
        let begun = self.try_begin(&[("filename", name)], content.len()).await;
        if begun.status != 201 || content.is_empty() {
            return begun;
        }
        self.patch(begun.header("location").unwrap(), 0, content).await
    }
}

fn answer_of(reply: super::client::Reply) -> Answer {
    let headers: BTreeMap<String, String> = reply
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Answer { status: reply.status.as_u16(), headers, body: reply.text() }
}
