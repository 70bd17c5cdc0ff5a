//! The API of a server, with a key.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::credentials::Login;
use crate::client::error::ClientError;
use crate::client::http::{Http, refusal, unexpected};

/// How many items a page of a list has.
const PER_PAGE: u32 = 500;

/// A server's API.
pub(crate) struct Api {
    http: Http,
    login: Login,
}

/// The account that a key acts for.
#[derive(Debug, Deserialize)]
pub(crate) struct Account {
    pub(crate) email: String,
    /// The path of its own folder; `None` if it has none.
    pub(crate) home: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    next: Option<String>,
}

impl Api {
    /// Creates a client of this server's API.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub(crate) fn new(login: Login) -> Result<Api, ClientError> {
        Ok(Api { http: Http::new()?, login })
    }

    /// Returns the login.
    pub(crate) const fn login(&self) -> &Login {
        &self.login
    }

    /// Returns the address of `path`, below `/api/v1`.
    ///
    /// # Errors
    /// When the two don't form a valid address.
    pub(crate) fn url(&self, path: &str) -> Result<Url, ClientError> {
        let base = self.login.url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/api/v1{path}"))
            .map_err(|_| unexpected(&self.login.url, "an invalid address"))
    }

    /// Prepares a request with the key. The key goes to this server only.
    ///
    /// # Errors
    /// When `url` is at another server.
    pub(crate) fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, ClientError> {
        if url.origin() != self.login.url.origin() {
            return Err(unexpected(&self.login.url, "an address at another server"));
        }
        let bearer = format!("Bearer {}", self.login.key.reveal());
        Ok(self.http.request(method, url).header(AUTHORIZATION, bearer))
    }

    /// Sends a request, and returns any answer.
    ///
    /// # Errors
    /// When the server doesn't answer.
    pub(crate) async fn send(&self, url: &Url, request: RequestBuilder) -> Result<Response, ClientError> {
        self.http.send(url, request).await
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// When the request is refused.
    pub(crate) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let url = self.url(path)?;
        let request = self.request(Method::GET, &url)?;
        self.http.json(&url, request).await
    }

    /// Reads all items of a list, or the first `most` of them. `path` may have a query.
    ///
    /// # Errors
    /// When a request is refused.
    pub(crate) async fn list(&self, path: &str, most: usize) -> Result<Vec<Value>, ClientError> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut url = self.url(path)?;
            url.query_pairs_mut().append_pair("limit", &PER_PAGE.to_string());
            if let Some(cursor) = &cursor {
                url.query_pairs_mut().append_pair("cursor", cursor);
            }
            let request = self.request(Method::GET, &url)?;
            let page: Page = self.http.json(&url, request).await?;
            items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() || items.len() >= most {
                items.truncate(most);
                return Ok(items);
            }
        }
    }

    /// Sends JSON. With the same `once`, sending it again makes nothing twice.
    ///
    /// # Errors
    /// When the request is refused.
    pub(crate) async fn make(
        &self,
        path: &str,
        body: &Value,
        once: Option<&str>,
    ) -> Result<Value, ClientError> {
        let url = self.url(path)?;
        let mut request = self.request(Method::POST, &url)?.header(CONTENT_TYPE, "application/json");
        if let Some(once) = once {
            request = request.header("idempotency-key", once);
        }
        self.http.json(&url, request.body(body.to_string())).await
    }

    /// Sends a request without a body, whose answer doesn't matter.
    ///
    /// # Errors
    /// When the request is refused.
    pub(crate) async fn act(&self, method: Method, path: &str) -> Result<(), ClientError> {
        let url = self.url(path)?;
        let response = self.send(&url, self.request(method, &url)?).await?;
        match response.status().is_success() {
            true => Ok(()),
            false => Err(refusal(&url, response).await),
        }
    }
}
