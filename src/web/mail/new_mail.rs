//! A mail to send: what it is about, to whom it goes, and what else it says.

use serde::{Deserialize, Serialize};

use crate::id::{Jti, RecipientId};
use crate::secret::RandomError;
use crate::web::identity::{AccountId, Email};
use crate::web::mail::request_origin::RequestOrigin;
use crate::words::words;

words! {
    /// What a mail is about.
    pub enum MailKind {
        /// Somebody asked for an account with this address: activates it, or says that there is one.
        SignUp = "sign-up",
        /// Somebody forgot the password of an account with this address, if there is one.
        Forgot = "forgot",
        /// An administrator invites the owner of this address.
        Invite = "invite",
        /// The owner of an account wants to have this address from now on.
        ConfirmAddress = "confirm-address",
        /// An account that had this address has another one now.
        AddressChanged = "address-changed",
        /// The password of the account was changed.
        PasswordChanged = "password-changed",
        /// The account was deleted.
        AccountDeleted = "account-deleted",
        /// Somebody took a file through a link of the account.
        Taken = "taken",
        /// Somebody made a link for the owner of this address.
        Link = "link",
        /// The code without which a link can't be taken.
        LinkCode = "link-code",
        /// An administrator tries whether mails arrive.
        Test = "test",
    }
}

impl MailKind {
    /// Returns whether it goes before links and notices.
    pub const fn is_urgent(self) -> bool {
        match self {
            MailKind::Taken | MailKind::Link => false,
            MailKind::SignUp
            | MailKind::Forgot
            | MailKind::Invite
            | MailKind::ConfirmAddress
            | MailKind::AddressChanged
            | MailKind::PasswordChanged
            | MailKind::AccountDeleted
            | MailKind::LinkCode
            | MailKind::Test => true,
        }
    }

    /// Returns whether it is a notice that its reader can turn off. Mails that someone requested, that contain
    /// a link or a code, or that concern the security of an account are not.
    pub const fn can_be_turned_off(self) -> bool {
        match self {
            MailKind::Taken => true,
            MailKind::SignUp
            | MailKind::Forgot
            | MailKind::Invite
            | MailKind::ConfirmAddress
            | MailKind::AddressChanged
            | MailKind::PasswordChanged
            | MailKind::AccountDeleted
            | MailKind::Link
            | MailKind::LinkCode
            | MailKind::Test => false,
        }
    }

    /// Whether only the newest mail of this kind to an address matters.
    pub const fn replaces_older(self) -> bool {
        matches!(self, MailKind::SignUp | MailKind::Forgot)
    }
}

/// A mail to send.
#[derive(Clone, Debug)]
pub struct NewMail {
    /// What it is about.
    pub kind: MailKind,
    /// To whom it goes.
    pub recipient: Email,
    /// The jti of the action link in it, if there will be one, the same at every attempt; or that of the
    /// download that it tells of.
    pub jti: Jti,
    /// What else it says.
    pub details: MailDetails,
}

impl NewMail {
    /// A mail with a jti of its own.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn new(kind: MailKind, recipient: &Email, details: MailDetails) -> Result<NewMail, RandomError> {
        Ok(NewMail { kind, recipient: recipient.clone(), jti: Jti::random()?, details })
    }
}

/// What else a mail says. Only what can't be looked up when it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MailDetails {
    /// The account's id, where the address alone does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// What to call the recipient, where no account tells it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another e-mail address that the mail speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Who caused it, such as the administrator who invites.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The id of the recipient of a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<RecipientId>,
    /// From where it was asked for, where its owner is to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<RequestOrigin>,
}

impl MailDetails {
    /// About that account.
    pub fn of(account: &AccountId) -> MailDetails {
        MailDetails { account: Some(account.as_str().to_owned()), ..MailDetails::default() }
    }
}
