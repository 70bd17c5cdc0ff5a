//! The reports of download services, and what an owner sees of them.

use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::bearer::bearer;
use crate::id::LinkId;
use crate::receipt::{REPLY_HEADER, Report};
use crate::web::http::accept::accepts_json;
use crate::web::http::deliveries_part::DeliveriesPart;
use crate::web::http::error::WebError;
use crate::web::http::extract::SignedIn;
use crate::web::http::respond::{AppData, html};

/// The maximum size of a report; two hundred receipts have some 80 KiB.
const MAX_REPORT: usize = 1024 * 1024;

/// The maximum time for a report to arrive.
const REPORT_TIMEOUT: Duration = Duration::from_secs(30);

/// `POST /receipts`: records a report of a download service in another process, which proves itself by its
/// node key. The body is not read before that, and a report about another node is refused.
pub(crate) async fn take(
    app: AppData,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, WebError> {
    let presented = bearer(request.headers()).ok_or(WebError::NodeKeyMissing)?;
    let node = app.services.nodes.of_key(presented).await?.ok_or(WebError::NodeKeyUnknown)?;
    let reading = tokio::time::timeout(REPORT_TIMEOUT, body.to_bytes_limited(MAX_REPORT));
    let body = reading.await.map_err(|_| WebError::Slow)?.map_err(|_| WebError::TooLarge(MAX_REPORT))?;
    let body = body.map_err(|_| WebError::Invalid("the request body ended early"))?;
    let report: Report =
        serde_json::from_slice(&body).map_err(|_| WebError::Invalid("the body is not a report"))?;
    let taken = app.deliveries.accept_report(&report, &node.public_url).await?;
    let said = serde_json::to_string(&taken).unwrap_or_default();
    Ok(HttpResponse::NoContent().insert_header((REPLY_HEADER, said)).finish())
}

/// `GET /links/{link}/deliveries`: who looked at the owner's link and what was delivered, as a part of a page
/// for the script that refreshes it, or as JSON for programs.
pub(crate) async fn deliveries(
    app: AppData,
    request: HttpRequest,
    who: SignedIn,
    link: Path<String>,
) -> Result<HttpResponse, WebError> {
    let found = app
        .deliveries
        .of_link(&who.account().id, &LinkId::from_store(&link))
        .await?
        .ok_or(WebError::NotFound)?;
    let mut answer = match accepts_json(request.headers()) {
        true => HttpResponse::Ok().json(&found),
        false => html(&DeliveriesPart { deliveries: found, now: app.services.clock.now() })?,
    };
    answer.headers_mut().insert(header::VARY, header::HeaderValue::from_static("accept"));
    Ok(answer)
}
