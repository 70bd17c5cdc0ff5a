//! The access log: one line for each request when it is over, and the counts and times of requests.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_http::{HttpMessage, Method, Request, Response, StatusCode};
use tracing::Level;

use crate::access::AccessNote;
use crate::client_address::ClientAddresses;
use crate::server::http_metrics::HttpMetrics;

/// The access log of one service. Clones share it.
#[derive(Clone)]
pub(crate) struct AccessLog(Arc<Inner>);

struct Inner {
    /// `web`, `download` or `metrics`.
    service: &'static str,
    /// How the addresses of clients are found.
    addresses: ClientAddresses,
    /// The metrics of all services.
    metrics: HttpMetrics,
}

/// A request. Dropping it, when its response was handed on or its client is gone, writes its line.
pub(super) struct AccessEntry {
    log: AccessLog,
    method: Method,
    /// The client; `None` if no line is written.
    address: Option<IpAddr>,
    began: Instant,
    /// `None` until there is a response.
    status: Option<StatusCode>,
    note: AccessNote,
    /// Bytes of the body that passed through here.
    bytes: u64,
    /// Whether the body was handed on to its end.
    whole: bool,
}

impl AccessLog {
    /// Creates the log of a service, whose clients have these `addresses`.
    pub(crate) fn new(service: &'static str, addresses: ClientAddresses, metrics: HttpMetrics) -> AccessLog {
        AccessLog(Arc::new(Inner { service, addresses, metrics }))
    }

    /// Begins the entry of a request.
    pub(super) fn begin(&self, request: &Request) -> AccessEntry {
        let address = || self.0.addresses.of(request.peer_addr().map(|peer| peer.ip()), request.headers());
        let is_written = tracing::enabled!(target: "oncelink::access", Level::INFO);
        AccessEntry {
            log: self.clone(),
            method: request.method().clone(),
            address: is_written.then(address),
            began: Instant::now(),
            status: None,
            note: AccessNote::default(),
            bytes: 0,
            whole: false,
        }
    }
}

impl AccessEntry {
    /// Records the response.
    pub(super) fn answered<B>(&mut self, response: &mut Response<B>) {
        self.status = Some(response.status());
        if let Some(note) = response.extensions_mut().remove::<AccessNote>() {
            self.note = note;
        }
    }

    /// Records that bytes of the body were handed on.
    pub(super) const fn sent(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Records that the body was handed on to its end.
    pub(super) const fn ended(&mut self) {
        self.whole = true;
    }

    fn outcome(&self) -> &'static str {
        match self.status {
            None => "gone",
            _ if !self.note.outcome.is_empty() => self.note.outcome,
            Some(status) if status.is_success() => "ok",
            Some(status) if status.is_redirection() => "redirected",
            Some(status) if status.is_client_error() => "refused",
            Some(_) => "failed",
        }
    }
}

impl Drop for AccessEntry {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let route = match std::mem::take(&mut self.note.route) {
            route if route.is_empty() => Cow::Borrowed("other"),
            route => route,
        };
        let status = self.status.map_or(0, |status| status.as_u16());
        let Inner { service, metrics, .. } = &*self.log.0;
        metrics.record(service, route.clone(), &self.method, status, took);
        let Some(address) = self.address else { return };
        let bytes = self.note.handed_on.as_ref().map_or(self.bytes, |handed_on| handed_on.bytes());
        tracing::info!(
            target: "oncelink::access",
            service,
            method = %self.method,
            route = &*route,
            status,
            outcome = self.outcome(),
            jti = self.note.jti.map(tracing::field::display),
            %address,
            bytes,
            seconds = took.as_secs_f64(),
            whole = self.whole,
            "request"
        );
    }
}
