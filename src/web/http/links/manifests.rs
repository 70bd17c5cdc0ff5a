//! The manifests of archives, for download services.

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};

use crate::archive::{ManifestProvider, digest_from_text};
use crate::bearer::bearer;
use crate::web::http::error::WebError;
use crate::web::http::respond::AppData;

/// `GET /manifests/{digest}`: the text of a manifest, for a download service in another process, which proves
/// itself by its node key.
pub(crate) async fn manifest(
    app: AppData,
    request: HttpRequest,
    digest: Path<String>,
) -> Result<HttpResponse, WebError> {
    let presented = bearer(request.headers()).ok_or(WebError::NodeKeyMissing)?;
    app.services.nodes.of_key(presented).await?.ok_or(WebError::NodeKeyUnknown)?;
    let digest = digest_from_text(&digest).ok_or(WebError::NotFound)?;
    let found = app.archives.manifest(&digest).await;
    let text = found.map_err(|error| WebError::Unavailable(error.into()))?.ok_or(WebError::NotFound)?;
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(text))
}
