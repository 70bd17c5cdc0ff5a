//! The interface between the mail queue and the code that writes the mails.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::web::identity::Email;
use crate::web::mail::letters::Letter;
use crate::web::mail::message::MailHeaders;
use crate::web::mail::queue::QueuedMail;

/// A mail could not be composed.
#[derive(Debug, thiserror::Error)]
#[error("cannot compose the email")]
pub struct ComposeError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl ComposeError {
    /// Wraps `cause`.
    pub fn new(cause: impl std::error::Error + Send + Sync + 'static) -> ComposeError {
        ComposeError(cause.into())
    }
}

/// A letter and the address that it is sent to.
#[derive(Clone, Debug)]
pub struct AddressedLetter {
    /// The address.
    pub to: Email,
    /// The letter.
    pub letter: Letter,
    /// Headers in addition to the standard ones.
    pub headers: MailHeaders,
}

impl AddressedLetter {
    /// Creates one with only the standard headers.
    pub fn new(to: Email, letter: Letter) -> AddressedLetter {
        AddressedLetter { to, letter, headers: MailHeaders::default() }
    }
}

/// Decides what queued mails say, and to whom they are sent.
#[async_trait]
pub trait Compose: Send + Sync {
    /// Returns the letter as it should be at the time of sending; `None` if there is nothing to say any more.
    ///
    /// A letter about an account is sent to the account's own address, not to the spelling that someone
    /// typed: spellings that count as the same account may be different mailboxes.
    ///
    /// # Errors
    /// When that can't be determined now; the mail is tried again.
    async fn compose(
        &self,
        mail: &QueuedMail,
        now: Timestamp,
    ) -> Result<Option<AddressedLetter>, ComposeError>;

    /// Records that the mail server accepted the mail, so that the lifetime of a link or code in it starts.
    ///
    /// # Errors
    /// When that can't be recorded; the mail was sent all the same.
    async fn accepted(&self, mail: &QueuedMail, now: Timestamp) -> Result<(), ComposeError>;
}
