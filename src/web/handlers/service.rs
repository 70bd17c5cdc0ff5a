//! What is not about people: the way in, the look of the pages, and whether the app works.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, REFERRER_POLICY};
use actix_web::web::Path;

use super::{App, see_other};
use crate::assets;
use crate::web::problem::WebError;

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

/// The app can do its work.
pub(super) async fn readyz(app: App) -> Result<HttpResponse, WebError> {
    app.db.ready().await?;
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ready\n"))
}
