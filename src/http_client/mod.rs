//! The client for our own services: HTTP/1.1, plain or with TLS and the certificates that this machine trusts, or
//! through a Unix socket. An address at a socket is written `unix:`, the socket's path, and after another colon the
//! path of the request: `unix:/run/oncelink/web.sock:/receipts`.
//!
//! Requests carry tokens and keys, so it never uses a proxy from the environment and never follows a redirect
//! by itself. Every request has a deadline.
//!
//! Addresses that people typed have a client of their own, [`outside`].

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, Uri};
use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, timeout_at};
use url::Url;

pub mod address_rule;
mod connector;
pub mod outside;

use connector::{Connector, socket_uri};

/// Returns the address of `path` at a service, whose own address is an origin or a Unix socket.
pub fn at(service: &str, path: &str) -> String {
    let colon = if service.starts_with("unix:") { ":" } else { "" };
    format!("{service}{colon}{path}")
}

/// A request failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The certificates for https can't be read.
    #[error("cannot read this machine's certificates for https")]
    Certificates(#[source] io::Error),
    /// The address isn't valid.
    #[error("`{0}` is not an http or https address without a user name, or one at a Unix socket")]
    Address(String),
    /// The request contains something that HTTP doesn't allow.
    #[error("the request is not valid")]
    Request(#[source] Box<dyn Error + Send + Sync>),
    /// The server can't be reached, or doesn't speak HTTP.
    #[error("{origin} does not answer")]
    Unanswered {
        /// Its scheme, host and port.
        origin: String,
        /// The cause.
        #[source]
        source: hyper_util::client::legacy::Error,
    },
    /// The response ended too early.
    #[error("the response from {origin} broke off")]
    BrokenOff {
        /// Its scheme, host and port.
        origin: String,
        /// The cause.
        #[source]
        source: hyper::Error,
    },
    /// The deadline has passed.
    #[error("{origin} did not answer in time")]
    TimedOut {
        /// Its scheme, host and port.
        origin: String,
    },
}

/// Sends requests, over connections that it keeps for the next ones.
pub struct HttpClient(Client<Connector, String>);

impl HttpClient {
    /// Creates a client for addresses with the scheme of `address`. `connect` is the maximum time to open a
    /// connection.
    ///
    /// # Errors
    /// If the address is https and this machine's certificates can't be read.
    pub fn new(address: &str, connect: Duration) -> Result<HttpClient, HttpError> {
        let tls = ClientConfig::builder();
        // Plain http must work even on a machine without certificates.
        let tls = match !address.starts_with("https://") {
            true => tls.with_root_certificates(RootCertStore::empty()),
            false => tls.with_native_roots().map_err(HttpError::Certificates)?,
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls.with_no_client_auth())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let mut builder = Client::builder(TokioExecutor::new());
        Ok(HttpClient(builder.pool_timer(TokioTimer::new()).build(Connector { https, within: connect })))
    }

    /// Prepares a GET.
    pub fn get(&self, address: &str) -> PendingRequest<'_> {
        self.request(Method::GET, address)
    }

    /// Prepares a POST.
    pub fn post(&self, address: &str) -> PendingRequest<'_> {
        self.request(Method::POST, address)
    }

    fn request(&self, method: Method, address: &str) -> PendingRequest<'_> {
        let head = Request::builder().method(method).header(ACCEPT, "*/*");
        PendingRequest { client: self, address: address.to_owned(), head, body: String::new() }
    }
}

/// A request that is not sent yet.
#[must_use]
pub struct PendingRequest<'client> {
    client: &'client HttpClient,
    address: String,
    head: Builder,
    body: String,
}

impl PendingRequest<'_> {
    /// Adds a bearer token.
    pub fn bearer(mut self, token: &str) -> Self {
        self.head = self.head.header(AUTHORIZATION, format!("Bearer {token}"));
        self
    }

    /// Sets the body, as JSON.
    ///
    /// # Errors
    /// If the value can't be written as JSON.
    pub fn json(mut self, value: &impl serde::Serialize) -> Result<Self, HttpError> {
        self.body = serde_json::to_string(value).map_err(|error| HttpError::Request(error.into()))?;
        self.head = self.head.header(CONTENT_TYPE, "application/json");
        Ok(self)
    }

    /// Sends the request and waits for the head of the response. `until` is the deadline for head and body.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn send(self, until: Instant) -> Result<ClientResponse, HttpError> {
        let Some(Target { origin, url, uri }) = Target::parse(&self.address) else {
            return Err(HttpError::Address(self.address));
        };
        // At a socket, the host in our form of its address means nothing to the service.
        let head = if url.is_none() { self.head.header(HOST, "localhost") } else { self.head };
        let request = head.uri(uri).body(self.body);
        let request = request.map_err(|error| HttpError::Request(error.into()))?;
        match timeout_at(until, self.client.0.request(request)).await {
            Ok(Ok(response)) => Ok(ClientResponse { response, origin, url, until }),
            Ok(Err(source)) => Err(HttpError::Unanswered { origin, source }),
            Err(_) => Err(HttpError::TimedOut { origin }),
        }
    }
}

/// Where a request goes.
struct Target {
    /// Scheme, host and port, or the socket.
    origin: String,
    /// The address in the form that redirects are compared with; `None` at a socket.
    url: Option<Url>,
    /// The address in the form that hyper sends.
    uri: Uri,
}

impl Target {
    fn parse(address: &str) -> Option<Target> {
        if let Some(rest) = address.strip_prefix("unix:") {
            let (socket, path) = rest.split_once(':')?;
            return Some(Target {
                origin: format!("unix:{socket}"),
                url: None,
                uri: socket_uri(socket, path)?,
            });
        }
        let url = Url::parse(address).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
        })?;
        let uri = url.as_str().parse().ok()?;
        Some(Target { origin: url.origin().ascii_serialization(), url: Some(url), uri })
    }
}

/// The head of a response, whose body may still be on its way.
pub struct ClientResponse {
    response: Response<Incoming>,
    origin: String,
    url: Option<Url>,
    until: Instant,
}

impl ClientResponse {
    /// Returns the status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Returns whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        self.response.status().is_success()
    }

    /// Returns a header field, unless it contains more than ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Returns the target of a redirect that stays at the same scheme, host and port.
    pub fn redirect_within_origin(&self) -> Option<Url> {
        let location = matches!(self.status(), 301 | 302 | 303 | 307 | 308).then(|| self.header("location"));
        let url = self.url.as_ref()?;
        url.join(location??).ok().filter(|next| next.origin() == url.origin())
    }

    /// Reads the body, but at most `longest` bytes of it.
    ///
    /// # Errors
    /// If the body breaks off or the deadline passes.
    pub async fn body(self, longest: usize) -> Result<Vec<u8>, HttpError> {
        let origin = self.origin;
        let reading = read(self.response.into_body(), longest);
        match timeout_at(self.until, reading).await {
            Ok(read) => read.map_err(|source| HttpError::BrokenOff { origin, source }),
            Err(_) => Err(HttpError::TimedOut { origin }),
        }
    }
}

async fn read(mut body: Incoming, longest: usize) -> Result<Vec<u8>, hyper::Error> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        // Nobody needs trailers.
        let Ok(data) = frame?.into_data() else { continue };
        bytes.extend(data.iter().take(longest - bytes.len()));
        if bytes.len() == longest {
            break;
        }
    }
    Ok(bytes)
}
