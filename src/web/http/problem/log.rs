//! The log lines about refused and failed requests. A cause is logged here and nowhere else. The address may
//! contain a token, so the line names the route instead.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;

use crate::telemetry::chain;
use crate::web::http::error::WebError;
use crate::web::http::tus_error::TusError;
use crate::web::shares::error::StorageError;

/// Logs why a request is answered with this status.
pub(crate) fn log(request: &HttpRequest, status: StatusCode, error: Option<&actix_web::Error>) {
    let known = error.and_then(|error| error.as_error::<WebError>());
    match known {
        // An expected answer, not a failure.
        Some(
            WebError::LinkClosed(_)
            | WebError::RequestClosed(_)
            | WebError::Press(_)
            | WebError::SignUpClosed { .. }
            | WebError::StillPreparing { .. }
            | WebError::NodeKeyMissing
            | WebError::NodeKeyUnknown,
        ) => return,
        Some(WebError::Tus(error)) => return log_upload(request, status, error),
        _ => {}
    }
    let route = request.match_pattern().unwrap_or_default();
    let method = request.method();
    let mut text = String::new();
    if let Some(error) = error {
        text = error.to_string();
        // `actix_web::Error` doesn't expose the causes of the error in it; the `WebError` itself does.
        let mut cause = known.and_then(std::error::Error::source);
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.ends_with(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            cause = error.source();
        }
    }
    let is_unreadable =
        matches!(known, Some(WebError::Storage(StorageError::Unreadable(_) | StorageError::Forbidden(_))));
    if is_unreadable {
        // Not the client's fault: an operator has to fix the permissions of the path in the text.
        tracing::warn!(%method, route, status = status.as_u16(), "request failed: {text}");
    } else if status.is_server_error() {
        tracing::error!(%method, route, status = status.as_u16(), "request failed: {text}");
    } else {
        tracing::debug!(%method, route, status = status.as_u16(), "request refused: {text}");
    }
}

fn log_upload(request: &HttpRequest, status: StatusCode, error: &TusError) {
    let TusError::Storage(error) = error else { return };
    let (method, status) = (request.method(), status.as_u16());
    let cause = chain(error);
    if status >= 500 {
        tracing::error!(%method, status, "upload failed: {cause}");
    } else {
        tracing::debug!(%method, status, "upload refused: {cause}");
    }
}
