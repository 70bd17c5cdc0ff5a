//! A request for a file, and what comes of it.

use crate::client_address::RequestClient;
use crate::download::conditions::{Conditions, RequestedPart};
use crate::download::content::Content;
use crate::download::ledger::Stream;
use crate::files::FileVersion;
use crate::secret::Secret;
use crate::token::{Grant, TokenError};

/// A request for a grant's file.
pub(crate) struct Request {
    pub(crate) grant: Grant,
    /// Set if the token has expired: it then redeems nothing, but a redemption may be finished.
    pub(crate) ended: Option<TokenError>,
    pub(crate) conditions: Conditions,
    pub(crate) caller: RequestClient,
}

/// The result of a request.
pub(crate) enum RedeemOutcome {
    /// Bytes, the permission to send them, the tag to send with them, and whether this request redeemed the
    /// token.
    Stream { stream: Stream, content: Content, part: RequestedPart, tag: Secret, is_first: bool },
    /// 304: the client already has it. Spends nothing.
    NotModified(FileVersion),
}

/// The result of a `HEAD` request.
pub(crate) enum HeadOutcome {
    /// The headers that a `GET` would have.
    Headers { version: FileVersion, part: RequestedPart },
    /// 304
    NotModified(FileVersion),
}
