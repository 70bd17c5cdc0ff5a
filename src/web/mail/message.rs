//! A letter as a mail: RFC 5322 with a plain and an HTML alternative (RFC 2046, section 5.1.4), marked
//! as sent by a machine (RFC 3834), so that no out-of-office reply answers it.

use std::time::{Duration, SystemTime};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use crate::clock::Timestamp;
use crate::web::mail::letters::Rendered;

/// No mail could be made of a letter.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// An address is none.
    #[error("an address can't stand in a mail")]
    Address(#[from] lettre::address::AddressError),
    /// A header's name is none; a fault of ours.
    #[error("a header can't stand in a mail")]
    Header,
    /// Its parts don't fit together.
    #[error("cannot put a mail together")]
    Parts(#[from] lettre::error::Error),
}

/// Puts a mail together.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The sender.
    pub from: Mailbox,
    /// The host that people know the server by; the right side of the `Message-ID`.
    pub host: String,
}

impl Envelope {
    /// The mail with that id, for `recipient`.
    ///
    /// # Errors
    /// See [`MessageError`].
    pub fn message(
        &self,
        id: &str,
        recipient: &str,
        letter: Rendered,
        now: Timestamp,
    ) -> Result<Message, MessageError> {
        let automatic =
            HeaderName::new_from_ascii("Auto-Submitted".to_owned()).map_err(|_| MessageError::Header)?;
        let host = self.host.split(':').next().unwrap_or_default();
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, recipient.parse::<Address>()?))
            .subject(letter.subject)
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(now.secs()))
            .message_id(Some(format!("<{id}@{host}>")))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(letter.text, letter.html))?;
        Ok(message)
    }
}
