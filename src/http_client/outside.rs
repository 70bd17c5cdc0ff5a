//! The client for addresses that people typed. It resolves a name once, checks every address that it has, and
//! connects to exactly those. It keeps no connection, follows no redirect, uses no proxy, and reads no more of a
//! response than its head and a few bytes of its body.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::{Method, Request, Uri};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;

use super::address_rule::{AddressRefusal, AddressRule};
use super::{HttpError, read};

/// Maximum size of the head of a response.
const HEAD_MAX: usize = 32 << 10;

/// How much of the body is read, so that a server that writes a short one isn't cut off. Nobody sees it.
const BODY_READ: usize = 4 << 10;

/// Maximum number of addresses of a name that are tried.
const ADDRESSES_TRIED: usize = 4;

/// A request to an outside address got no response.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// The name has no address.
    #[error("the name can't be resolved")]
    Unknown(#[source] io::Error),
    /// An address isn't allowed.
    #[error("the address is not allowed ({0})")]
    Refused(#[source] AddressRefusal),
    /// Plain http is only for this machine.
    #[error("the address is not allowed (not encrypted)")]
    Plain,
    /// No connection.
    #[error("no connection")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// No TLS, for example because the certificate isn't valid.
    #[error("no secure connection")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
    /// Nothing that is HTTP.
    #[error("no valid response")]
    Response(#[source] Box<dyn Error + Send + Sync>),
    /// No response within the deadline.
    #[error("no response in time")]
    TimedOut,
}

/// What is of interest of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideResponse {
    /// The status.
    pub status: u16,
    /// How long to wait before the next request, in seconds (RFC 9110 section 10.2.3; only the form in seconds).
    pub retry_after: Option<u64>,
}

/// Sends requests to addresses that people typed. Cheap to clone.
#[derive(Clone)]
pub struct OutsideClient(Client<HttpsConnector<CheckedConnector>, String>);

impl OutsideClient {
    /// Creates a client. `connect` is the maximum time for resolving a name and connecting.
    ///
    /// # Errors
    /// If this machine's certificates for https can't be read.
    pub fn new(rule: AddressRule, connect: Duration) -> Result<OutsideClient, HttpError> {
        let tls = ClientConfig::builder().with_native_roots().map_err(HttpError::Certificates)?;
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls.with_no_client_auth())
            .https_or_http()
            .enable_http1()
            .wrap_connector(CheckedConnector { rule, within: connect });
        let client = Client::builder(TokioExecutor::new())
            // Each request connects anew, so that each is checked.
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(HEAD_MAX)
            .build(https);
        Ok(OutsideClient(client))
    }

    /// Sends a POST and waits for the head of the response. `until` is the deadline for everything.
    ///
    /// # Errors
    /// See [`OutsideError`].
    pub async fn post(
        &self,
        address: &str,
        headers: &[(&'static str, &str)],
        body: String,
        until: Instant,
    ) -> Result<OutsideResponse, OutsideError> {
        let mut request = Request::builder().method(Method::POST).uri(address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|error| OutsideError::Response(error.into()))?;
        let exchange = async {
            let response = self.0.request(request).await.map_err(cause_of)?;
            let status = response.status().as_u16();
            let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
            let retry_after = retry_after.and_then(|seconds| seconds.parse().ok());
            // The status counts even if the body breaks off.
            let _read_or_not = read(response.into_body(), BODY_READ).await;
            Ok(OutsideResponse { status, retry_after })
        };
        timeout_at(until, exchange).await.unwrap_or(Err(OutsideError::TimedOut))
    }
}

/// Finds out what a failure is about.
fn cause_of(error: hyper_util::client::legacy::Error) -> OutsideError {
    let is_connect = error.is_connect();
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(cause) = source {
        if let Some(failure) = cause.downcast_ref::<ConnectFailure>() {
            return failure.into();
        }
        if let Some(failure) = cause.downcast_ref::<io::Error>()
            && failure.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
        {
            return OutsideError::Tls(error.into());
        }
        source = cause.source();
    }
    match is_connect {
        true => OutsideError::Tls(error.into()),
        false => OutsideError::Response(error.into()),
    }
}

/// No connection.
#[derive(Debug, thiserror::Error)]
enum ConnectFailure {
    #[error("the name can't be resolved")]
    Unknown(io::ErrorKind),
    #[error("the address is not allowed")]
    Refused(AddressRefusal),
    #[error("plain http is only for this machine")]
    Plain,
    #[error("no connection")]
    Connect(io::ErrorKind),
    #[error("no connection in time")]
    TimedOut,
}

impl From<&ConnectFailure> for OutsideError {
    fn from(failure: &ConnectFailure) -> OutsideError {
        match failure {
            ConnectFailure::Unknown(kind) => OutsideError::Unknown((*kind).into()),
            ConnectFailure::Refused(refusal) => OutsideError::Refused(*refusal),
            ConnectFailure::Plain => OutsideError::Plain,
            ConnectFailure::Connect(kind) => OutsideError::Connect(io::Error::from(*kind).into()),
            ConnectFailure::TimedOut => OutsideError::TimedOut,
        }
    }
}

/// Connects to an address only after it was checked.
#[derive(Clone, Copy, Debug)]
struct CheckedConnector {
    rule: AddressRule,
    within: Duration,
}

impl CheckedConnector {
    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, ConnectFailure> {
        let is_plain = uri.scheme_str() != Some("https");
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let addresses: Vec<SocketAddr> = match literal {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => {
                let found = lookup_host((host, port)).await;
                found.map_err(|error| ConnectFailure::Unknown(error.kind()))?.collect()
            }
        };
        if addresses.is_empty() {
            return Err(ConnectFailure::Unknown(io::ErrorKind::NotFound));
        }
        // All of them, because a name with a public and a private address is made to get in.
        for address in &addresses {
            if let Some(refusal) = self.rule.refusal(address.ip()) {
                return Err(ConnectFailure::Refused(refusal));
            }
            if is_plain && !address.ip().to_canonical().is_loopback() {
                return Err(ConnectFailure::Plain);
            }
        }
        let mut last = io::ErrorKind::NotFound;
        for address in addresses.iter().take(ADDRESSES_TRIED) {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // A small request in one packet; without it, only speed is lost.
                    let _set_or_not = stream.set_nodelay(true);
                    return Ok(TokioIo::new(stream));
                }
                Err(error) => last = error.kind(),
            }
        }
        Err(ConnectFailure::Connect(last))
    }
}

impl Service<Uri> for CheckedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectFailure;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<TcpStream>, ConnectFailure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectFailure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = *self;
        Box::pin(async move {
            timeout(connector.within, connector.connect(uri)).await.unwrap_or(Err(ConnectFailure::TimedOut))
        })
    }
}
