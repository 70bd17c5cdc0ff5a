//! The letters that are sent by email, with the data that each contains. `render` turns them into text.

use crate::clock::Timestamp;
use crate::web::mail::request_origin::RequestOrigin;
use crate::web::mail::wording::ListedFile;

/// A letter with its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Letter {
    /// Asks someone who signed up to activate their account.
    Activate {
        /// The action link.
        link: String,
        /// When the link expires.
        until: Timestamp,
    },
    /// Tells someone who signed up that they already have an account.
    AlreadyRegistered {
        /// What to call the recipient.
        name: String,
        /// The address of the login page.
        login: String,
        /// The action link for choosing a new password.
        reset: String,
        /// When the link expires.
        until: Timestamp,
        /// Where the sign-up came from.
        asked: Option<RequestOrigin>,
    },
    /// Invites someone for whom an account was created.
    Invite {
        /// What to call the recipient.
        name: String,
        /// The person who invites; empty if unknown.
        by: String,
        /// The action link.
        link: String,
        /// When the link expires.
        until: Timestamp,
    },
    /// Lets someone choose a new password.
    Reset {
        /// What to call the recipient.
        name: String,
        /// The administrator who sent it; empty if it was not an administrator.
        by: String,
        /// The action link.
        link: String,
        /// When the link expires.
        until: Timestamp,
        /// Where the request came from.
        asked: Option<RequestOrigin>,
    },
    /// Asks for confirmation of a new email address, at that address.
    ConfirmAddress {
        /// The action link.
        link: String,
        /// When the link expires.
        until: Timestamp,
    },
    /// Informs the old address about the new one.
    AddressChanged {
        /// What to call the recipient.
        name: String,
        /// The new address.
        new_address: String,
        /// Where the change came from.
        asked: Option<RequestOrigin>,
    },
    /// Informs that the password was changed.
    PasswordChanged {
        /// What to call the recipient.
        name: String,
        /// The address of the page for a forgotten password.
        forgot: String,
        /// Where the change came from.
        asked: Option<RequestOrigin>,
    },
    /// Informs that the account was deleted.
    AccountDeleted {
        /// What to call the recipient.
        name: String,
    },
    /// Informs the owner of a link about a download.
    Taken {
        /// What to call the owner.
        name: String,
        /// The title of the link.
        title: String,
        /// The downloads, at least one.
        downloads: Vec<NoticedDownload>,
        /// How many more downloads are covered by this letter.
        more: u64,
        /// The address at which such mails can be turned off.
        unsubscribe: String,
        /// The address of the link's page for its owner.
        page: String,
    },
    /// Informs the owner of a file request about files that have arrived.
    Received {
        /// What to call the owner.
        name: String,
        /// The title of the request.
        title: String,
        /// Who sent the files; empty if they gave no name.
        from: String,
        /// The files.
        files: Vec<ListedFile>,
        /// The total, such as `3 files, 12.3 MB`.
        total: String,
        /// The address of the request's page for its owner.
        page: String,
    },
    /// Informs the owner of a webhook that it was disabled.
    WebhookDisabled {
        /// What to call the owner.
        name: String,
        /// The host of its address.
        host: String,
        /// The address of its page.
        page: String,
    },
    /// Brings a recipient their link.
    Link {
        /// The person who created the link.
        by: String,
        /// The link's title, as its owner wrote it.
        title: String,
        /// The owner's message; may be empty or have several lines.
        note: String,
        /// The link's files; empty if a password or a code protects them.
        files: LinkListing,
        /// The link's address.
        address: String,
        /// How often it can be used; `None` for no limit.
        uses_per_recipient: Option<u32>,
        /// When it expires; `None` for never.
        until: Option<Timestamp>,
        /// Whether it requires a password, which the recipient must receive in another way.
        asks_password: bool,
        /// Whether it requires a code, which is sent in another mail.
        asks_code: bool,
    },
    /// Brings the code that a link requires.
    LinkCode {
        /// The title of the link.
        title: String,
        /// The code.
        code: String,
        /// When the code expires.
        until: Timestamp,
    },
    /// A test mail.
    Test,
}

/// A complete download that a letter tells the link's owner about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticedDownload {
    /// The file's name; empty if no longer known.
    pub file: String,
    /// The recipient's address; empty if the link is for anyone who has it.
    pub recipient: String,
    /// When the last byte was sent.
    pub at: Timestamp,
    /// The client's address, as far as it is recorded.
    pub address: String,
}

/// The contents of a link, for a letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkListing {
    /// Its files and folders.
    pub names: Vec<ListedFile>,
    /// How many more there are.
    pub unlisted: usize,
    /// The total, such as `3 files, 12.3 MB`; empty if unknown.
    pub total: String,
    /// Whether there is more than one file, as far as the letter may reveal that.
    pub is_several: bool,
}

/// A letter as subject, text and HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedLetter {
    /// The subject, on one line.
    pub subject: String,
    /// The plain text version.
    pub text: String,
    /// The HTML version.
    pub html: String,
}

