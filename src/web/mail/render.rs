//! Renders letters: subject, text and HTML of each, from one folder of templates per letter.

use std::sync::Arc;

use askama::Template;

use crate::brand::Brand;
use crate::clock::Timestamp;
use crate::human;
use crate::web::mail::letters::{Letter, NoticedDownload, RenderedLetter};
use crate::web::mail::request_origin::RequestOrigin;
use crate::web::mail::wording::{file_line, line, listed, note_lines, quoted, title_line, wrapped};

/// The values that the templates use.
#[derive(Default)]
struct Words {
    host: String,
    /// The name of the server, or its host where the operator chose no name.
    place: String,
    /// The operator's name, and the colors of buttons.
    brand: Arc<Brand>,
    /// Where people get help; empty if unknown.
    support: String,
    name: String,
    by: String,
    link: String,
    other: String,
    until: String,
    file: String,
    address: String,
    title: String,
    /// The terms of a link, one sentence each.
    terms: Vec<String>,
    /// The note, line by line.
    note: Vec<String>,
    /// The note as a quotation in plain text.
    quoted: String,
    /// Files, one per line.
    files: Vec<String>,
    /// The total of the files or downloads; empty if unknown.
    total: String,
    /// How many more than listed; empty for none.
    more: String,
    /// When, with which browser and from which network the request was made; empty if unknown.
    when: String,
    browser: String,
    network: String,
}

impl Words {
    fn asked(self, asked: Option<&RequestOrigin>) -> Words {
        match asked {
            None => self,
            Some(RequestOrigin { at, browser, network }) => {
                Words { when: human::time(*at), browser: line(browser), network: line(network), ..self }
            }
        }
    }
}

