//! What mails say: each letter with all that it is about. How that is put into words is in `render`.

use crate::clock::Timestamp;
use crate::web::mail::request_origin::RequestOrigin;
use crate::web::mail::wording::ListedFile;

/// A letter with all that it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Letter {
    /// Asks somebody who signed up to activate the account.
    Activate {
        /// The action link.
        link: String,
        /// Its end.
        until: Timestamp,
    },
    /// Tells somebody who signed up that there is an account already.
    AlreadyRegistered {
        /// What to call the recipient.
        name: String,
        /// The log-in page.
        login: String,
        /// The action link for choosing another password.
        reset: String,
        /// Its end.
        until: Timestamp,
        /// Who tried to sign up.
        asked: Option<RequestOrigin>,
    },
    /// Invites somebody for whom an account was made.
    Invite {
        /// What to call the recipient.
        name: String,
        /// Who invites; empty when that is not known.
        by: String,
        /// The action link.
        link: String,
        /// Its end.
        until: Timestamp,
    },
    /// Lets somebody choose another password.
    Reset {
        /// What to call the recipient.
        name: String,
        /// The administrator who sends it; empty when somebody else asked for it.
        by: String,
        /// The action link.
        link: String,
        /// Its end.
        until: Timestamp,
        /// Who asked.
        asked: Option<RequestOrigin>,
    },
    /// Asks to confirm another address, at that address.
    ConfirmAddress {
        /// The action link.
        link: String,
        /// Its end.
        until: Timestamp,
    },
    /// Tells the old address about the new one.
    AddressChanged {
        /// What to call the recipient.
        name: String,
        /// The new address.
        new_address: String,
        /// Who changed it.
        asked: Option<RequestOrigin>,
    },
    /// Tells that the password was changed.
    PasswordChanged {
        /// What to call the recipient.
        name: String,
        /// The page for a forgotten password.
        forgot: String,
        /// Who changed it.
        asked: Option<RequestOrigin>,
    },
    /// Tells that the account is gone.
    AccountDeleted {
        /// What to call the recipient.
        name: String,
    },
    /// Tells the owner of a link that a file was taken through it.
    Taken {
        /// What to call the owner.
        name: String,
        /// What the link is called.
        title: String,
        /// Which file; empty when that is not known any more.
        file: String,
        /// For whom the link is; empty for whoever has its address.
        recipient: String,
        /// When the last byte left.
        at: Timestamp,
        /// To where, as far as that is kept.
        address: String,
        /// How many more downloads it tells of, which were complete soon after.
        more: u64,
        /// The address at which such mails are turned off.
        unsubscribe: String,
        /// The link's page.
        page: String,
    },
    /// Brings somebody a link that was made for him.
    Link {
        /// Who made it.
        by: String,
        /// What it is on, in its owner's words.
        title: String,
        /// What its owner wants to say; may be empty, or have several lines.
        note: String,
        /// Its files; none where a password or a code guards them.
        files: LinkListing,
        /// Its address.
        address: String,
        /// How often it can be taken; `None` for as often as one likes.
        uses: Option<u32>,
        /// Its end; `None` for never.
        until: Option<Timestamp>,
        /// Whether it asks for a password, which another way must bring.
        asks_password: bool,
        /// Whether it asks for a code, which another mail brings.
        asks_code: bool,
    },
    /// Brings the code without which a link can't be taken.
    LinkCode {
        /// What the link is on.
        title: String,
        /// The code.
        code: String,
        /// Until when it counts.
        until: Timestamp,
    },
    /// Shows that mails arrive.
    Test,
}

/// What a link is on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkListing {
    /// Its files and folders.
    pub names: Vec<ListedFile>,
    /// How much there is in all, such as `3 files, 12.3 MB`; empty where that is not known.
    pub total: String,
    /// Whether there is more than one file, as far as that may be said.
    pub is_several: bool,
}

/// A letter as it goes into a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedLetter {
    /// One line.
    pub subject: String,
    /// For a terminal.
    pub text: String,
    /// For everything else.
    pub html: String,
}

impl Letter {
    /// Every letter, with values that somebody hostile might give.
    pub fn samples() -> Vec<Letter> {
        let name = "Lin <script>alert(1)</script>\r\nBcc: x@example.org".to_owned();
        let link = "https://files.example/activate/a.b.c".to_owned();
        let until = Timestamp::from_secs(1_800_000_000);
        let asked = Some(RequestOrigin {
            at: until,
            browser: "<script>alert(1)</script>".to_owned(),
            network: "192.0.2.0/24".to_owned(),
        });
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
                file: "a<script>\u{202e}b.pdf".to_owned(),
                recipient: "bob<b>@example.org".to_owned(),
                at: until,
                address: "192.0.2.0/24".to_owned(),
                more: 39,
                unsubscribe: "https://files.example/unsubscribe/taken/x".to_owned(),
                page: link.clone(),
            },
            Letter::AccountDeleted { name: name.clone() },
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
                    is_several: true,
                },
                note: format!("Dear <b>@all,\nBcc: x@example.org\r\n-- \n{}", "long ".repeat(100)),
                address: "https://files.example/activate/a.b.c".to_owned(),
                uses: Some(3),
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

    #[test]
    fn every_letter_renders_and_escapes_hostile_values() {
        for letter in Letter::samples() {
            let RenderedLetter { subject, text, html } =
                letter.render("files.example", Timestamp::from_secs(1_799_900_000)).unwrap();
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
