//! Addresses that need no login: assets, public keys, and whether the app works.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, REFERRER_POLICY, RETRY_AFTER, VARY,
};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};

use crate::assets;
use crate::brand::LOGO_POLICY;
use crate::clock::WrongClock;
use crate::telemetry::chain;
use crate::web::http::compressed::accepts_gzip;
use crate::web::http::error::WebError;
use crate::web::http::respond::{AppData, see_other};

/// `GET /files`
pub(crate) async fn home() -> HttpResponse {
    see_other("/files/")
}

pub(crate) async fn asset(
    app: AppData,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, WebError> {
    let (hash, name) = path.into_inner();
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CACHE_CONTROL, assets::CACHE_FOR_EVER))
        .insert_header((REFERRER_POLICY, "no-referrer"));
    if let Some(file) = app.brand.file(&hash, &name) {
        if file.is_picture() {
            answer.insert_header((CONTENT_SECURITY_POLICY, LOGO_POLICY));
        }
        return Ok(answer.content_type(file.content_type).body(file.bytes.clone()));
    }
    let asset = assets::find(&hash, &name).ok_or(WebError::NotFound)?;
    answer.content_type(asset.content_type);
    match asset.gzip.as_ref().filter(|_| accepts_gzip(request.headers())) {
        Some(gzip) => Ok(answer
            .insert_header((CONTENT_ENCODING, "gzip"))
            .insert_header((VARY, "accept-encoding"))
            .body(gzip.clone())),
        // The middleware says that the answer varies.
        None => Ok(answer.body(asset.bytes)),
    }
}

/// The icon at the address where browsers look for it without reading a page.
pub(crate) async fn favicon() -> HttpResponse {
    HttpResponse::Ok()
        .content_type(assets::FAVICON.content_type)
        .insert_header((CACHE_CONTROL, "public, max-age=86400"))
        .body(assets::FAVICON.bytes)
}

/// Tells search engines to index nothing.
pub(crate) async fn robots() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("User-agent: *\nDisallow: /\n")
}

/// The address to which password managers send people (W3C, A Well-Known URL for Changing Passwords).
pub(crate) async fn change_password() -> HttpResponse {
    see_other("/account")
}

/// Responds that the process is up.
pub(crate) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// Responds whether the app can do its work, in plain text for programs. Problems of download services are
/// only named in the text: pages work without them, so a web app is not taken out of service for them.
pub(crate) async fn readyz(app: AppData) -> HttpResponse {
    let (mut answer, text) = match readiness(&app).await {
        Ok(text) => (HttpResponse::Ok(), text),
        Err(why) => {
            let mut answer = HttpResponse::ServiceUnavailable();
            answer.insert_header((RETRY_AFTER, "5"));
            (answer, format!("{why}\n"))
        }
    };
    answer.content_type("text/plain; charset=utf-8").body(text)
}

async fn readiness(app: &AppData) -> Result<String, String> {
    let unanswered = |cause: String| {
        tracing::error!(cause, "the account database does not respond");
        "the account database does not respond".to_owned()
    };
    app.health.verdict()?;
    let services = &app.services;
    services.db.ready().await.map_err(|error| unanswered(chain(&error).to_string()))?;
    let now = services.clock.now();
    let troubles = app.nodes.troubles(&services.nodes, &services.issuer, now).await;
    let troubles = troubles.map_err(|error| unanswered(chain(&error).to_string()))?;
    let waiting = services.issued.revocations.waiting().await;
    let waiting: i64 = waiting.map_err(|error| unanswered(chain(&error).to_string()))?.values().sum();
    let mut text = String::from("ready\n");
    if let Some(wrong) = services.clock.wrong(services.leeway) {
        text += &format!("but {wrong}; {}\n", WrongClock::REMEDY);
    }
    for trouble in troubles {
        text += &format!("but {trouble}\n");
    }
    match waiting {
        ..=0 => {}
        1 => text += "but 1 revocation is waiting to be delivered\n",
        count => text += &format!("but {count} revocations are waiting to be delivered\n"),
    }
    Ok(text)
}

/// Responds with the public keys. They may be cached for twenty seconds: a removed key must be refused
/// everywhere within a minute, and download services ask every twenty seconds.
pub(crate) async fn jwks(app: AppData) -> HttpResponse {
    let services = &app.services;
    HttpResponse::Ok()
        .content_type("application/jwk-set+json")
        .insert_header((CACHE_CONTROL, "public, max-age=20"))
        .body(services.issuer.signer.jwks(services.clock.now()))
}
