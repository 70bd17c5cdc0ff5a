//! What mails say: subject, text and HTML of each, from one folder of templates per letter.

use askama::Template;

use crate::clock::Timestamp;
use crate::human;

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
        /// The action link.
        link: String,
        /// Its end.
        until: Timestamp,
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
    },
    /// Tells that the password was changed.
    PasswordChanged {
        /// What to call the recipient.
        name: String,
        /// The page for a forgotten password.
        forgot: String,
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
        /// The names of its files; none where a password or a code guards them.
        files: Vec<String>,
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

/// A letter as it goes into a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// For a terminal.
    pub text: String,
    /// For everything else.
    pub html: String,
}

/// What the templates have words from.
#[derive(Default)]
struct Words {
    host: String,
    name: String,
    by: String,
    link: String,
    other: String,
    until: String,
    file: String,
    address: String,
    title: String,
    note: String,
    /// File names, one a line.
    files: String,
    /// How many more; empty for none.
    more: String,
    /// The note as a terminal shows somebody else's words.
    quoted: String,
}

macro_rules! letters {
    ($($module:ident: $subject:literal, $text:literal, $html:literal;)*) => {
        $(mod $module {
            use super::{Rendered, Template, Words};

            #[derive(Template)]
            #[template(path = $subject)]
            struct Subject<'w> {
                words: &'w Words,
            }

            #[derive(Template)]
            #[template(path = $text)]
            struct Text<'w> {
                words: &'w Words,
            }

            #[derive(Template)]
            #[template(path = $html)]
            struct Html<'w> {
                words: &'w Words,
            }

            pub(super) fn render(words: &Words) -> Result<Rendered, askama::Error> {
                let subject = Subject { words }.render()?.trim().to_owned();
                Ok(Rendered { subject, text: Text { words }.render()?, html: Html { words }.render()? })
            }
        })*
    };
}

letters! {
    activate: "mail/activate/subject.txt", "mail/activate/text.txt", "mail/activate/html.html";
    already_registered: "mail/already-registered/subject.txt", "mail/already-registered/text.txt",
        "mail/already-registered/html.html";
    invite: "mail/invite/subject.txt", "mail/invite/text.txt", "mail/invite/html.html";
    reset: "mail/reset/subject.txt", "mail/reset/text.txt", "mail/reset/html.html";
    confirm_address: "mail/confirm-address/subject.txt", "mail/confirm-address/text.txt",
        "mail/confirm-address/html.html";
    address_changed: "mail/address-changed/subject.txt", "mail/address-changed/text.txt",
        "mail/address-changed/html.html";
    password_changed: "mail/password-changed/subject.txt", "mail/password-changed/text.txt",
        "mail/password-changed/html.html";
    account_deleted: "mail/account-deleted/subject.txt", "mail/account-deleted/text.txt",
        "mail/account-deleted/html.html";
    taken: "mail/taken/subject.txt", "mail/taken/text.txt", "mail/taken/html.html";
    link: "mail/link/subject.txt", "mail/link/text.txt", "mail/link/html.html";
    link_code: "mail/link-code/subject.txt", "mail/link-code/text.txt", "mail/link-code/html.html";
    test: "mail/test/subject.txt", "mail/test/text.txt", "mail/test/html.html";
}

impl Letter {
    /// The letter in the name of the server that people reach as `host`, as it leaves `now`.
    ///
    /// # Errors
    /// When a template fails.
    pub fn render(&self, host: &str, now: Timestamp) -> Result<Rendered, askama::Error> {
        let words = |name: &str| Words { host: host.to_owned(), name: line(name), ..Words::default() };
        let linked = |name: &str, link: &str, until: &Timestamp| Words {
            link: link.to_owned(),
            until: human::end(now, *until),
            ..words(name)
        };
        match self {
            Letter::Activate { link, until } => activate::render(&linked("", link, until)),
            Letter::AlreadyRegistered { name, login, reset, until } => {
                let words = Words { other: reset.clone(), ..linked(name, login, until) };
                already_registered::render(&words)
            }
            Letter::Invite { name, by, link, until } => {
                invite::render(&Words { by: line(by), ..linked(name, link, until) })
            }
            Letter::Reset { name, link, until } => reset::render(&linked(name, link, until)),
            Letter::ConfirmAddress { link, until } => confirm_address::render(&linked("", link, until)),
            Letter::AddressChanged { name, new_address } => {
                address_changed::render(&Words { other: line(new_address), ..words(name) })
            }
            Letter::PasswordChanged { name, forgot } => {
                password_changed::render(&Words { link: forgot.clone(), ..words(name) })
            }
            Letter::AccountDeleted { name } => account_deleted::render(&words(name)),
            Letter::Taken { name, title, file, recipient, at, address, more, page } => {
                taken::render(&Words {
                    more: match more {
                        0 => String::new(),
                        more => human::counted(*more, "more download"),
                    },
                    by: line(recipient),
                    other: line(title),
                    file: line(file),
                    address: line(address),
                    until: human::time(*at),
                    link: page.clone(),
                    ..words(name)
                })
            }
            Letter::Link { by, title, note, files, address, uses, until, asks_password, asks_code } => {
                let note = plain(note);
                link::render(&Words {
                    by: line(by),
                    title: title_line(title),
                    link: address.clone(),
                    quoted: quoted(&note),
                    note,
                    files: listed(files),
                    other: terms(
                        by,
                        *uses,
                        until.map(|until| human::end(now, until)),
                        *asks_password,
                        *asks_code,
                    ),
                    ..words("")
                })
            }
            Letter::LinkCode { title, code, until } => link_code::render(&Words {
                title: title_line(title),
                other: code.clone(),
                until: human::end(now, *until),
                ..words("")
            }),
            Letter::Test => test::render(&words("")),
        }
    }

