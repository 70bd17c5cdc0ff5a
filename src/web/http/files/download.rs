//! The Download button: one click, one token, one file.

use actix_web::HttpResponse;
use serde::Deserialize;

use crate::id::{FilePath, Jti};
use crate::web::http::error::WebError;
use crate::web::http::extract::CsrfForm;
use crate::web::http::paths::decoded_path;
use crate::web::http::respond::{AppData, blocking, redirect_to_download};
use crate::web::revocations::issued::{NewToken, TokenBasis};
use crate::web::tokens::issuer::DownloadTokenRequest;

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
    let shares = app.shares.clone();
    let path = wanted.path().clone();
    let claimed = blocking(move || shares.claim(&path)).await??;
    let digest = app.digests.of(wanted.path(), &claimed.version().to_string()).await?;
    let version = claimed.to_string();
    let order = DownloadTokenRequest {
        digest: digest.as_deref(),
        size: Some(claimed.version().len),
        version: Some(&version),
        ..DownloadTokenRequest::new(who.account().id.as_str(), wanted.path())
    };
    let services = &app.services;
    let now = services.clock.now();
    let node = app.node_for_token().await?;
    let (jti, kid) = (Jti::random()?, services.issuer.signer.active_kid(now));
    let token = NewToken {
        account: &who.account().id,
        jti,
        file: wanted.path(),
        expires_at: now.plus(services.issuer.lifetime),
        basis: TokenBasis { node: &node.public_url, kid: &kid, link: None },
    };
    // Recorded before it is issued, so that revoking the right can't miss it.
    if !services.issued.record(&token, now).await? {
        return Err(WebError::NotFound);
    }
    let issued = services.issuer.for_audience(&node.public_url).issue_download_as(jti, &order, now)?;
    tracing::info!(account = %who.account().id, jti = %issued.jti, file = ?wanted.path(), "token issued");
    Ok(redirect_to_download(&issued))
}
