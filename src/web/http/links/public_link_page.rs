//! The public page of a link: what is there, from whom, until when, and the buttons that download it.

use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock::Timestamp;
use crate::human;
use crate::web::http::layout::Chrome;
use crate::web::links::contents::Item;
use crate::web::links::mailed_code::CodeMail;
use crate::web::links::offers::{Offer, Sent};

pub use crate::web::http::problem::closed_link_page::{Closed, LinkClosed};

/// `GET /l/{code}`; posts `file`, `password`, `code`, `again` and `csrf` to the same address.
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/public.html")]
pub struct PublicLink {
    /// What surrounds the page.
    pub chrome: Chrome,
    /// Its address: `/l/{code}`.
    pub action: String,
    /// CSRF token of this browser.
    pub csrf: String,
    /// What it is on, in its owner's words.
    pub title: String,
    /// Who made it.
    pub from: String,
    /// What they want to say; may be empty.
    pub note: String,
    /// The files, and for each what its button would do.
    pub items: Vec<(Item, Offer)>,
    /// How many files there are on all pages.
    pub total: usize,
    /// Which page this is, counted from 1.
    pub page: usize,
    /// How many pages there are.
    pub pages: usize,
    /// What the names of the listed files have; empty for all.
    pub query: String,
    /// Whether there are more files than could be looked at.
    pub more: bool,
    /// How many are not there now.
    pub missing: usize,
    /// How many can't be downloaded because their paths are too long.
    pub too_long: usize,
    /// How many uses are left; `None` for any number.
    pub left: Option<u32>,
    /// Whether the uses are those of a named recipient.
    pub named: bool,
    /// Its end; `None` for never.
    pub ends_at: Option<Timestamp>,
    /// Whether that has passed.
    pub ended: bool,
    /// Whether it asks for a password, and what was wrong with the one given.
    pub password: Option<Proof>,
    /// The same of a mailed code.
    pub code: Option<Proof>,
    /// What else was wrong with a press.
    pub problem: Option<&'static str>,
    /// To whom codes are mailed, as far as a stranger may see it.
    pub mailed_to: String,
    /// How it stands with the code that was asked for last.
    pub mailed: CodeMail,
    /// Who looks: the owner.
    pub own: bool,
    /// The file whose button must be pressed a second time; empty where there is only one.
    pub once_more: Option<String>,
}

/// What somebody has to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// What was wrong with what they showed.
    pub error: Option<String>,
}

impl Offer {
    /// Its word in the page and for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Offer::Download | Offer::LostAgain => "available",
            Offer::Starting => "starting",
            Offer::Running(_) => "running",
            Offer::Interrupted(_) => "interrupted",
            Offer::DoneAgain | Offer::Done => "downloaded",
            Offer::Lost | Offer::Gone => "unavailable",
        }
    }

    /// How the visitor stands to the file; empty where there is nothing to say.
    pub fn status(self) -> String {
        match self {
            Offer::Download | Offer::Starting => String::new(),
            Offer::Running(sent) => match sent.percent() {
                Some(percent) => format!("Downloading, {percent} % so far"),
                None => "Downloading".to_owned(),
            },
            Offer::Interrupted(_) => "Your download was interrupted".to_owned(),
            Offer::DoneAgain | Offer::Done => "You have downloaded this file".to_owned(),
            Offer::LostAgain | Offer::Lost => {
                "Your download was not finished, and it is too late to continue it".to_owned()
            }
            Offer::Gone => "No longer available".to_owned(),
        }
    }

    /// What its button says; `None` where it has none.
    pub fn button(self) -> Option<String> {
        let go_on = |sent: Sent| match sent.percent() {
            Some(percent) => format!("Continue ({percent} % so far)"),
            None => "Continue".to_owned(),
        };
        match self {
            Offer::Download | Offer::Starting | Offer::LostAgain => Some("Download".to_owned()),
            Offer::Running(sent) | Offer::Interrupted(sent) => Some(go_on(sent)),
            Offer::DoneAgain => Some("Download again".to_owned()),
            Offer::Done | Offer::Lost | Offer::Gone => None,
        }
    }

    /// Whether pressing its button is what the visitor most likely came for.
    const fn is_primary(self) -> bool {
        !matches!(self, Offer::DoneAgain | Offer::Running(_))
    }
}

impl PublicLink {
    fn is_single(&self) -> bool {
        self.items.len() == 1 && self.pages == 1 && self.query.is_empty() && !self.more
    }

    /// Whether that file waits for the second press.
    fn awaits_press(&self, key: &str) -> bool {
        self.once_more.as_deref().is_some_and(|wanted| wanted == key || self.is_single())
    }

    fn has_button(&self) -> bool {
        self.items.iter().any(|(_, offer)| offer.button().is_some())
    }

    /// Whether a browser without cookies pays for each file: then it should know before.
    fn counts_each_file(&self) -> bool {
        !self.is_single() && !self.named && self.left.is_some()
    }

