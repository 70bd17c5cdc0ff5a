//! What is not about people: the way in, the look of the pages, and whether the app works.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, REFERRER_POLICY};
use actix_web::web::Path;

use super::{App, see_other};
use crate::assets;
use crate::clock::WrongClock;
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

/// The app can do its work. Tells of a clock that is wrong, too.
pub(super) async fn readyz(app: App) -> Result<HttpResponse, WebError> {
    let administration = &app.administration;
    administration.db.ready().await?;
    let text = match administration.clock.wrong(administration.leeway) {
        Some(wrong) => format!("ready\nproblem: {wrong}; {}\n", WrongClock::REMEDY),
        None => "ready\n".to_owned(),
    };
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(text))
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
