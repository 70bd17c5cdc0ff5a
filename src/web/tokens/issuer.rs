//! Issues tokens: assembles the claims, signs them, and builds the download address.

use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock::Timestamp;
use crate::id::{FilePath, Jti, LinkId};
use crate::secret::RandomError;
use crate::token::claims::{
    ActionClaims, CommandClaims, CommonClaims, DownloadClaims, MAX_REVOKED, ViewClaims,
};
use crate::token::{TokenKind, VIEW_LIFETIME};
use crate::web::tokens::signer::{Signer, SignerError};

/// The claims of the action token that a code stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionClaim {
    /// The account's id.
    pub subject: String,
    /// The purpose of the token.
    pub purpose: String,
    /// The account's state at the time of issue.
    pub state: String,
    /// The token's id.
    pub jti: Jti,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Everything except the unreserved characters of RFC 3986, so that no name changes the meaning of the
/// address.
const NAME_IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Issues tokens of this web app for one download service.
#[derive(Clone)]
pub struct Issuer {
    /// The signer with the private keys.
    pub signer: Arc<Signer>,
    /// The `iss` of all tokens.
    pub issuer: String,
    /// The `aud` of download and command tokens.
    pub audience: String,
    /// The download service's public address, without a trailing slash.
    pub download_url: String,
    /// How long a download can be started, unless the request says otherwise.
    pub lifetime: Duration,
}

/// A path shorter than this, in bytes, fits into any token.
const SURELY_SHORT: usize = 350;

/// The largest integer that every JSON parser represents exactly (RFC 8259 section 6).
const MOST_SIZE: u64 = (1 << 53) - 1;

/// A request for a download token.
#[derive(Clone, Copy, Debug)]
pub struct DownloadTokenRequest<'a> {
    /// The opaque id of the account.
    pub subject: &'a str,
    /// What to download.
    pub content: TokenContent<'a>,
    /// The file name to save as, if different from the file's own.
    pub name: Option<&'a str>,
    /// Whether a page with a button is shown first.
    pub confirm: bool,
    /// Whether it continues the download that its jti began.
    pub again: bool,
    /// The id of the link that it belongs to.
    pub link: Option<&'a LinkId>,
    /// The size that the file or archive must have, in bytes.
    pub size: Option<u64>,
    /// The version that the file must have.
    pub version: Option<&'a str>,
    /// The SHA-256 of that version in base64, as returned by
    /// [`crate::web::shares::digests::FileDigests::of`].
    pub digest: Option<&'a str>,
    /// A lifetime other than the default.
    pub lifetime: Option<Duration>,
}

/// What a token is for.
#[derive(Clone, Copy, Debug)]
pub enum TokenContent<'a> {
    /// A file.
    File(&'a FilePath),
    /// An archive: the SHA-256 of its manifest in base64url.
    Archive(&'a str),
}

impl<'a> DownloadTokenRequest<'a> {
    /// Requests a token for an archive, by the SHA-256 of its manifest in base64url, to be saved as `name`.
    pub const fn archive(subject: &'a str, digest: &'a str, name: &'a str) -> DownloadTokenRequest<'a> {
        let content = TokenContent::Archive(digest);
        DownloadTokenRequest { name: Some(name), ..DownloadTokenRequest::of(subject, content) }
    }

    /// Requests a token for a file, with defaults for everything else.
    pub const fn new(subject: &'a str, file: &'a FilePath) -> DownloadTokenRequest<'a> {
        DownloadTokenRequest::of(subject, TokenContent::File(file))
    }

    const fn of(subject: &'a str, content: TokenContent<'a>) -> DownloadTokenRequest<'a> {
        DownloadTokenRequest {
            subject,
            content,
            name: None,
            confirm: false,
            again: false,
            link: None,
            size: None,
            version: None,
            digest: None,
            lifetime: None,
        }
    }
}

/// A request for a view token. It belongs to the file as it is now.
#[derive(Clone, Copy, Debug)]
pub struct ViewTokenRequest<'a> {
    /// The opaque id of the account whose right it depends on.
    pub subject: &'a str,
    /// The file to view.
    pub file: &'a FilePath,
    /// The size that the file must have, in bytes.
    pub size: Option<u64>,
    /// The version that the file must have.
    pub version: Option<&'a str>,
}

/// A signed token. Anyone who has it can use it, so `Debug` shows only the jti.
#[derive(Clone)]
pub struct IssuedToken {
    /// The token itself.
    pub token: String,
    /// Its unique id.
    pub jti: Jti,
    /// The address of the download or view; empty for tokens of other kinds.
    pub address: String,
    /// Its `exp`.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IssuedToken({}, ..)", self.jti)
    }
}

/// A token couldn't be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The operating system provided no random bytes for a jti.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The token couldn't be signed.
    #[error("cannot sign the token")]
    Signer(#[from] SignerError),
    /// The number of jtis for one command is out of range.
    #[error("one command can revoke 1 to {MAX_REVOKED} tokens")]
    RevokedCount,
}

impl Issuer {
    /// Issues a download token.
    ///
    /// # Errors
    /// See [`IssueError`].
    pub fn issue_download(
        &self,
        order: &DownloadTokenRequest<'_>,
        now: Timestamp,
    ) -> Result<IssuedToken, IssueError> {
        self.issue_download_as(Jti::random()?, order, now)
    }

    /// Issues a download token with this jti, which was recorded before. If several tokens have the same jti,
    /// only one of them can be redeemed.
    ///
    /// # Errors
    /// See [`IssueError`].
    pub fn issue_download_as(
        &self,
        jti: Jti,
        order: &DownloadTokenRequest<'_>,
        now: Timestamp,
    ) -> Result<IssuedToken, IssueError> {
        self.issue_download_at(jti, order, now, now)
    }