    fn total(&self) -> String {
        let bytes = self.items.iter().map(|(item, _)| item.size).fold(0, u64::saturating_add);
        if self.is_single() {
            return human::size(bytes);
        }
        if self.total == 0 && self.missing > 0 {
            return "Not available right now".to_owned();
        }
        let files = human::counted(u64::try_from(self.total).unwrap_or(u64::MAX), "file");
        let more = if self.more { "more than " } else { "" };
        match self.pages {
            1 => format!("{more}{files}, {more}{}", human::size(bytes)),
            // What lies on other pages was not looked at one by one.
            _ => format!("{more}{files}"),
        }
    }

    /// Whether the visitor may look for files by name.
    const fn can_search(&self) -> bool {
        self.pages > 1 || !self.query.is_empty()
    }

    fn shown_page(&self) -> String {
        let number = |count: usize| human::grouped(u64::try_from(count).unwrap_or(u64::MAX));
        format!("Page {} of {}", number(self.page), number(self.pages))
    }

    /// The addresses of the pages before and after this one.
    fn pager(&self) -> (Option<String>, Option<String>) {
        let at = |page: usize| match self.query.as_str() {
            "" => format!("{}?page={page}", self.action),
            query => {
                let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
                format!("{}?q={query}&page={page}", self.action)
            }
        };
        let before = (self.page > 1).then(|| at(self.page - 1));
        (before, (self.page < self.pages).then(|| at(self.page + 1)))
    }

    fn ends(&self) -> String {
        self.ends_at.map(human::time).unwrap_or_default()
    }

    fn missing_words(&self) -> String {
        match self.missing {
            1 => "One item of this link is not available right now.".to_owned(),
            missing => format!("{missing} items of this link are not available right now."),
        }
    }

    fn too_long_words(&self) -> String {
        let files = human::counted(u64::try_from(self.too_long).unwrap_or(u64::MAX), "file");
        format!("{files} can’t be downloaded because the path is too long. Ask the sender to shorten it.")
    }

    fn left(&self) -> String {
        PublicLink::left_words(self.left, self.has_button())
    }

    /// How many downloads are left, in words; `has_own` says that this visitor may still finish theirs.
    pub fn left_words(left: Option<u32>, has_own: bool) -> String {
        match left {
            None => "Unlimited".to_owned(),
            Some(0) if has_own => "None, but you can finish yours".to_owned(),
            Some(0) => "None".to_owned(),
            Some(left) => human::grouped(u64::from(left)),
        }
    }

    pub(crate) fn sample(many: bool) -> PublicLink {
        let item = |key: &str, name: &str, size| -> Option<Item> {
            let (key, name, version) = (key.to_owned(), name.to_owned(), String::new());
            Some(Item { key, path: "/books/a".parse().ok()?, name, size, version })
        };
        let first = item("0", "我这一辈子 <script>alert(1)</script>.pdf", 48_213);
        let mut items: Vec<(Item, Offer)> = first.map(|item| (item, Offer::Download)).into_iter().collect();
        if many {
            let sent = Sent { bytes: 345_678, size: 3_456_789 };
            let more = [
                (item("1/a%0Ab.txt", "Photos/a\nb.txt", 12), Offer::DoneAgain),
                (item("1/deep/%22.jpg", "Photos/deep/\"\u{202e}gpj.exe", 3_456_789), Offer::Running(sent)),
                (item("1/deep/1.jpg", "Photos/deep/1.jpg", 3_456_789), Offer::Interrupted(sent)),
                (item("1/deep/2.jpg", "Photos/deep/2.jpg", 3_456_789), Offer::Starting),
                (item("1/deep/3.jpg", "Photos/deep/3.jpg", 3_456_789), Offer::Done),
                (item("1/deep/4.jpg", "Photos/deep/4.jpg", 3_456_789), Offer::LostAgain),
                (item("1/deep/5.jpg", "Photos/deep/5.jpg", 3_456_789), Offer::Lost),
                (item("1/deep/6.jpg", "Photos/deep/6.jpg", 3_456_789), Offer::Gone),
            ];
            items.extend(more.into_iter().filter_map(|(item, offer)| Some((item?, offer))));
        }
        let proof = || Some(Proof { error: Some("This password is not correct.".to_owned()) });
        PublicLink {
            chrome: Chrome::public("Report <script>"),
            action: "/l/0123456789abcdefghijkl".to_owned(),
            csrf: "c\"srf".to_owned(),
            title: "Report <script>alert(1)</script>".to_owned(),
            from: "Lin <b>&co".to_owned(),
            note: "Here it is.\n\n<b>Bye</b>".to_owned(),
            total: if many { 2_300 } else { items.len() },
            page: if many { 2 } else { 1 },
            pages: if many { 3 } else { 1 },
            query: if many { "\"><script>".to_owned() } else { String::new() },
            items,
            more: many,
            missing: usize::from(many),
            too_long: if many { 2 } else { 0 },
            left: Some(3),
            named: false,
            ends_at: Some(Timestamp::from_secs(1_800_000_000)),
            ended: false,
            password: if many { proof() } else { None },
            code: if many { proof() } else { None },
            problem: many.then_some("Choose which file to download."),
            mailed_to: "a…@example.org".to_owned(),
            mailed: if many { CodeMail::Waiting { is_late: true } } else { CodeMail::None },
            own: false,
            once_more: None,
        }
    }

