//! A press of a download button, and what can become of it.

use crate::clock::Timestamp;
use crate::id::{FilePath, Jti, RecipientId};
use crate::secret::RandomError;
use crate::web::db::QueryError;
use crate::web::identity::AccountId;
use crate::web::links::progress::Visitor;
use crate::web::revocations::issued::TokenBasis;

/// A press of the download button.
#[derive(Clone, Copy, Debug)]
pub struct UseRequest<'a> {
    /// The account that created the link.
    pub owner: &'a AccountId,
    /// The recipient's id.
    pub recipient: &'a RecipientId,
    /// Whether the recipient has an email address: then uses belong to the recipient, whichever browser they
    /// use.
    pub named: bool,
    /// Who pressed the button; identifies the downloads that they may continue.
    pub visitor: &'a Visitor,
    /// The requested file, or the path of an archive of all files (see [`archive_path`](crate::web::shares::archive_path)).
    pub file: &'a FilePath,
    /// The size of the file or archive in bytes.
    pub size: u64,
    /// The file's version, or the digest of the archive's manifest.
    pub version: &'a str,
    /// When a new token expires.
    pub expires_at: Timestamp,
    /// What the token depends on, including the version of the link's terms that the visitor fulfilled.
    pub basis: TokenBasis<'a>,
}

/// The result of a press of the download button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UseDecision {
    /// A new token with this jti may be issued.
    Token(Jti),
    /// The existing token with this jti may be issued again, with this unchanged expiry.
    Again(Jti, Timestamp),
    /// An unfinished download may be continued.
    Continue(Continuation),
    /// All uses are taken.
    UsedUp,
    /// The link is paused, revoked or expired, or its owner may no longer share it.
    Closed,
}

/// A download that may be continued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// The jti of the token that was redeemed.
    pub jti: Jti,
    /// The file's size when the download began, in bytes.
    pub size: u64,
    /// The file's version when the download began; empty if unknown.
    pub version: String,
    /// When the download service's lease ends.
    pub until: Timestamp,
}

/// A use could not be reserved.
#[derive(Debug, thiserror::Error)]
pub enum UseError {
    /// The database failed; nothing was reserved.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The operating system gave no random bytes for an id.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl UseError {
    /// Whether the database refused this press, and may not refuse another.
    pub(in crate::web::links) fn is_refusal(&self) -> bool {
        matches!(self, UseError::Query(error) if error.is_refusal())
    }
}

impl From<sqlx::Error> for UseError {
    fn from(error: sqlx::Error) -> UseError {
        QueryError::from(error).into()
    }
}
