//! The Download button: one click, one token, one file.

use actix_web::HttpResponse;
use actix_web::http::header::REFERRER_POLICY;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::files::blocking;
use super::{App, see_other};
use crate::id::FilePath;
use crate::web::error::WebError;
use crate::web::extract::CsrfForm;
use crate::web::issue::DownloadOrder;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The file path.
    file: Option<String>,
    /// The same, percent-encoded, for a path that a form would alter.
    file_encoded: Option<String>,
}

impl Wanted {
    fn path(self) -> Option<FilePath> {
        match (self.file, self.file_encoded) {
            (Some(path), None) => path.parse().ok(),
            (None, Some(encoded)) => percent_decode_str(&encoded).decode_utf8().ok()?.parse().ok(),
            _ => None,
        }
    }
}

/// `POST /download`: 303 to the download service, with a token for the file as it is now.
pub(super) async fn download(app: App, form: CsrfForm<Wanted>) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let path = fields.path().ok_or(WebError::NotFound)?;
    app.throttle.download(&who.account().id, app.administration.clock.now())?;
    let wanted = app.rights.readable(who.account(), path).ok_or(WebError::NotFound)?;
    let shares = app.shares.clone();
    let path = wanted.path().clone();
    let file = blocking(move || shares.file(&path)).await??;
    let version = file.version().to_string();
    let digest = app.digests.of(wanted.path(), &version).await?;
    let order = DownloadOrder {
        digest: digest.as_deref(),
        size: Some(file.version().len),
        version: Some(&version),
        ..DownloadOrder::new(who.account().id.as_str(), wanted.path())
    };
    let administration = &app.administration;
    let now = administration.clock.now();
    let issued = administration.issuer.issue_download(&order, now)?;
    // On record before anybody has it, so that disabling the account can't miss it.
    if !administration.issued.record(&who.account().id, issued.jti, issued.expires_at, now).await? {
        return Err(WebError::NotSignedIn);
    }
    tracing::info!(account = %who.account().id, jti = %issued.jti, file = ?wanted.path(), "token issued");
    let mut answer = see_other(&issued.address);
    // The page that is left need not be told to the download service.
    answer
        .headers_mut()
        .insert(REFERRER_POLICY, actix_web::http::header::HeaderValue::from_static("no-referrer"));
    Ok(answer)
}
