//! What download services tell, and what an owner sees of it.

use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::id::LinkId;
use crate::receipt::{Report, TAKEN_HEADER};
use crate::web::deliveries::intake::TakeError;
use crate::web::http::error::WebError;
use crate::web::http::extract::SignedIn;
use crate::web::http::links::deliveries_page::DeliveriesPart;
use crate::web::http::respond::{App, html};

/// Most bytes of a report; two hundred receipts have some 80 KiB.
const MAX_REPORT: usize = 1024 * 1024;

/// How long a report may take to arrive.
const REPORT_TIMEOUT: Duration = Duration::from_secs(30);

/// `POST /receipts`: a report of a download service in another process, which shows its node key.
/// Nothing of the body is read before that, and nothing believed that is another node's.
pub(crate) async fn take(app: App, request: HttpRequest, body: Payload) -> Result<HttpResponse, WebError> {
    let Some(presented) = bearer(request.headers()) else {
        let mut answer = HttpResponse::Unauthorized();
        answer.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        return Ok(refused(answer));
    };
    let Some(node) = app.administration.nodes.of_key(presented).await? else {
        return Ok(refused(HttpResponse::Forbidden()));
    };
    let reading = tokio::time::timeout(REPORT_TIMEOUT, body.to_bytes_limited(MAX_REPORT));
    let body = reading.await.map_err(|_| WebError::Slow)?.map_err(|_| WebError::TooLarge(MAX_REPORT))?;
    let body = body.map_err(|_| WebError::Invalid("the body broke off"))?;
    let report: Report =
        serde_json::from_slice(&body).map_err(|_| WebError::Invalid("the body is no report"))?;
    match app.receipts.take_in(&report, &node.public_url).await {
        Err(TakeError::Foreign) => Ok(refused(HttpResponse::Forbidden())),
        taken => {
            let said = serde_json::to_string(&taken?).unwrap_or_default();
            Ok(HttpResponse::NoContent().insert_header((TAKEN_HEADER, said)).finish())
        }
    }
}

fn refused(mut answer: actix_web::HttpResponseBuilder) -> HttpResponse {
    answer.content_type("text/plain; charset=utf-8").body("this is no node key\n")
}

/// RFC 6750 section 2.1; the scheme in any case.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim_matches(' '))
}

/// `GET /links/{link}/deliveries`: who looked at the owner's link and what was delivered; a part of a
/// page for the script that refreshes it, JSON for programs.
pub(crate) async fn deliveries(
    app: App,
    request: HttpRequest,
    who: SignedIn,
    link: Path<String>,
) -> Result<HttpResponse, WebError> {
    let found = app
        .receipts
        .of_link(&who.account().id, &LinkId::from_store(&link))
        .await?
        .ok_or(WebError::NotFound)?;
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let mut answer = match accept.is_some_and(|accept| accept.contains("application/json")) {
        true => HttpResponse::Ok().json(&found),
        false => html(&DeliveriesPart { deliveries: found, now: app.administration.clock.now() })?,
    };
    answer.headers_mut().insert(header::VARY, header::HeaderValue::from_static("accept"));
    Ok(answer)
}
