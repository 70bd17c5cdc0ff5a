//! Issuing a download token for a file, for the Download button and the API: it is planned, recorded, and only then
//! signed. From the plan the same token can be signed again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{FilePath, Jti};
use crate::web::http::error::WebError;
use crate::web::http::respond::{AppData, blocking};
use crate::web::identity::AccountId;
use crate::web::revocations::issued::{NewToken, TokenBasis};
use crate::web::shares::rights::Readable;
use crate::web::tokens::issuer::{DownloadTokenRequest, IssuedToken};

/// Everything about a token for a file that isn't said by who asks for it. Contains no secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TokenPlan {
    /// Its unique id.
    pub(crate) jti: Jti,
    /// When it was planned, its `iat`.
    pub(crate) issued_at: Timestamp,
    /// How long it can be redeemed, in seconds.
    pub(crate) lifetime: u64,
    /// The public address of the download service that can redeem it.
    pub(crate) node: String,
    /// The version of the file.
    version: String,
    size: u64,
    digest: Option<String>,
}

/// What who asks for a token says about it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TokenWishes<'a> {
    /// The file name to save as, if different from the file's own.
    pub(crate) name: Option<&'a str>,
    /// Whether a page with a button is shown first.
    pub(crate) confirm: bool,
}

impl TokenPlan {
    /// Plans a token for the file as it is now. `lifetime` is the default one if it is missing.
    pub(crate) async fn make(
        app: &AppData,
        wanted: &Readable,
        node: &str,
        lifetime: Option<Duration>,
    ) -> Result<TokenPlan, WebError> {
        let (shares, path) = (app.shares.clone(), wanted.path().clone());
        let claimed = blocking(move || shares.claim(&path)).await??;
        let digest = app.digests.of(wanted.path(), &claimed.version().to_string()).await?;
        Ok(TokenPlan {
            jti: Jti::random()?,
            issued_at: app.services.clock.now(),
            lifetime: lifetime.unwrap_or(app.services.issuer.lifetime).as_secs(),
            node: node.to_owned(),
            version: claimed.to_string(),
            size: claimed.version().len,
            digest,
        })
    }

    /// Returns when the token expires.
    pub(crate) fn expires_at(&self) -> Timestamp {
        self.issued_at.plus(Duration::from_secs(self.lifetime))
    }

    /// Records the token, which must come before it is signed: then taking the right away can't miss it.
    ///
    /// # Errors
    /// [`WebError::NotFound`] if the account may not have it now, even if an earlier check allowed it.
    pub(crate) async fn record(
        &self,
        app: &AppData,
        account: &AccountId,
        file: &FilePath,
    ) -> Result<(), WebError> {
        let services = &app.services;
        let now = services.clock.now();
        let kid = services.issuer.signer.active_kid(now);
        let basis = TokenBasis { node: &self.node, kid: &kid, link: None };
        let token = NewToken { account, jti: self.jti, file, expires_at: self.expires_at(), basis };
        if !services.issued.record(&token, now).await? {
            return Err(WebError::NotFound);
        }
        Ok(())
    }

    /// Signs the token.
    pub(crate) fn sign(
        &self,
        app: &AppData,
        account: &AccountId,
        file: &FilePath,
        wishes: TokenWishes<'_>,
    ) -> Result<IssuedToken, WebError> {
        let order = DownloadTokenRequest {
            name: wishes.name,
            confirm: wishes.confirm,
            digest: self.digest.as_deref(),
            size: Some(self.size),
            version: Some(&self.version),
            lifetime: Some(Duration::from_secs(self.lifetime)),
            ..DownloadTokenRequest::new(account.as_str(), file)
        };
        let services = &app.services;
        let issuer = services.issuer.for_audience(&self.node);
        Ok(issuer.issue_download_at(self.jti, &order, self.issued_at, services.clock.now())?)
    }
}