impl Letter {
    /// Returns one of each letter, with values that an attacker might provide.
    pub fn samples() -> Vec<Letter> {
        let name = "Lin <script>alert(1)</script>\r\nBcc: x@example.org".to_owned();
        let link = "https://files.example/activate/a.b.c".to_owned();
        let until = Timestamp::from_secs(1_800_000_000);
        let asked = Some(RequestOrigin {
            at: until,
            browser: "<script>alert(1)</script>".to_owned(),
            network: "192.0.2.0/24".to_owned(),
        });
        let download = NoticedDownload {
            file: "a<script>\u{202e}b.pdf".to_owned(),
            recipient: "bob<b>@example.org".to_owned(),
            at: until,
            address: "192.0.2.0/24".to_owned(),
        };
        vec![
            Letter::Activate { link: link.clone(), until },
            Letter::AlreadyRegistered {
                name: name.clone(),
                login: "https://files.example/login".to_owned(),
                reset: link.clone(),
                until,
                asked: asked.clone(),
            },
            Letter::Invite { name: name.clone(), by: name.clone(), link: link.clone(), until },
            Letter::Reset {
                name: name.clone(),
                by: String::new(),
                link: link.clone(),
                until,
                asked: asked.clone(),
            },
            Letter::ConfirmAddress { link: link.clone(), until },
            Letter::AddressChanged {
                name: name.clone(),
                new_address: "new\"<b>@example.org".to_owned(),
                asked: asked.clone(),
            },
            Letter::PasswordChanged { name: name.clone(), forgot: link.clone(), asked },
            Letter::Taken {
                name: name.clone(),
                title: "Plans <script>\r\nBcc: x@example.org".to_owned(),
                downloads: vec![download.clone()],
                more: 0,
                unsubscribe: "https://files.example/unsubscribe/taken/x".to_owned(),
                page: link.clone(),
            },
            Letter::Taken {
                name: name.clone(),
                title: "Plans <script>\r\nBcc: x@example.org".to_owned(),
                downloads: vec![download; 10],
                more: 39,
                unsubscribe: "https://files.example/unsubscribe/taken/x".to_owned(),
                page: link.clone(),
            },
            Letter::Received {
                name: name.clone(),
                title: "Plans <script>\r\nBcc: x@example.org".to_owned(),
                from: "Eve <b>@all\u{202e}".to_owned(),
                files: vec![
                    ListedFile { name: "a<script>\u{202e}b.pdf".to_owned(), about: "2 kB".to_owned() };
                    7
                ],
                total: "7 files, 14 kB".to_owned(),
                page: link.clone(),
            },
            Letter::AccountDeleted { name: name.clone() },
            Letter::WebhookDisabled {
                name: name.clone(),
                host: "hooks.example\"<b>@all\r\nBcc: x@example.org".to_owned(),
                page: link.clone(),
            },
            Letter::Link {
                by: "Lin <script>alert(1)</script>\r\nBcc: x@example.org".to_owned(),
                title: "Report <script>\u{202e}\r\nBcc: x@example.org".to_owned(),
                files: LinkListing {
                    names: vec![
                        ListedFile {
                            name: "a<script>\u{202e}b.pdf".to_owned(),
                            about: "2 kB".to_owned()
                        };
                        7
                    ],
                    total: "7 files, 14 kB".to_owned(),
                    unlisted: 0,
                    is_several: true,
                },
                note: format!("Dear <b>@all,\nBcc: x@example.org\r\n-- \n{}", "long ".repeat(100)),
                address: "https://files.example/activate/a.b.c".to_owned(),
                uses_per_recipient: Some(3),
                until: Some(until),
                asks_password: true,
                asks_code: true,
            },
            Letter::LinkCode { title: name, code: "12345678".to_owned(), until },
            Letter::Test,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brand::Brand;

    #[test]
    fn every_letter_renders_and_escapes_hostile_values() {
        for letter in Letter::samples() {
            let RenderedLetter { subject, text, html } = letter
                .render("files.example", &Brand::built_in(), Timestamp::from_secs(1_799_900_000))
                .unwrap();
            assert!(!subject.is_empty() && !subject.contains(['\r', '\n']), "{subject:?}");
            assert!(!html.contains("<script") && !html.contains("<b>@"), "{html}");
            assert!(html.starts_with("<!doctype html>") && html.contains("files.example"), "{html}");
            for line in text.lines() {
                let is_link = line.contains("://");
                assert!(is_link || line.chars().count() <= 76, "too wide for a terminal: {line}");
                assert!(!line.contains('\u{202e}'), "turned around: {line}");
                assert!(!line.starts_with("Bcc:"), "{text}");
            }
            if html.contains("https://files.example/activate/a.b.c") {
                let alone = text.lines().any(|line| line == "https://files.example/activate/a.b.c");
                assert!(alone, "the link stands alone on its line: {text}");
            }
        }
    }
}
