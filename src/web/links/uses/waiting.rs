//! Presses that wait for a transaction.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::id::{FilePath, LinkId, RecipientId};
use crate::web::db::groups::Groups;
use crate::web::identity::AccountId;
use crate::web::links::progress::Visitor;
use crate::web::links::uses::request::{UseDecision, UseError, UseRequest};
use crate::web::revocations::issued::TokenBasis;

/// The presses that are waiting to be decided together. Clones share them.
#[derive(Clone, Default)]
pub struct WaitingPresses(pub(in crate::web::links) Groups<WaitingPress, Result<UseDecision, Arc<UseError>>>);

/// A [`UseRequest`] that outlives its request.
pub(in crate::web::links) struct WaitingPress {
    pub(in crate::web::links) recipient: RecipientId,
    /// When the button was pressed.
    pub(in crate::web::links) now: Timestamp,
    owner: AccountId,
    named: bool,
    visitor: Visitor,
    file: FilePath,
    size: u64,
    version: String,
    expires_at: Timestamp,
    node: String,
    kid: String,
    link: Option<(LinkId, i64)>,
}

impl WaitingPress {
    pub(in crate::web::links) fn new(press: &UseRequest<'_>, now: Timestamp) -> WaitingPress {
        WaitingPress {
            recipient: press.recipient.clone(),
            now,
            owner: press.owner.clone(),
            named: press.named,
            visitor: press.visitor.clone(),
            file: press.file.clone(),
            size: press.size,
            version: press.version.to_owned(),
            expires_at: press.expires_at,
            node: press.basis.node.to_owned(),
            kid: press.basis.kid.to_owned(),
            link: press.basis.link.map(|(link, terms)| (link.clone(), terms)),
        }
    }

    pub(in crate::web::links) fn request(&self) -> UseRequest<'_> {
        UseRequest {
            owner: &self.owner,
            recipient: &self.recipient,
            named: self.named,
            visitor: &self.visitor,
            file: &self.file,
            size: self.size,
            version: &self.version,
            expires_at: self.expires_at,
            basis: TokenBasis {
                node: &self.node,
                kid: &self.kid,
                link: self.link.as_ref().map(|(link, terms)| (link, *terms)),
            },
        }
    }
}