    /// Every letter, with values that somebody hostile might give.
    pub fn samples() -> Vec<Letter> {
        let name = "Lin <script>alert(1)</script>\r\nBcc: x@example.org".to_owned();
        let link = "https://files.example/activate/a.b.c".to_owned();
        let until = Timestamp::from_secs(1_800_000_000);
        vec![
            Letter::Activate { link: link.clone(), until },
            Letter::AlreadyRegistered {
                name: name.clone(),
                login: "https://files.example/login".to_owned(),
                reset: link.clone(),
                until,
            },
            Letter::Invite { name: name.clone(), by: name.clone(), link: link.clone(), until },
            Letter::Reset { name: name.clone(), link: link.clone(), until },
            Letter::ConfirmAddress { link: link.clone(), until },
            Letter::AddressChanged { name: name.clone(), new_address: "new\"<b>@example.org".to_owned() },
            Letter::PasswordChanged { name: name.clone(), forgot: link.clone() },
            Letter::Taken {
                name: name.clone(),
                title: "Plans <script>\r\nBcc: x@example.org".to_owned(),
                file: "a<script>\u{202e}b.pdf".to_owned(),
                recipient: "bob<b>@example.org".to_owned(),
                at: until,
                address: "192.0.2.0/24".to_owned(),
                more: 39,
                page: link.clone(),
            },
            Letter::AccountDeleted { name: name.clone() },
            Letter::Link {
                by: "Lin <script>alert(1)</script>\r\nBcc: x@example.org".to_owned(),
                title: "Report <script>\u{202e}\r\nBcc: x@example.org".to_owned(),
                files: vec!["a<script>\u{202e}b.pdf".to_owned(); 7],
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

/// What somebody typed, on one line and without what would turn a terminal or a header around.
fn line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// A title on a line of its own, which fits a terminal; a long one is cut, and says so.
fn title_line(title: &str) -> String {
    const MAX: usize = 72;
    let title = line(title);
    if title.chars().count() <= MAX {
        return title;
    }
    title.chars().take(MAX - 1).chain(['…']).collect()
}

/// The first few names, and how many more there are.
fn listed(files: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut lines: Vec<String> =
        files.iter().take(SHOWN).map(|name| title_line(&human::name(name))).collect();
    match files.len().saturating_sub(SHOWN) {
        0 => {}
        more => lines.push(format!("and {more} more")),
    }
    lines.join("\n")
}

/// What a link asks for, in sentences.
fn terms(by: &str, uses: Option<u32>, until: Option<String>, password: bool, code: bool) -> String {
    let mut sentences = Vec::new();
    let end = until.map(|until| format!(" It expires {until}.")).unwrap_or_default();
    match uses {
        Some(1) => sentences.push(format!("You can download it once.{end}")),
        Some(2) => sentences.push(format!("You can download it twice.{end}")),
        Some(uses) => {
            sentences.push(format!("You can download it {} times.{end}", human::grouped(u64::from(uses))));
        }
        None => sentences.push(end.trim_start().to_owned()),
    }
    if password {
        sentences.push(format!("You'll need a password, which {} will give you separately.", line(by)));
    }
    if code {
        sentences.push("We'll email you a code when you download.".to_owned());
    }
    sentences.retain(|sentence| !sentence.is_empty());
    sentences.join("\n")
}

/// What somebody typed, line by line, without what would turn a terminal around.
fn plain(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

/// The same in lines that fit a terminal, marked as somebody else's words.
fn quoted(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.lines() {
        let mut current = String::from(">");
        for word in paragraph.split(' ') {
            // A word of more than a line, such as an address, stays whole on a line of its own.
            if current != ">" && current.chars().count() + word.chars().count() > 71 {
                lines.push(std::mem::replace(&mut current, ">".to_owned()));
            }
            current.push(' ');
            current.push_str(word);
        }
        lines.push(current);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_renders_and_escapes_hostile_values() {
        for letter in Letter::samples() {
            let Rendered { subject, text, html } =
                letter.render("files.example", Timestamp::from_secs(1_799_900_000)).unwrap();
            assert!(!subject.is_empty() && !subject.contains(['\r', '\n']), "{subject:?}");
            assert!(!html.contains("<script") && !html.contains("<b>@"), "{html}");
            assert!(html.starts_with("<!doctype html>") && html.contains("files.example"), "{html}");
            for line in text.lines() {
                let is_link = line.contains("://");
                assert!(is_link || line.chars().count() <= 160, "too wide for a terminal: {line}");
                assert!(!line.starts_with("Bcc:"), "{text}");
            }
            if html.contains("https://files.example/activate/a.b.c") {
                let alone = text.lines().any(|line| line == "https://files.example/activate/a.b.c");
                assert!(alone, "the link stands alone on its line: {text}");
            }
        }
    }
}
