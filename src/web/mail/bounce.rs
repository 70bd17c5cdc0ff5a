//! Parses bounces: delivery status notifications (RFC 3464) that come back for our mails.

use crate::id::MailId;

/// A bounce: a notification that a mail was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounce {
    /// Ids of mails that it may be about: every word in it that looks like an id, as our `Message-ID` and
    /// return path contain them.
    pub candidates: Vec<MailId>,
    /// Whether delivery failed for good, rather than being delayed.
    pub is_final: bool,
    /// What the remote server replied.
    pub reason: String,
}

/// The length of a mail's id: 128 random bits in base64url.
const ID_LENGTH: usize = 22;
/// Maximum length of the reason that is kept, in characters.
const REASON_MAX: usize = 300;

/// Parses a bounce; `None` if the text is not a delivery status notification.
pub fn parse(raw: &str) -> Option<Bounce> {
    let unfolded = raw.replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ");
    let field = |name: &str| {
        unfolded.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let action = field("Action")?.to_ascii_lowercase();
    let status = field("Status").unwrap_or_default();
    let diagnosis =
        field("Diagnostic-Code").map(|text| text.split_once(';').map_or(text, |(_, text)| text.trim()));
    let reason = diagnosis.filter(|text| !text.is_empty()).unwrap_or(status);
    let reason = reason.chars().filter(|c| !c.is_control()).take(REASON_MAX).collect();
    let is_id_character = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut candidates: Vec<MailId> = unfolded
        .split(|c: char| !is_id_character(c))
        .filter(|word| word.len() == ID_LENGTH)
        .map(MailId::from_store)
        .collect();
    candidates.sort_unstable();
    candidates.dedup();
    Some(Bounce { candidates, is_final: action == "failed", reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNCE: &str = "From: MAILER-DAEMON@mail.example\nTo: bounce+AAAAAAAAAAAAAAAAAAAAAA@example.org\n\
        Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\n\n--b\n\n\
        I'm sorry to have to inform you.\n\n--b\nContent-Type: message/delivery-status\n\n\
        Reporting-MTA: dns; mail.example\n\nFinal-Recipient: rfc822; nobody@example.org\n\
        Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 <nobody@example.org>:\n    no such user\n\n\
        --b\nContent-Type: text/rfc822-headers\n\nMessage-ID: <AAAAAAAAAAAAAAAAAAAAAA@files.example>\n\n--b--\n";

    #[test]
    fn a_bounce_names_its_mail_and_the_reason() {
        let bounce = parse(BOUNCE).unwrap();
        assert!(bounce.is_final);
        assert!(bounce.candidates.contains(&MailId::from_store(&"A".repeat(22))), "{bounce:?}");
        assert_eq!(bounce.reason, "550 5.1.1 <nobody@example.org>:    no such user");
    }

    #[test]
    fn a_delay_is_not_a_failure_and_another_mail_is_not_a_bounce() {
        assert!(!parse(&BOUNCE.replace("Action: failed", "Action: delayed")).unwrap().is_final);
        assert_eq!(parse("Subject: out of office\n\nI am away."), None);
        assert_eq!(parse(""), None);
    }
}
