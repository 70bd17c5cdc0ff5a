//! Who sends an upload: an account, or a guest of a file request. What a guest sends counts against the quota
//! of the account that asked for it, but belongs to the guest while it is on its way.

use crate::id::{GuestId, RequestId};
use crate::web::audit::Actor;
use crate::web::identity::AccountId;

/// The guest of a file request who sends an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadGuest {
    /// The guest.
    pub id: GuestId,
    /// The request.
    pub request: RequestId,
}

/// Who an upload belongs to: nobody else finds it, not even the account that asked a guest for files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadOwner {
    /// An account.
    Account(AccountId),
    /// A guest of a file request.
    Guest(GuestId),
}

impl From<&AccountId> for UploadOwner {
    fn from(account: &AccountId) -> UploadOwner {
        UploadOwner::Account(account.clone())
    }
}

impl From<&UploadGuest> for UploadOwner {
    fn from(guest: &UploadGuest) -> UploadOwner {
        UploadOwner::Guest(guest.id.clone())
    }
}

/// Who sends an upload, and whose quota it counts against.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Who is sending it and from where, for the audit log.
    pub actor: Actor,
    /// The account whose quota it counts against.
    pub account: AccountId,
    /// The guest of one of the account's file requests; `None` if the account itself sends it.
    pub guest: Option<UploadGuest>,
}

impl From<&Actor> for Sender {
    fn from(actor: &Actor) -> Sender {
        Sender { account: AccountId::from_store(&actor.id), actor: actor.clone(), guest: None }
    }
}

impl From<&Sender> for Sender {
    fn from(sender: &Sender) -> Sender {
        sender.clone()
    }
}

impl Sender {
    /// Returns who its uploads belong to.
    pub fn owner(&self) -> UploadOwner {
        self.guest.as_ref().map_or_else(|| (&self.account).into(), UploadOwner::from)
    }
}