macro_rules! letters {
    ($($module:ident: $subject:literal, $text:literal, $html:literal;)*) => {
        $(mod $module {
            use super::{RenderedLetter, Template, Words, wrapped};

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

            pub(super) fn render(words: &Words) -> Result<RenderedLetter, askama::Error> {
                let subject = Subject { words }.render()?.trim().to_owned();
                Ok(RenderedLetter { subject, text: wrapped(&Text { words }.render()?), html: Html { words }.render()? })
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
    received: "mail/received/subject.txt", "mail/received/text.txt", "mail/received/html.html";
    link: "mail/link/subject.txt", "mail/link/text.txt", "mail/link/html.html";
    link_code: "mail/link-code/subject.txt", "mail/link-code/text.txt", "mail/link-code/html.html";
    webhook_disabled: "mail/webhook-disabled/subject.txt", "mail/webhook-disabled/text.txt",
        "mail/webhook-disabled/html.html";
    test: "mail/test/subject.txt", "mail/test/text.txt", "mail/test/html.html";
}

impl Letter {
    /// Renders the letter as it is sent at `now`, on behalf of the server at `host`.
    ///
    /// # Errors
    /// When a template fails.
    pub fn render(
        &self,
        host: &str,
        brand: &Arc<Brand>,
        now: Timestamp,
    ) -> Result<RenderedLetter, askama::Error> {
        let words = |name: &str| Words {
            host: host.to_owned(),
            place: brand.place(host).to_owned(),
            brand: brand.clone(),
            support: brand.support.as_ref().map_or_else(String::new, |support| support.shown.clone()),
            name: line(name),
            ..Words::default()
        };
        let linked = |name: &str, link: &str, until: &Timestamp| Words {
            link: link.to_owned(),
            until: human::end(now, *until),
            ..words(name)
        };
        match self {
            Letter::Activate { link, until } => activate::render(&linked("", link, until)),
            Letter::AlreadyRegistered { name, login, reset, until, asked } => {
                let words = Words { other: reset.clone(), ..linked(name, login, until) };
                already_registered::render(&words.asked(asked.as_ref()))
            }
            Letter::Invite { name, by, link, until } => {
                invite::render(&Words { by: line(by), ..linked(name, link, until) })
            }
            Letter::Reset { name, by, link, until, asked } => {
                let words = Words { by: line(by), ..linked(name, link, until) };
                reset::render(&words.asked(asked.as_ref()))
            }
            Letter::ConfirmAddress { link, until } => confirm_address::render(&linked("", link, until)),
            Letter::AddressChanged { name, new_address, asked } => {
                let words = Words { other: line(new_address), ..words(name) };
                address_changed::render(&words.asked(asked.as_ref()))
            }
            Letter::PasswordChanged { name, forgot, asked } => {
                let words = Words { link: forgot.clone(), ..words(name) };
                password_changed::render(&words.asked(asked.as_ref()))
            }
            Letter::AccountDeleted { name } => account_deleted::render(&words(name)),
            Letter::Taken { name, title, downloads, more, page, unsubscribe } => {
                let first = downloads.first();
                let of_first = |text: fn(&NoticedDownload) -> String| first.map(text).unwrap_or_default();
                let count = *more + downloads.len() as u64;
                // The address of a person who made all of them.
                let by = downloads.iter().all(|one| Some(&one.recipient) == first.map(|one| &one.recipient));
                let words = Words {
                    total: if count > 1 { human::counted(count, "download") } else { String::new() },
                    more: if *more > 0 { format!("and {more} more") } else { String::new() },
                    by: if by && *more == 0 { of_first(|one| line(&one.recipient)) } else { String::new() },
                    title: title_line(title),
                    link: page.clone(),
                    other: unsubscribe.clone(),
                    ..words(name)
                };
                taken::render(&match count {
                    0 | 1 => Words {
                        file: of_first(|one| file_line(&one.file)),
                        address: of_first(|one| line(&one.address)),
                        until: of_first(|one| human::time(one.at)),
                        ..words
                    },
                    _ => Words { files: downloads.iter().map(download_line).collect(), ..words },
                })
            }
            Letter::Received { name, title, from, files, total, page } => received::render(&Words {
                by: line(from),
                title: title_line(title),
                files: listed(files, 0),
                total: total.clone(),
                link: page.clone(),
                ..words(name)
            }),
            Letter::Link {
                by,
                title,
                note,
                files,
                address,
                uses_per_recipient,
                until,
                asks_password,
                asks_code,
            } => {
                let note = note_lines(note);
                let end = until.map(|until| human::end(now, until));
                link::render(&Words {
                    by: line(by),
                    title: title_line(title),
                    link: address.clone(),
                    quoted: quoted(&note),
                    note,
                    files: listed(&files.names, files.unlisted),
                    total: files.total.clone(),
                    terms: terms(by, files.is_several, *uses_per_recipient, end, *asks_password, *asks_code),
                    ..words("")
                })
            }
            Letter::LinkCode { title, code, until } => link_code::render(&Words {
                title: title_line(title),
                other: code.clone(),
                until: human::end(now, *until),
                ..words("")
            }),
            Letter::WebhookDisabled { name, host, page } => {
                webhook_disabled::render(&Words { other: line(host), link: page.clone(), ..words(name) })
            }
            Letter::Test => test::render(&words("")),
        }
    }
}

/// Returns a download as one line of a list.
fn download_line(download: &NoticedDownload) -> String {
    let NoticedDownload { file, recipient, at, address } = download;
    let known = [file_line(file), line(recipient), line(address), human::time(*at)];
    known.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Returns the terms of a link as sentences.
fn terms(
    by: &str,
    is_several: bool,
    uses_per_recipient: Option<u32>,
    end: Option<String>,
    password: bool,
    code: bool,
) -> Vec<String> {
    let what = if is_several { "each file" } else { "it" };
    let often = match uses_per_recipient {
        Some(1) => format!("You can download {what} once."),
        Some(2) => format!("You can download {what} twice."),
        Some(uses) => format!("You can download {what} {} times.", human::grouped(u64::from(uses))),
        None => format!("You can download {what} as often as you like."),
    };
    let mut sentences = vec![often];
    sentences.extend(end.map(|end| format!("The link expires {end}.")));
    if password {
        sentences.push(format!("You'll need a password, which {} will give you separately.", line(by)));
    }
    if code {
        sentences.push("We'll email you a code when you download.".to_owned());
    }
    sentences
}
