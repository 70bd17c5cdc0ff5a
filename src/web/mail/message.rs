//! A letter as a mail: RFC 5322 with a plain and an HTML alternative (RFC 2046, section 5.1.4), marked
//! as sent by a machine (RFC 3834), so that no out-of-office reply answers it.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use crate::clock::Timestamp;
use crate::web::identity::Email;
use crate::web::identity::address::{Undeliverable, deliverable};
use crate::web::mail::letters::RenderedLetter;

/// Characters of a quoted name that stay on the line of their header.
const QUOTED_MAX: usize = 60;

/// Characters of a person's name before "via".
const NAME_MAX: usize = 60;

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
pub struct MessageComposer {
    /// The sender.
    pub from: Mailbox,
    /// Where bounces go, with `{id}` for the mail's id; empty: to the sender.
    pub bounces: String,
    /// The host that people know the server by; the right side of the `Message-ID`.
    pub host: String,
}

impl MessageComposer {
    /// The mail with that id, for `recipient`.
    ///
    /// # Errors
    /// See [`MessageError`].
    pub fn message(
        &self,
        id: &str,
        recipient: &str,
        letter: RenderedLetter,
        headers: &MailHeaders,
        now: Timestamp,
    ) -> Result<Message, MessageError> {
        let host = id_host(&self.host);
        let recipient = deliverable(recipient)?;
        let sender = deliverable(self.from.email.as_ref()).map_err(MessageError::Sender)?;
        let own_name = self.from.name.as_deref();
        let name = match &headers.via {
            Some(via) => format!("{} via {}", display_name(via), own_name.unwrap_or("Oncelink")),
            None => own_name.unwrap_or_default().to_owned(),
        };
        let mut builder = Message::builder().raw_header(from_header(&name, &sender));
        if let Some(reply_to) = &headers.reply_to {
            builder = builder.reply_to(Mailbox::new(None, deliverable(reply_to.as_str())?));
        }
        if let Some(thread) = &headers.thread {
            // The root of the thread is no mail: each recipient gets other ones of it.
            let root = format!("<{thread}@{host}>");
            builder = builder.in_reply_to(root.clone()).references(root);
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

/// What stands for this server in the ids of mails: its host without the port, an IPv6 address with its
/// brackets (RFC 5322 section 3.6.4).
fn id_host(host: &str) -> &str {
    match host.split_once(']') {
        Some((address, _)) => host.get(..=address.len()).unwrap_or(host),
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// A person's name as the name of a sender: without what a mail program could read as an address.
fn display_name(name: &str) -> String {
    let name: String =
        name.chars().filter(|c| !c.is_control() && !"<>@".contains(*c)).take(NAME_MAX).collect();
    name.trim().to_owned()
}

/// The sender with a name, quoted as RFC 5322 section 3.2.4 has it. One with other letters, one that is too
/// long for a line, or one that looks like an encoded word, is encoded, so that it is shown as it is.
fn from_header(name: &str, sender: &Address) -> HeaderValue {
    let header = HeaderName::new_from_ascii_str("From");
    let is_plain = name.chars().all(|c| c == ' ' || c.is_ascii_graphic()) && !name.contains("=?");
    let shown = match is_plain && name.len() <= QUOTED_MAX {
        _ if name.is_empty() => return HeaderValue::new(header, sender.to_string()),
        true => format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")),
        false => encoded_words(name, "From: ".len()),
    };
    // What lettre reads to know that there is a sender; what it writes is the other.
    HeaderValue::dangerous_new_pre_encoded(header, sender.to_string(), format!("{shown}\r\n <{sender}>"))
}

/// A header of free text. What looks like an encoded word (RFC 2047) is encoded itself, so that it is shown
/// as it was typed.
fn text_header(name: &str, text: String) -> Result<HeaderValue, MessageError> {
    let before = name.len() + ": ".len();
    let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|_| MessageError::Header)?;
    Ok(match text.contains("=?") {
        true => {
            let encoded = encoded_words(&text, before);
            HeaderValue::dangerous_new_pre_encoded(name, text, encoded)
        }
        false => HeaderValue::new(name, text),
    })
}

/// A text as encoded words, one a line, after so many characters on the first: a line with an encoded word has at
/// most 76 characters (RFC 2047 section 2).
fn encoded_words(text: &str, before: usize) -> String {
    const FRAME: usize = "=?utf-8?B??=".len();
    let bytes_after = |before: usize| (76_usize.saturating_sub(FRAME + before)) / 4 * 3;
    let mut words = Vec::new();
    let (mut word, mut room) = (String::new(), bytes_after(before));
    for letter in text.chars() {
        if word.len() + letter.len_utf8() > room {
            words.push(std::mem::take(&mut word));
            room = bytes_after(1);
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

    fn envelope(bounces: &str) -> MessageComposer {
        MessageComposer {
            from: "Oncelink <noreply@bücher.example>".parse().unwrap(),
            bounces: bounces.to_owned(),
            host: "files.example:8080".to_owned(),
        }
    }

    fn letter(subject: &str) -> RenderedLetter {
        RenderedLetter {
            subject: subject.to_owned(),
            text: "text\n".to_owned(),
            html: "<p>text</p>".to_owned(),
        }
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
    fn an_id_names_the_host_without_its_port() {
        for (host, expected) in [
            ("files.example", "files.example"),
            ("files.example:8080", "files.example"),
            ("[2001:db8::1]:8080", "[2001:db8::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(id_host(host), expected);
        }
    }

    #[test]
    fn a_name_is_quoted_or_encoded_and_never_an_address() {
        let header = |via: &str| {
            let headers = MailHeaders { via: Some(via.to_owned()), ..MailHeaders::default() };
            let now = Timestamp::from_secs(1_800_000_000);
            let mail = envelope("").message("id1", "a@example.org", letter("s"), &headers, now).unwrap();
            let text = String::from_utf8(mail.formatted()).unwrap();
            let (_, rest) = text.split_once("From: ").unwrap();
            rest.split_once("\r\n <noreply@xn--bcher-kva.example>\r\n").unwrap().0.to_owned()
        };
        assert_eq!(header("Ann"), "\"Ann via Oncelink\"");
        assert_eq!(header("Ann \"A\\B\", Inc."), r#""Ann \"A\\B\", Inc. via Oncelink""#);
        assert_eq!(header("boss@bank.example <x>"), "\"bossbank.example x via Oncelink\"");
        for odd in ["Jörg", "=?utf-8?q?evil?=", &"long word ".repeat(6)] {
            let encoded = header(odd);
            for word in encoded.split("\r\n ") {
                assert!(word.starts_with("=?utf-8?B?") && word.len() <= 75, "{encoded}");
            }
        }
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