    /// Issues the same with an `iat` in the past: the token that was issued then is issued again.
    ///
    /// # Errors
    /// See [`IssueError`].
    pub fn issue_download_at(
        &self,
        jti: Jti,
        order: &DownloadTokenRequest<'_>,
        issued_at: Timestamp,
        now: Timestamp,
    ) -> Result<IssuedToken, IssueError> {
        let common = self.common(&self.audience, jti, order.lifetime.unwrap_or(self.lifetime), issued_at);
        let (file, zip) = match order.content {
            TokenContent::File(file) => (Some(file), None),
            TokenContent::Archive(digest) => (None, Some(digest)),
        };
        let claims = DownloadClaims {
            common: common.clone(),
            sub: order.subject,
            file,
            zip,
            name: order.name,
            confirm: order.confirm,
            again: order.again,
            link: order.link.map(LinkId::as_str),
            // JSON can't represent a larger number exactly; the version also contains the size.
            size: order.size.filter(|size| *size <= MOST_SIZE),
            version: order.version,
            digest: order.digest,
        };
        let token = self.signer.sign(TokenKind::Download, &claims, now)?;
        let name = order.name.or(file.map(FilePath::name)).unwrap_or("download.zip");
        let name = utf8_percent_encode(name, NAME_IN_PATH);
        let address = format!("{}/d/{token}/{name}", self.download_url);
        Ok(IssuedToken { token, jti: common.jti, address, expires_at: common.exp })
    }

    /// Issues a view token with this jti, which was recorded before.
    ///
    /// # Errors
    /// See [`IssueError`].
    pub fn issue_view_as(
        &self,
        jti: Jti,
        order: &ViewTokenRequest<'_>,
        now: Timestamp,
    ) -> Result<IssuedToken, IssueError> {
        let common = self.common(&self.audience, jti, VIEW_LIFETIME, now);
        let claims = ViewClaims {
            common: common.clone(),
            sub: order.subject,
            file: order.file,
            size: order.size.filter(|size| *size <= MOST_SIZE),
            version: order.version,
        };
        let token = self.signer.sign(TokenKind::View, &claims, now)?;
        let name = utf8_percent_encode(order.file.name(), NAME_IN_PATH);
        let address = format!("{}/v/{token}/{name}", self.download_url);
        Ok(IssuedToken { token, jti, address, expires_at: common.exp })
    }

    /// Returns whether a token for the file, with all optional claims, is short enough for download services.
    pub fn can_issue(&self, file: &FilePath, now: Timestamp) -> bool {
        // A control character takes six bytes in a token.
        if file.as_str().len() < SURELY_SHORT {
            return true;
        }
        let (digest, link) = ("0".repeat(44), LinkId::from_store(&"0".repeat(32)));
        let order = DownloadTokenRequest {
            again: true,
            confirm: true,
            digest: Some(&digest),
            link: Some(&link),
            size: Some(MOST_SIZE),
            version: Some("ffffffffffffffff-ffffffffffffffff"),
            ..DownloadTokenRequest::new(link.as_str(), file)
        };
        self.issue_download(&order, now).is_ok()
    }

    /// Signs an action token with these claims; its audience is this web app itself. If several tokens have
    /// the same jti, only one of them can be used.
    ///
    /// # Errors
    /// See [`IssueError`].
    pub fn issue_action_claim(&self, claim: &ActionClaim, now: Timestamp) -> Result<String, IssueError> {
        let ActionClaim { subject, purpose, state, jti, issued_at, expires_at } = claim;
        let (iss, aud) = (self.issuer.as_str(), self.issuer.as_str());
        let common = CommonClaims { iss, aud, jti: *jti, iat: *issued_at, exp: *expires_at };
        Ok(self.signer.sign(
            TokenKind::Action,
            &ActionClaims { common, sub: subject, purpose, state },
            now,
        )?)
    }

    /// Issues a command token that revokes these jtis.
    ///
    /// # Errors
    /// See [`IssueError`].
    pub fn issue_command(&self, revoke: &[Jti], now: Timestamp) -> Result<IssuedToken, IssueError> {
        if !(1..=MAX_REVOKED).contains(&revoke.len()) {
            return Err(IssueError::RevokedCount);
        }
        let common = self.common(&self.audience, Jti::random()?, self.lifetime, now);
        let token =
            self.signer.sign(TokenKind::Command, &CommandClaims { common: common.clone(), revoke }, now)?;
        Ok(IssuedToken { token, jti: common.jti, address: String::new(), expires_at: common.exp })
    }

    /// Issues a readiness probe: a command that revokes only itself. The node's response must prove that it
    /// relates to this jti.
    ///
    /// # Errors
    /// See [`IssueError`].
    pub fn issue_readiness_probe(&self, now: Timestamp) -> Result<IssuedToken, IssueError> {
        let jti = Jti::random()?;
        let common = self.common(&self.audience, jti, self.lifetime, now);
        let token = self.signer.sign(
            TokenKind::Command,
            &CommandClaims { common: common.clone(), revoke: &[jti] },
            now,
        )?;
        Ok(IssuedToken { token, jti, address: String::new(), expires_at: common.exp })
    }

    /// Returns the same issuer for the download service with this public address.
    pub fn for_audience(&self, audience: &str) -> Issuer {
        Issuer { audience: audience.to_owned(), download_url: audience.to_owned(), ..self.clone() }
    }

    fn common<'a>(
        &'a self,
        audience: &'a str,
        jti: Jti,
        lifetime: Duration,
        now: Timestamp,
    ) -> CommonClaims<'a> {
        CommonClaims { iss: &self.issuer, aud: audience, jti, iat: now, exp: now.plus(lifetime) }
    }
}
