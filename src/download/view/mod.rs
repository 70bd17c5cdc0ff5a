//! `GET /v/{token}`: shows a file in the browser. Nothing is used up, so nothing is claimed, leased or
//! reported: the token alone says who may see what, and for ten minutes.
//!
//! Like a download, a view is refused and cut off when its token is revoked, and when its file changes.

pub(crate) mod edge;
pub(crate) mod range;
pub(crate) mod registry;
pub(crate) mod serve;
