//! HTTP as the client uses it: no redirect is followed unseen, and a refusal becomes an error with the server's reason.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::client::error::ClientError;

/// How long opening a connection may take.
const CONNECT: Duration = Duration::from_secs(15);

/// How long nothing may arrive.
const SILENCE: Duration = Duration::from_secs(90);

/// The longest answer that is read as a whole, in bytes. A page of a link lists 500 files at most.
const LONGEST: usize = 4 << 20;

/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Sends requests.
#[derive(Clone)]
pub(crate) struct Http(reqwest::Client);

impl Http {
    /// Creates a client. It uses the proxy that the environment names.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub(crate) fn new() -> Result<Http, ClientError> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("oncelink/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .tcp_nodelay(true)
            .build();
        client.map(Http).map_err(ClientError::Setup)
    }

    /// Prepares a request.
    pub(crate) fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        self.0.request(method, url.clone())
    }

    /// Sends a request. Returns any answer, a refusal as well.
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) async fn send(&self, url: &Url, request: RequestBuilder) -> Result<Response, ClientError> {
        request.send().await.map_err(|error| broken(url, error))
    }

    /// Sends a request and reads a JSON answer.
    ///
    /// # Errors
    /// When the server doesn't answer, or refuses.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        url: &Url,
        request: RequestBuilder,
    ) -> Result<T, ClientError> {
        let response = self.send(url, request).await?;
        if !response.status().is_success() {
            return Err(refusal(url, response).await);
        }
        parsed(url, response).await
    }
}

/// Reads an answer in JSON, whatever its status.
///
/// # Errors
/// When it is something else.
pub(crate) async fn parsed<T: DeserializeOwned>(url: &Url, response: Response) -> Result<T, ClientError> {
    let bytes = body(url, response).await?;
    serde_json::from_slice(&bytes).map_err(|_| unexpected(url, "the answer is not the JSON of Oncelink"))
}

/// The connection broke off.
pub(crate) fn broken(url: &Url, error: reqwest::Error) -> ClientError {
    // Addresses contain tokens and codes.
    ClientError::Connection { origin: origin(url), source: error.without_url() }
}

/// The answer makes no sense.
pub(crate) fn unexpected(url: &Url, what: impl Into<String>) -> ClientError {
    ClientError::Answer { origin: origin(url), what: what.into() }
}

/// Returns scheme, host and port.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Reads an answer that should be short.
async fn body(url: &Url, mut response: Response) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(url, error))? {
        if bytes.len() + chunk.len() > LONGEST {
            return Err(unexpected(url, "the answer is too long"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// A problem document (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type", default)]
    slug: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
}

/// Reads a refusal.
pub(crate) async fn refusal(url: &Url, response: Response) -> ClientError {
    let status = response.status();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let is_problem = header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/problem+json"));
    let retry_after = header(RETRY_AFTER).and_then(|wait| wait.trim().parse().ok()).map(Duration::from_secs);
    let retry_after = retry_after.map(|wait| wait.min(LONGEST_WAIT));
    let problem = match is_problem {
        true => {
            body(url, response).await.ok().and_then(|bytes| serde_json::from_slice::<Problem>(&bytes).ok())
        }
        false => None,
    };
    let (slug, detail) = match problem {
        Some(Problem { slug, title, detail }) => (slug, sentence(&title, &detail)),
        None => (String::new(), format!("{} answered {status}", origin(url))),
    };
    ClientError::Refused { status: status.as_u16(), slug, detail, retry_after }
}

/// Title and detail as one line, without characters that would control a terminal.
fn sentence(title: &str, detail: &str) -> String {
    let joined = match (title.trim().trim_end_matches('.'), detail.trim()) {
        ("", detail) => detail.to_owned(),
        (title, "") => title.to_owned(),
        (title, detail) => format!("{title}: {detail}"),
    };
    joined.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
