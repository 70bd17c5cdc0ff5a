//! Builds the email message of a letter: RFC 5322 with a plain text and an HTML alternative (RFC 2046,
//! section 5.1.4), marked as generated automatically (RFC 3834) so that it triggers no out-of-office replies.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::address::AddressError;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use crate::brand::Brand;
use crate::clock::Timestamp;
use crate::config::MailSettings;
use crate::web::identity::Email;
use crate::web::identity::address::{Undeliverable, deliverable};
use crate::web::mail::letters::RenderedLetter;

/// Maximum number of characters of a quoted name, so that it fits on the header's line.
const QUOTED_MAX: usize = 60;

/// Maximum number of characters of a person's name before "via".
const NAME_MAX: usize = 60;

/// No message could be built for a letter.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Mail can't be sent to the recipient's address.
    #[error(transparent)]
    Recipient(#[from] Undeliverable),
    /// The sender's address is not valid in a mail.
    #[error("the address in `mail.from` or `mail.bounces` can't be used in a mail")]
    Sender(#[source] Undeliverable),
    /// A header has an invalid name; a bug in this program.
    #[error("a header of the mail has an invalid name")]
    Header,
    /// The parts of the message don't fit together.
    #[error("cannot assemble the mail")]
    Parts(#[from] lettre::error::Error),
}

/// Headers of a mail in addition to the standard ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailHeaders {
    /// The person on whose behalf the mail is sent.
    pub via: Option<String>,
    /// The address for replies.
    pub reply_to: Option<Email>,
    /// The id of what the mail is about, such as a link: mail programs group mails with the same id.
    pub thread: Option<String>,
    /// The address at which recipients turn off mails of this kind.
    pub unsubscribe: Option<String>,
}

/// Builds email messages.
#[derive(Clone, Debug)]
pub struct MessageComposer {
    /// The sender.
    pub from: Mailbox,
    /// Where bounces go, with `{id}` in place of the mail's id; if empty, they go to the sender.
    pub bounces: String,
    /// The host name under which people know the server; the right side of the `Message-ID`.
    pub host: String,
    /// The operator's name and colors.
    pub brand: Arc<Brand>,
}

impl MessageComposer {
    /// Creates one for the sender of these settings. A sender without a name of its own has that of the brand.
    ///
    /// # Errors
    /// When `mail.from` is not a valid sender.
    pub fn new(
        mail: &MailSettings,
        host: String,
        brand: Arc<Brand>,
    ) -> Result<MessageComposer, AddressError> {
        let mut from: Mailbox = mail.from.parse()?;
        if brand.is_named && (from.name.is_none() || mail.from == MailSettings::default().from) {
            from.name = Some(brand.name.clone());
        }
        Ok(MessageComposer { from, bounces: mail.bounces.clone(), host, brand })
    }

    /// Builds the message with this id for `recipient`.
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
            Some(via) => format!("{} via {}", display_name(via), own_name.unwrap_or(&self.brand.name)),
            None => own_name.unwrap_or_default().to_owned(),
        };
        let mut builder = Message::builder().raw_header(from_header(&name, &sender));
        if let Some(reply_to) = &headers.reply_to {
            builder = builder.reply_to(Mailbox::new(None, deliverable(reply_to.as_str())?));
        }
        if let Some(thread) = &headers.thread {
            // The root of the thread is not a real mail, because recipients receive different mails of the
            // thread.
            let root = format!("<{thread}@{host}>");
            builder = builder.in_reply_to(root.clone()).references(root);
        }
        if let Some(address) = &headers.unsubscribe {
            builder = builder.raw_header(text_header("List-Unsubscribe", format!("<{address}>"))?);
            // Unsubscribing with one click, without a page, requires https (RFC 8058, section 3.1).
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
            // Exchange sends automatic replies unless this header is set.
            .raw_header(text_header("X-Auto-Response-Suppress", "All".to_owned())?)
            .envelope(lettre::address::Envelope::new(Some(self.return_path(id, sender)?), vec![recipient])?)
            .multipart(MultiPart::alternative_plain_html(letter.text, letter.html))?;
        Ok(message)
    }

    /// Returns a return path for this mail only, so that a bounce shows which mail it is about.
    fn return_path(&self, id: &str, sender: Address) -> Result<Address, MessageError> {
        match self.bounces.as_str() {
            "" => Ok(sender),
            bounces => deliverable(&bounces.replace("{id}", id)).map_err(MessageError::Sender),
        }
    }
}

/// Returns the host for the ids of mails: without the port, and with the brackets of an IPv6 address
/// (RFC 5322 section 3.6.4).
fn id_host(host: &str) -> &str {
    match host.split_once(']') {
        Some((address, _)) => host.get(..=address.len()).unwrap_or(host),
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// Converts a person's name to a sender's name, without characters that a mail program could read as an
/// address.
fn display_name(name: &str) -> String {
    let name: String =
        name.chars().filter(|c| !c.is_control() && !"<>@".contains(*c)).take(NAME_MAX).collect();
    name.trim().to_owned()
}

/// Builds the `From` header with a name, quoted according to RFC 5322 section 3.2.4. The name is encoded if
/// it has non-ASCII characters, is too long for a line, or looks like an encoded word, so that it is shown as
/// is.
fn from_header(name: &str, sender: &Address) -> HeaderValue {
    let header = HeaderName::new_from_ascii_str("From");
    let is_plain = name.chars().all(|c| c == ' ' || c.is_ascii_graphic()) && !name.contains("=?");
    let shown = match is_plain && name.len() <= QUOTED_MAX {
        _ if name.is_empty() => return HeaderValue::new(header, sender.to_string()),
        true => format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")),
        false => encoded_words(name, "From: ".len()),
    };
    // lettre reads the first value to find the sender, and writes the second.
    HeaderValue::dangerous_new_pre_encoded(header, sender.to_string(), format!("{shown}\r\n <{sender}>"))
}

/// Builds a header of free text. Text that looks like an encoded word (RFC 2047) is encoded, so that it is
/// shown as it was typed.
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

/// Encodes a text as encoded words, one per line. `before` is the number of characters before the first one:
/// a line with an encoded word has at most 76 characters (RFC 2047 section 2).
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
            brand: Brand::built_in(),
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
    fn domains_are_in_ascii_in_headers_and_envelope() {
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
