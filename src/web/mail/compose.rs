//! Who says what queued mails say.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::web::identity::Email;
use crate::web::mail::letters::Letter;
use crate::web::mail::message::MailHeaders;
use crate::web::mail::queue::QueuedMail;

/// Composing a mail failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write a letter")]
pub struct ComposeError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl ComposeError {
    /// For that cause.
    pub fn new(cause: impl std::error::Error + Send + Sync + 'static) -> ComposeError {
        ComposeError(cause.into())
    }
}

/// A letter and its recipient.
#[derive(Clone, Debug)]
pub struct AddressedLetter {
    /// To whom it goes.
    pub to: Email,
    /// What it says.
    pub letter: Letter,
    /// What its header says beside the usual.
    pub headers: MailHeaders,
}

impl AddressedLetter {
    /// With the usual header.
    pub fn new(to: Email, letter: Letter) -> AddressedLetter {
        AddressedLetter { to, letter, headers: MailHeaders::default() }
    }
}

/// Says what queued mails say, and to whom.
#[async_trait]
pub trait Compose: Send + Sync {
    /// The letter, at the moment of its sending; `None` when there is nothing to say any more.
    ///
    /// What concerns an account goes to the address that the account has, not to the spelling that
    /// somebody typed: spellings that count as one account may be different mailboxes.
    ///
    /// # Errors
    /// When that can't be found out now; the mail is tried again.
    async fn compose(
        &self,
        mail: &QueuedMail,
        now: Timestamp,
    ) -> Result<Option<AddressedLetter>, ComposeError>;

    /// The mail server took the mail: what it brings counts from now on.
    ///
    /// # Errors
    /// When that can't be recorded; the mail has left all the same.
    async fn accepted(&self, mail: &QueuedMail, now: Timestamp) -> Result<(), ComposeError>;
}
