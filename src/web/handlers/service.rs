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

/// The app can do its work. A program asks, so it is told in plain text. What is wrong with download
/// services follows in the text: pages work without them, so a web app is not taken out of service for that.
pub(super) async fn readyz(app: App) -> HttpResponse {
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

async fn readiness(app: &App) -> Result<String, String> {
    let unanswered = |cause: String| {
        tracing::error!(cause, "the account database does not answer");
        "the account database does not answer".to_owned()
    };
    app.health.verdict()?;
    let administration = &app.administration;
    administration.db.ready().await.map_err(|error| unanswered(chain(&error).to_string()))?;
    let now = administration.clock.now();
    let troubles = app.node_watch.troubles(&administration.nodes, &administration.issuer, now).await;
    let troubles = troubles.map_err(|error| unanswered(chain(&error).to_string()))?;
    let waiting = administration.issued.revocations.waiting().await;
    let waiting: i64 = waiting.map_err(|error| unanswered(chain(&error).to_string()))?.values().sum();
    let mut text = String::from("ready\n");
    for trouble in troubles {
        text += &format!("but {trouble}\n");
    }
    if waiting > 0 {
        text += &format!("but {waiting} revocations wait to be delivered\n");
    }
    Ok(text)
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
