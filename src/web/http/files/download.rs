//! The Download button: one click, one token, one file.

use actix_web::HttpResponse;
use serde::Deserialize;

use crate::id::FilePath;
use crate::web::http::error::WebError;
use crate::web::http::extract::CsrfForm;
use crate::web::http::paths::decoded_path;
use crate::web::http::respond::{AppData, redirect_to_download};
use crate::web::http::token_issuing::{TokenPlan, TokenWishes};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DownloadForm {
    /// The file path.
    file: Option<String>,
    /// The file path percent-encoded, if a form would alter it.
    file_encoded: Option<String>,
}

impl DownloadForm {
    pub(super) fn path(self) -> Option<FilePath> {
        match (self.file, self.file_encoded) {
            (Some(path), None) => path.parse().ok(),
            (None, Some(encoded)) => decoded_path(&encoded),
            _ => None,
        }
    }
}

/// `POST /download`: 303 to the download service, with a token for the file as it is now.
pub(crate) async fn download(app: AppData, form: CsrfForm<DownloadForm>) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let path = fields.path().ok_or(WebError::NotFound)?;
    app.throttle.download(&who.account().id, app.services.clock.now())?;
    let wanted = app.rights.readable(who.account(), path).ok_or(WebError::NotFound)?;
    let account = &who.account().id;
    let node = app.node_for_token().await?;
    let plan = TokenPlan::make(&app, &wanted, &node.public_url, None).await?;
    plan.record(&app, account, wanted.path()).await?;
    let issued = plan.sign(&app, account, wanted.path(), TokenWishes::default())?;
    tracing::info!(account = %who.account().id, jti = %issued.jti, file = ?wanted.path(), "token issued");
    Ok(redirect_to_download(&issued))
}
