//! The client for our own services: HTTP/1.1, plain or with TLS and the certificates that this machine trusts.
//! Requests carry tokens and keys, so it never uses a proxy from the environment and never follows a redirect
//! by itself. Every request has a deadline.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, Uri};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;
use url::Url;

/// A request failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The certificates for https can't be read.
    #[error("cannot read this machine's certificates for https")]
    Certificates(#[source] io::Error),
    /// The address isn't valid.
    #[error("`{0}` is not an http or https address without a user name")]
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
        let tls = match address.starts_with("http://") {
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
        let Some((url, uri)) = parse(&self.address) else { return Err(HttpError::Address(self.address)) };
        let request = self.head.uri(uri).body(self.body);
        let request = request.map_err(|error| HttpError::Request(error.into()))?;
        let origin = url.origin().ascii_serialization();
        match timeout_at(until, self.client.0.request(request)).await {
            Ok(Ok(response)) => Ok(ClientResponse { response, url, until }),
            Ok(Err(source)) => Err(HttpError::Unanswered { origin, source }),
            Err(_) => Err(HttpError::TimedOut { origin }),
        }
    }
}

/// Parses an address as the type that we compare, and as the type that hyper sends.
fn parse(address: &str) -> Option<(Url, Uri)> {
    let url = Url::parse(address).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
    })?;
    let uri = url.as_str().parse().ok()?;
    Some((url, uri))
}

/// The head of a response, whose body may still be on its way.
pub struct ClientResponse {
    response: Response<Incoming>,
    url: Url,
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
        self.url.join(location??).ok().filter(|next| next.origin() == self.url.origin())
    }

    /// Reads the body, but at most `longest` bytes of it.
    ///
    /// # Errors
    /// If the body breaks off or the deadline passes.
    pub async fn body(self, longest: usize) -> Result<Vec<u8>, HttpError> {
        let origin = self.url.origin().ascii_serialization();
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

/// Opens connections, including TLS, within a maximum time.
#[derive(Clone)]
struct Connector {
    https: HttpsConnector<HttpConnector>,
    within: Duration,
}

type BoxError = Box<dyn Error + Send + Sync>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = timeout(self.within, self.https.call(uri));
        Box::pin(async move { connecting.await? })
    }
}
