//! Classifies a mail server's reply by the step of the SMTP dialogue, the reply code and the enhanced status
//! code (RFC 5321 section 4.2, RFC 3463). Knows nothing about connections.

use crate::words::words;

words! {
    /// A step of the SMTP dialogue.
    #[derive(PartialOrd, Ord)]
    pub enum SmtpStep {
        /// Resolving and connecting to the server, its greeting, and `EHLO`.
        Connect = "connecting",
        /// Starting TLS.
        Tls = "starting TLS",
        /// `AUTH`
        LogIn = "logging in",
        /// `MAIL`
        Sender = "sender",
        /// `RCPT`
        Recipient = "recipient",
        /// `DATA`, until the server's go-ahead.
        Data = "data",
        /// The mail itself, until the server's final reply.
        Content = "content",
    }
}

words! {
    /// The cause of a failed attempt, which decides what happens next.
    pub enum MailFault {
        /// The mail server is down, busy or unreachable: all mail waits for it.
        Server = "server",
        /// The server refuses us, which the operator must fix: mail is kept and the operator is informed.
        Operator = "operator",
        /// The server asks us to try this mail again later, or the mailbox is full.
        Later = "later",
        /// The server refuses this mail: after three refusals it is given up.
        Refused = "refused",
        /// The mailbox doesn't exist: retrying is pointless.
        Mailbox = "mailbox",
    }
}

/// An enhanced status code (RFC 3463), such as 5.1.1.
type Enhanced = (u16, u16, u16);

/// Classifies a negative reply.
pub fn judge(step: SmtpStep, code: u16, text: &str) -> MailFault {
    let is_permanent = (500..600).contains(&code);
    match step {
        SmtpStep::Connect | SmtpStep::Tls => MailFault::Server,
        SmtpStep::LogIn | SmtpStep::Sender if is_permanent => MailFault::Operator,
        SmtpStep::LogIn | SmtpStep::Sender => MailFault::Server,
        // Postfix in Debian's configuration says "relay access denied" with a code that asks to try again.
        SmtpStep::Recipient if !is_permanent && is_about_relaying(text) => MailFault::Operator,
        SmtpStep::Recipient | SmtpStep::Data | SmtpStep::Content if !is_permanent => MailFault::Later,
        SmtpStep::Recipient => of_recipient(code, text),
        SmtpStep::Data | SmtpStep::Content => of_content(code, text),
    }
}

fn of_recipient(code: u16, text: &str) -> MailFault {
    match enhanced(text) {
        // The sender's address is wrong.
        Some((5, 1, 7 | 8)) => MailFault::Operator,
        Some((5, 1, _) | (5, 2, 1)) => MailFault::Mailbox,
        Some((5, 2, _)) => MailFault::Later,
        Some((5, 7, _)) => MailFault::Operator,
        Some((5, 5, _)) => MailFault::Later,
        Some(_) => MailFault::Refused,
        None => match code {
            521 | 530 | 535 => MailFault::Operator,
            552 => MailFault::Later,
            500 | 502 | 503 | 504 => MailFault::Later,
            _ if is_about_us(text) => MailFault::Operator,
            550 | 551 | 553 | 556 if is_about_the_mailbox(text) => MailFault::Mailbox,
            _ => MailFault::Refused,
        },
    }
}

fn of_content(code: u16, text: &str) -> MailFault {
    match (enhanced(text), code) {
        (Some((5, 1, 7 | 8)), _) | (None, 521 | 530 | 535) => MailFault::Operator,
        (Some((5, 1, _) | (5, 2, 1)), _) => MailFault::Mailbox,
        (Some((5, 2 | 5, _)), _) | (None, 500 | 502 | 503 | 504 | 552) => MailFault::Later,
        _ => MailFault::Refused,
    }
}

/// Returns the first word of a reply's text if it is an enhanced status code.
fn enhanced(text: &str) -> Option<Enhanced> {
    let mut numbers = text.split_whitespace().next()?.split('.').map(|number| match number.len() {
        1..=3 => number.parse::<u16>().ok(),
        _ => None,
    });
    let code = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(code).filter(|(class, _, _)| matches!(class, 2 | 4 | 5))
}

