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

/// The app can do its work. What is wrong with the clock and with download services follows in the text: pages work
/// without them, so a web app is not taken out of service for that.
pub(super) async fn readyz(app: App) -> Result<HttpResponse, WebError> {
    let administration = &app.administration;
    administration.db.ready().await?;
    let now = administration.clock.now();
    let troubles = app.node_watch.troubles(&administration.nodes, &administration.issuer, now).await?;
    let waiting: i64 = administration.issued.revocations.waiting().await?.values().sum();
    let mut text = String::from("ready\n");
    if let Some(wrong) = administration.clock.wrong(administration.leeway) {
        text += &format!("but {wrong}; {}\n", WrongClock::REMEDY);
    }
    for trouble in troubles {
        text += &format!("but {trouble}\n");
    }
    if waiting > 0 {
        text += &format!("but {waiting} revocations wait to be delivered\n");
    }
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(text))
}

/// The public keys. May be kept for twenty seconds: a key that is taken out must be refused everywhere
/// within a minute, and download services ask every twenty.
pub(super) async fn jwks(app: App) -> HttpResponse {
    let administration = &app.administration;
    HttpResponse::Ok()
        .content_type("application/jwk-set+json")
        .insert_header((CACHE_CONTROL, "public, max-age=20"))
        .body(administration.issuer.signer.jwks(administration.clock.now()))
}
