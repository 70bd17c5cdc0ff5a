//! A request for a file, and what comes of it.

use crate::client_address::Caller;
use crate::download::conditions::{Conditions, Part};
use crate::download::ledger::Stream;
use crate::files::{FileVersion, OpenFile};
use crate::secret::Secret;
use crate::token::{Grant, TokenError};

/// A request for a grant's file.
pub(crate) struct Request {
    pub(crate) grant: Grant,
    /// Set if the token has expired: it then redeems nothing, but a redemption may be finished.
    pub(crate) ended: Option<TokenError>,
    pub(crate) conditions: Conditions,
    pub(crate) caller: Caller,
}

/// The result of a request.
pub(crate) enum Outcome {
    /// Bytes, the permission to send them, and the tag to send with them.
    Stream { stream: Stream, file: OpenFile, part: Part, tag: Secret },
    /// 304: the client already has it. Spends nothing.
    NotModified(FileVersion),
}

/// The result of a `HEAD` request.
pub(crate) enum HeadOutcome {
    /// The headers that a `GET` would have.
    Headers { version: FileVersion, part: Part },
    /// 304
    NotModified(FileVersion),
}
