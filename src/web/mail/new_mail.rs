//! A mail to send: what it is about, its recipient, and further details.

use serde::{Deserialize, Serialize};

use crate::id::{Jti, RecipientId};
use crate::secret::RandomError;
use crate::web::identity::{AccountId, Email};
use crate::web::mail::request_origin::RequestOrigin;
use crate::words::words;

words! {
    /// What a mail is about.
    pub enum MailKind {
        /// Someone signed up with this address: activates the account, or says that one already exists.
        SignUp = "sign-up",
        /// Someone forgot the password of the account with this address, if there is one.
        Forgot = "forgot",
        /// An administrator invites the owner of this address.
        Invite = "invite",
        /// The owner of an account wants to change to this address.
        ConfirmAddress = "confirm-address",
        /// The account that had this address now has another one.
        AddressChanged = "address-changed",
        /// The password of the account was changed.
        PasswordChanged = "password-changed",
        /// The account was deleted.
        AccountDeleted = "account-deleted",
        /// Someone downloaded a file through a link of the account.
        Taken = "taken",
        /// Guests sent files to a file request of the account.
        Received = "received",
        /// Someone created a link for the owner of this address.
        Link = "link",
        /// The code that a link requires.
        LinkCode = "link-code",
        /// A webhook of the account was disabled, because it doesn't work.
        WebhookDisabled = "webhook-disabled",
        /// An administrator tests whether mails arrive.
        Test = "test",
    }
}

impl MailKind {
    /// Returns whether it goes before links and notices.
    pub const fn is_urgent(self) -> bool {
        match self {
            MailKind::Taken | MailKind::Received | MailKind::Link | MailKind::WebhookDisabled => false,
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

    /// Returns whether it is a notice that its reader can turn off for all causes at once. Mails that someone
    /// requested, that contain a link or a code, or that concern the security of an account are not; those about
    /// received files are turned off on the page of each file request.
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
            | MailKind::Received
            | MailKind::Link
            | MailKind::LinkCode
            | MailKind::WebhookDisabled
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
    /// The address that it is sent to.
    pub recipient: Email,
    /// The jti of the action link in it, if it will contain one, which is the same at every attempt; or the
    /// jti of the download that it reports.
    pub jti: Jti,
    /// Further details.
    pub details: MailDetails,
}

impl NewMail {
    /// Creates a mail with a new jti.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn new(kind: MailKind, recipient: &Email, details: MailDetails) -> Result<NewMail, RandomError> {
        Ok(NewMail { kind, recipient: recipient.clone(), jti: Jti::random()?, details })
    }
}

/// Details of a mail: only what can't be looked up when it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MailDetails {
    /// The account's id, if the address is not enough to find it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// What to call the recipient, if there is no account any more that has their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another email address that the mail mentions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The person who caused it, such as the administrator who invites.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The id of a link's recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<RecipientId>,
    /// The id of a webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// Where the request came from, if the account's owner should be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<RequestOrigin>,
}

impl MailDetails {
    /// Creates details with only this account.
    pub fn of(account: &AccountId) -> MailDetails {
        MailDetails { account: Some(account.as_str().to_owned()), ..MailDetails::default() }
    }
}