/// Whether a reply without an enhanced code is about us, the client, rather than the mailbox.
fn is_about_us(text: &str) -> bool {
    const WORDS: [&str; 16] = [
        "relay",
        "authenti",
        "not permitted",
        "not allowed",
        "denied",
        "policy",
        "spam",
        "block",
        "reputation",
        "sender",
        "helo",
        "dns",
        "spf",
        "dkim",
        "dmarc",
        "log in",
    ];
    contains_any(text, &WORDS)
}

fn is_about_relaying(text: &str) -> bool {
    contains_any(text, &["relay access denied", "relaying denied", "relay not permitted"])
}

fn is_about_the_mailbox(text: &str) -> bool {
    const WORDS: [&str; 9] =
        ["mailbox", "user", "recipient", "account", "no such", "unknown", "not exist", "address", "inactive"];
    contains_any(text, &WORDS)
}

fn contains_any(text: &str, words: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    words.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reply_at_each_step_has_its_verdict() {
        use MailFault::{Later, Mailbox, Operator, Refused, Server};
        use SmtpStep::{Connect, Content, Data, LogIn, Recipient, Sender, Tls};
        for (step, code, text, expected) in [
            (Connect, 421, "too many connections", Server),
            (Connect, 554, "no SMTP service here", Server),
            (Connect, 502, "command not implemented", Server),
            (Tls, 454, "4.7.0 TLS not available", Server),
            (LogIn, 535, "5.7.8 authentication failed", Operator),
            (LogIn, 454, "4.7.0 temporary authentication failure", Server),
            (Sender, 550, "5.7.1 Sender rejected", Operator),
            (Sender, 530, "5.7.0 Must issue a STARTTLS command first", Operator),
            (Sender, 451, "4.3.0 try again", Server),
            (Sender, 452, "4.3.1 insufficient system storage", Server),
            (Recipient, 550, "5.1.1 <a@b.example>: user unknown", Mailbox),
            (Recipient, 550, "no such mailbox here", Mailbox),
            (Recipient, 550, "5.2.1 mailbox disabled", Mailbox),
            (Recipient, 553, "unknown recipient", Mailbox),
            (Recipient, 550, "relay not permitted", Operator),
            (Recipient, 554, "5.7.1 <a@b.example>: Relay access denied", Operator),
            (Recipient, 550, "5.1.8 sender's address rejected", Operator),
            (Recipient, 530, "authentication required", Operator),
            (Recipient, 552, "5.2.2 mailbox full", Later),
            (Recipient, 552, "quota exceeded", Later),
            (Recipient, 503, "5.5.1 bad sequence of commands", Later),
            (Recipient, 450, "4.2.0 greylisted", Later),
            (Recipient, 454, "4.7.1 <a@b.example>: Relay access denied", Operator),
            (Recipient, 421, "4.7.0 try again later", Later),
            (Recipient, 550, "rejected", Refused),
            (Recipient, 554, "5.4.1 Recipient address rejected", Refused),
            (Data, 554, "no valid recipients", Refused),
            (Data, 451, "local error", Later),
            (Content, 554, "5.7.1 spam", Refused),
            (Content, 550, "5.1.1 no such user", Mailbox),
            (Content, 552, "5.2.2 over quota", Later),
            (Content, 530, "authentication required", Operator),
            (Content, 451, "4.7.1 come back later", Later),
        ] {
            assert_eq!(judge(step, code, text), expected, "{step:?} {code} {text}");
        }
    }

    #[test]
    fn only_a_first_word_of_three_numbers_is_an_enhanced_code() {
        assert_eq!(enhanced("5.1.1 no such user"), Some((5, 1, 1)));
        for text in ["", "no", "5.1 x", "5.1.1.1 x", "6.1.1 x", "5..1 x", "5.1.1111 x", "v5.1.1"] {
            assert_eq!(enhanced(text), None, "{text:?}");
        }
    }
}
