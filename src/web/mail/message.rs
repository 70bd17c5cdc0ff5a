//! A letter as a mail: RFC 5322 with a plain and an HTML alternative (RFC 2046, section 5.1.4), marked
//! as sent by a machine (RFC 3834), so that no out-of-office reply answers it.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use crate::clock::Timestamp;
use crate::web::account::Email;
use crate::web::mail::address::{Undeliverable, deliverable};
use crate::web::mail::letters::Rendered;

/// Bytes of text in one encoded word: 45 become 60 characters of base64, and with its frame the word stays
/// below the 75 that RFC 2047, section 2, allows.
const ENCODED_WORD: usize = 45;

/// No mail could be made of a letter.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The recipient's address can't have mail.
    #[error(transparent)]
    Recipient(#[from] Undeliverable),
    /// The sender's address can't stand in a mail.
    #[error("the address in `mail.from` or `mail.bounces` can't stand in a mail")]
    Sender(#[source] Undeliverable),
    /// A header's name is wrong; a mistake in this program.
    #[error("a header can't stand in a mail")]
    Header,
    /// Its parts don't fit together.
    #[error("cannot put a mail together")]
    Parts(#[from] lettre::error::Error),
}

/// What the header of a mail says beside the usual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailHeaders {
    /// In whose name the mail is sent.
    pub via: Option<String>,
    /// Who gets answers.
    pub reply_to: Option<Email>,
    /// What the mail belongs to, such as the id of a link: mail programs show such mails together.
    pub thread: Option<String>,
    /// The address at which its reader turns off such mails.
    pub unsubscribe: Option<String>,
}

/// Puts a mail together.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The sender.
    pub from: Mailbox,
    /// Where bounces go, with `{id}` for the mail's id; empty: to the sender.
    pub bounces: String,
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
        headers: &MailHeaders,
        now: Timestamp,
    ) -> Result<Message, MessageError> {
        let host = self.host.split(':').next().unwrap_or_default();
        let recipient = deliverable(recipient)?;
        let sender = deliverable(self.from.email.as_ref()).map_err(MessageError::Sender)?;
        let own_name = self.from.name.clone();
        let name = match &headers.via {
            Some(via) => {
                Some(format!("{} via {}", display_name(via), own_name.as_deref().unwrap_or("Oncelink")))
            }
            None => own_name,
        };
        let mut builder = Message::builder().from(Mailbox::new(name, sender.clone()));
        if let Some(reply_to) = &headers.reply_to {
            builder = builder.reply_to(Mailbox::new(None, deliverable(reply_to.as_str())?));
        }
        if let Some(thread) = &headers.thread {
            builder = builder.references(format!("<{thread}@{host}>"));
        }
        if let Some(address) = &headers.unsubscribe {
            builder = builder.raw_header(text_header("List-Unsubscribe", format!("<{address}>"))?);
            // One click without a page needs https (RFC 8058, section 3.1).
            if address.starts_with("https://") {
                let one_click = "List-Unsubscribe=One-Click".to_owned();
                builder = builder.raw_header(text_header("List-Unsubscribe-Post", one_click)?);
            }
        }
        let message = builder
            .to(Mailbox::new(None, recipient.clone()))
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(now.secs()))
            .message_id(Some(format!("<{id}@{host}>")))
            .raw_header(text_header("Subject", letter.subject)?)
            .raw_header(text_header("Auto-Submitted", "auto-generated".to_owned())?)
            // Exchange answers by itself unless it reads this.
            .raw_header(text_header("X-Auto-Response-Suppress", "All".to_owned())?)
            .envelope(lettre::address::Envelope::new(Some(self.return_path(id, sender)?), vec![recipient])?)
            .multipart(MultiPart::alternative_plain_html(letter.text, letter.html))?;
        Ok(message)
    }

    /// One return path per mail, so that a bounce tells which mail it is about.
    fn return_path(&self, id: &str, sender: Address) -> Result<Address, MessageError> {
        match self.bounces.as_str() {
            "" => Ok(sender),
            bounces => deliverable(&bounces.replace("{id}", id)).map_err(MessageError::Sender),
        }
    }
}

/// A person's name as the name of a sender: without what a mail program could read as something else.
fn display_name(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control() && !"<>@\"".contains(*c)).take(60).collect();
    name.replace("=?", "= ?").trim().to_owned()
}

/// A header of free text. What looks like an encoded word (RFC 2047) is encoded itself, so that it is shown
/// as it was typed.
fn text_header(name: &str, text: String) -> Result<HeaderValue, MessageError> {
    let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|_| MessageError::Header)?;
    Ok(match text.contains("=?") {
        true => {
            let encoded = encoded_words(&text);
            HeaderValue::dangerous_new_pre_encoded(name, text, encoded)
        }
        false => HeaderValue::new(name, text),
    })
}

fn encoded_words(text: &str) -> String {
    let mut words = Vec::new();
    let mut word = String::new();
    for letter in text.chars() {
        if word.len() + letter.len_utf8() > ENCODED_WORD {
            words.push(std::mem::take(&mut word));
        }
        word.push(letter);
    }
    words.push(word);
    let words: Vec<String> =
        words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(bounces: &str) -> Envelope {
        Envelope {
            from: "Oncelink <noreply@bücher.example>".parse().unwrap(),
            bounces: bounces.to_owned(),
            host: "files.example:8080".to_owned(),
        }
    }

    fn letter(subject: &str) -> Rendered {
        Rendered { subject: subject.to_owned(), text: "text\n".to_owned(), html: "<p>text</p>".to_owned() }
    }

    fn message(bounces: &str, subject: &str) -> (Message, String) {
        let now = Timestamp::from_secs(1_800_000_000);
        let made = envelope(bounces)
            .message("id1", "info@bücher.example", letter(subject), &MailHeaders::default(), now)
            .unwrap();
        let text = String::from_utf8(made.formatted()).unwrap();
        (made, text)
    }

    #[test]
    fn domains_stand_in_ascii_in_headers_and_envelope() {
        let (message, text) = message("", "hello");
        assert!(text.is_ascii(), "{text}");
        assert!(text.contains("To: info@xn--bcher-kva.example\r\n"), "{text}");
        assert!(text.contains("noreply@xn--bcher-kva.example"), "{text}");
        let sender = message.envelope().from().map(ToString::to_string);
        assert_eq!(sender.as_deref(), Some("noreply@xn--bcher-kva.example"));
    }

    #[test]
    fn a_return_path_names_the_mail() {
        let (message, _) = message("bounce+{id}@example.org", "hello");
        assert_eq!(
            message.envelope().from().map(ToString::to_string).as_deref(),
            Some("bounce+id1@example.org")
        );
    }

    #[test]
    fn what_looks_like_an_encoded_word_is_shown_as_typed() {
        let typed = "=?utf-8?b?4oCuZXhlLmdwag==?= and a long rest, so that there are several words of it äöü";
        let (_, text) = message("", typed);
        let (_, rest) = text.split_once("Subject: ").unwrap();
        let subject = rest.split("\r\n").take_while(|line| !line.contains(':')).collect::<Vec<_>>();
        let mut shown = String::new();
        for word in subject.iter().flat_map(|line| line.split_whitespace()) {
            assert!(word.len() <= 75, "{word}");
            let inner = word.strip_prefix("=?utf-8?B?").and_then(|word| word.strip_suffix("?=")).unwrap();
            shown += &String::from_utf8(STANDARD.decode(inner).unwrap()).unwrap();
        }
        assert_eq!(shown, typed);
    }
}
