//! What is not about people: the way in, the look of the pages, and whether the app works.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, REFERRER_POLICY, RETRY_AFTER};
use actix_web::web::Path;

use super::{App, see_other};
use crate::assets;
use crate::telemetry::chain;
use crate::web::error::WebError;

pub(super) async fn home() -> HttpResponse {
    see_other("/files/")
}

pub(super) async fn asset(path: Path<(String, String)>) -> Result<HttpResponse, WebError> {
    let (hash, name) = path.into_inner();
    let asset = assets::find(&hash, &name).ok_or(WebError::NotFound)?;
    Ok(HttpResponse::Ok()
        .content_type(asset.content_type)
        .insert_header((CACHE_CONTROL, assets::CACHE_FOR_EVER))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .body(asset.bytes))
}

/// The process is up.
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// The app can do its work. A program asks, so it is told in plain text.
pub(super) async fn readyz(app: App) -> HttpResponse {
    let verdict = match app.health.verdict() {
        Ok(()) => app.administration.db.ready().await.map_err(|error| {
            tracing::error!(cause = chain(&error), "the account database does not answer");
            "the account database does not answer".to_owned()
        }),
        ill => ill,
    };
    let (mut answer, text) = match verdict {
        Ok(()) => (HttpResponse::Ok(), "ready\n".to_owned()),
        Err(why) => {
            let mut answer = HttpResponse::ServiceUnavailable();
            answer.insert_header((RETRY_AFTER, "5"));
            (answer, format!("{why}\n"))
        }
    };
    answer.content_type("text/plain; charset=utf-8").body(text)
}

/// The public keys. May be kept for five minutes: a key is published for longer than that before
/// anything relies on its absence, and an unknown one is asked for at once.
pub(super) async fn jwks(app: App) -> HttpResponse {
    let administration = &app.administration;
    HttpResponse::Ok()
        .content_type("application/jwk-set+json")
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .body(administration.issuer.signer.jwks(administration.clock.now()))
}