    fn was_asked_for_a_code(&self) -> bool {
        self.mailed != CodeMail::None
    }

    /// How it stands with the code, below its field.
    fn code_hint(&self) -> String {
        let to = &self.mailed_to;
        match self.mailed {
            CodeMail::None => format!("We email it to {to}."),
            CodeMail::Waiting { is_late: false } => {
                format!("We’re sending a code to {to}. It is valid for 15 minutes once it’s sent.")
            }
            CodeMail::Waiting { is_late: true } => format!(
                "We’re sending a code to {to}, but that takes longer than usual: the mail server hasn’t taken \
                 it yet. We keep trying, and the code is valid for 15 minutes once it’s sent."
            ),
            CodeMail::Valid { until } => format!(
                "We sent a code to {to}. It is valid until {}. Nothing there? Check your spam folder or \
                 request a new code.",
                human::time(until)
            ),
            CodeMail::Expired => {
                format!("The last code that we sent to {to} has expired. Request a new one.")
            }
            CodeMail::Undelivered => format!(
                "We couldn’t deliver the code to {to}. Request a new one, or ask the sender to check the address."
            ),
        }
    }

    pub(crate) fn sample_of(offer: Offer) -> PublicLink {
        let mut page = PublicLink { left: Some(0), ..PublicLink::sample(false) };
        page.items.iter_mut().for_each(|(_, shown)| *shown = offer);
        page
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let (one, many) = (PublicLink::sample(false), PublicLink::sample(true));
    let once_more = PublicLink { once_more: Some("0".to_owned()), ..one.clone() };
    let until = Timestamp::from_secs(1_799_990_000);
    let mut codes = Vec::new();
    for (name, mailed) in [
        ("public-link-code-waiting", CodeMail::Waiting { is_late: false }),
        ("public-link-code-valid", CodeMail::Valid { until }),
        ("public-link-code-expired", CodeMail::Expired),
        ("public-link-code-undelivered", CodeMail::Undelivered),
    ] {
        let page = PublicLink { mailed, code: Some(Proof::default()), ..one.clone() };
        codes.push((name, page.render()?));
    }
    let last = PublicLink { left: Some(0), own: true, ..many.clone() };
    let nothing = PublicLink { items: Vec::new(), more: false, left: None, ends_at: None, ..one.clone() };
    let unfound = PublicLink { query: "zzz".to_owned(), ..nothing.clone() };
    let sent = Sent { bytes: 9_000, size: 100_000 };
    let ended = PublicLink { ended: true, ..PublicLink::sample_of(Offer::Interrupted(sent)) };
    codes.extend([
        ("public-link", one.render()?),
        ("public-link-once-more", once_more.render()?),
        ("public-link-many", many.render()?),
        ("public-link-last", last.render()?),
        ("public-link-nothing", nothing.render()?),
        ("public-link-unfound", unfound.render()?),
        ("public-link-running", PublicLink::sample_of(Offer::Running(sent)).render()?),
        ("public-link-interrupted", PublicLink::sample_of(Offer::Interrupted(sent)).render()?),
        ("public-link-ended-interrupted", ended.render()?),
        ("public-link-done", PublicLink::sample_of(Offer::Done).render()?),
        ("public-link-done-again", PublicLink::sample_of(Offer::DoneAgain).render()?),
        ("public-link-lost", PublicLink::sample_of(Offer::Lost).render()?),
    ]);
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_a_file_has_its_words_and_its_button() {
        let sent = Sent { bytes: 9_000, size: 100_000 };
        let small = Sent { bytes: 3, size: 4 };
        for (offer, status, button) in [
            (Offer::Download, "", Some("Download")),
            (Offer::Starting, "", Some("Download")),
            (Offer::Running(sent), "Downloading, 9 % so far", Some("Continue (9 % so far)")),
            (Offer::Running(small), "Downloading", Some("Continue")),
            (Offer::Interrupted(sent), "Your download was interrupted", Some("Continue (9 % so far)")),
            (Offer::Interrupted(small), "Your download was interrupted", Some("Continue")),
            (Offer::DoneAgain, "You have downloaded this file", Some("Download again")),
            (Offer::Done, "You have downloaded this file", None),
            (Offer::Gone, "No longer available", None),
        ] {
            assert_eq!((offer.status().as_str(), offer.button().as_deref()), (status, button), "{offer:?}");
        }
    }
}
