//! Counts and times of requests, by service, route and status.

use std::borrow::Cow;
use std::time::Duration;

use actix_http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the classes of durations, in seconds. Downloads may take hours; most pages take milliseconds.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0, 600.0];

/// The metrics of all requests. Clones share them.
#[derive(Clone)]
pub(crate) struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    service: &'static str,
    route: Cow<'static, str>,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    service: &'static str,
    route: Cow<'static, str>,
}

impl Default for HttpMetrics {
    fn default() -> HttpMetrics {
        HttpMetrics {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
        }
    }
}

impl HttpMetrics {
    /// Adds these metrics to those that are published.
    pub(super) fn register(&self, registry: &mut Registry) {
        let requests =
            "Requests by the pattern of their address; status 0 means that the client was gone first";
        registry.register("http_requests", requests, self.requests.clone());
        let seconds = "How long requests took, from their head to the last byte of the response handed on";
        registry.register("http_request_seconds", seconds, self.seconds.clone());
    }

    /// Records a request that is over.
    pub(super) fn record(
        &self,
        service: &'static str,
        route: Cow<'static, str>,
        method: &Method,
        status: u16,
        took: Duration,
    ) {
        let labels = RequestLabels { service, route: route.clone(), method: known(method), status };
        self.requests.get_or_create(&labels).inc();
        self.seconds.get_or_create(&RouteLabels { service, route }).observe(took.as_secs_f64());
    }
}

/// Clients can invent methods, so any other counts as `other`.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
