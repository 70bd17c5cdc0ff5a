//! The public page of a link: what is there, from whom, until when, and the buttons that download it.

use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock::Timestamp;
use crate::human;
use crate::viewable;
use crate::web::http::layout::Chrome;
use crate::web::http::zip_words;
use crate::web::links::contents::LinkFile;
use crate::web::links::mailed_code::CodeMailStatus;
use crate::web::links::offers::{Offer, SentBytes};

/// How many missing items are named.
const MISSING_SHOWN: usize = 10;

/// `GET /l/{code}`; posts `file`, `password`, `code`, `again` and `csrf` to the same address.
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/public.html")]
pub struct PublicLinkPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// Its address: `/l/{code}`.
    pub action: String,
    /// The CSRF token of this browser.
    pub csrf: String,
    /// The title, in its owner's words.
    pub title: String,
    /// The name of its owner.
    pub from: String,
    /// Their note; may be empty.
    pub note: String,
    /// What the button for all files as one archive would do; `None` where there is none.
    pub all: Option<Offer>,
    /// How far that archive is, if it was requested and is not ready.
    pub preparing: Option<String>,
    /// The files, each with what its button would do.
    pub items: Vec<(LinkFile, Offer)>,
    /// The number of files on all pages.
    pub total: usize,
    /// Which page this is, counted from 1.
    pub page: usize,
    /// The number of pages.
    pub pages: usize,
    /// What the names of the listed files contain; empty for all files.
    pub query: String,
    /// Whether the link has more files than could be listed.
    pub more: bool,
    /// The total size of the files on all pages, in bytes; `None` if unknown.
    pub size: Option<u64>,
    /// The names of the items that are not available now.
    pub missing: Vec<String>,
    /// The number of files that can't be downloaded because their paths are too long.
    pub too_long: usize,
    /// The uses that are left; `None` for any number.
    pub left: Option<u32>,
    /// Whether the uses are those of a named recipient.
    pub named: bool,
    /// When it expires; `None` for never.
    pub ends_at: Option<Timestamp>,
    /// Whether it has expired.
    pub ended: bool,
    /// Whether it asks for a password, and what was wrong with the one given.
    pub password: Option<ProofField>,
    /// Whether it asks for a mailed code, and what was wrong with the one given.
    pub code: Option<ProofField>,
    /// What was wrong with the choice of a file.
    pub problem: Option<&'static str>,
    /// The address to which codes are mailed, as far as a stranger may see it.
    pub mailed_to: String,
    /// The state of the code that was requested last.
    pub mailed: CodeMailStatus,
    /// Whether files may be viewed in the browser.
    pub may_view: bool,
    /// Whether that includes PDF.
    pub shows_pdf: bool,
    /// Whether the link's owner looks at the page.
    pub own: bool,
    /// The file whose button must be pressed a second time; empty where there is only one.
    pub once_more: Option<String>,
    /// Whether that has been done.
    pub pressed_again: bool,
}

/// A password or code that the page asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProofField {
    /// What was wrong with the last one given.
    pub error: Option<String>,
}

impl PublicLinkPage {
    fn is_single(&self) -> bool {
        self.items.len() == 1 && self.pages == 1 && self.query.is_empty() && !self.more
    }

    /// Returns whether the button of that file must be pressed a second time.
    fn awaits_press(&self, key: &str) -> bool {
        self.once_more.as_deref().is_some_and(|wanted| wanted == key || self.is_single())
    }

    fn has_button(&self) -> bool {
        let offers = self.items.iter().map(|(_, offer)| *offer).chain(self.all);
        offers.into_iter().any(|offer| offer.button().is_some())
    }

    /// Returns the state and the text of the button for all files.
    fn all_words(&self, offer: &Offer) -> (String, Option<String>) {
        (zip_words::status(*offer), zip_words::button(*offer))
    }

    /// Returns whether there is a button to view a file. A proof that the page asks for is needed for that, too.
    fn can_view(&self, item: &LinkFile) -> bool {
        let is_asked = self.has_button() || (self.password.is_none() && self.code.is_none());
        self.may_view && is_asked && viewable::is_offered(&item.name, item.size, self.shows_pdf)
    }

    /// Returns whether each file counts as a download in a browser without cookies, which the page should
    /// say.
    fn counts_each_file(&self) -> bool {
        !self.is_single() && !self.named && self.left.is_some()
    }

    fn total(&self) -> String {
        if let (true, Some((only, _))) = (self.is_single(), self.items.first()) {
            return human::size(only.size);
        }
        if self.total == 0 && !self.missing.is_empty() {
            return "Not available right now".to_owned();
        }
        let files = human::counted(u64::try_from(self.total).unwrap_or(u64::MAX), "file");
        let more = if self.more { "more than " } else { "" };
        match self.size {
            Some(bytes) => format!("{files}, {}", human::size(bytes)),
            None => format!("{more}{files}"),
        }
    }

    /// Returns what a chat may show about the link: the number of files and their size. `None` if a password, a
    /// code or a named recipient protects it, so that no preview reveals anything.
    fn card(&self) -> Option<String> {
        if self.password.is_some() || self.code.is_some() || self.named || self.total == 0 {
            return None;
        }
        Some(match self.is_single() {
            true => format!("1 file, {}", self.total()),
            false => self.total(),
        })
    }

    /// Returns whether files are offered in another browser of the named recipient only.
    fn has_elsewhere(&self) -> bool {
        self.items.iter().any(|(_, offer)| *offer == Offer::Elsewhere)
    }

    /// Returns whether the page has a search by name.
    const fn can_search(&self) -> bool {
        self.pages > 1 || !self.query.is_empty()
    }

    fn shown_page(&self) -> String {
        let number = |count: usize| human::grouped(u64::try_from(count).unwrap_or(u64::MAX));
        format!("Page {} of {}", number(self.page), number(self.pages))
    }

    /// Returns the addresses of the previous and the next page.
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

    fn missing_words(&self) -> String {
        match self.missing.len() {
            1 => "One item of this link is not available right now.".to_owned(),
            missing => format!("{missing} items of this link are not available right now."),
        }
    }

    /// Returns the names of the first missing items, and how many more there are.
    fn missing_names(&self) -> (&[String], usize) {
        let shown = self.missing.get(..MISSING_SHOWN).unwrap_or(&self.missing);
        (shown, self.missing.len() - shown.len())
    }

    fn too_long_words(&self) -> String {
        let files = human::counted(u64::try_from(self.too_long).unwrap_or(u64::MAX), "file");
        format!("{files} can’t be downloaded because the path is too long. Ask the sender to shorten it.")
    }

    fn left(&self) -> String {
        PublicLinkPage::left_words(self.left, self.has_button())
    }

    /// Returns how many downloads are left, in words; `has_own` says that this visitor can still finish one.
    pub fn left_words(left: Option<u32>, has_own: bool) -> String {
        match left {
            None => "Unlimited".to_owned(),
            Some(0) if has_own => "None, but you can finish yours".to_owned(),
            Some(0) => "None".to_owned(),
            Some(left) => human::grouped(u64::from(left)),
        }
    }

    pub(crate) fn sample(many: bool) -> PublicLinkPage {
        let item = |key: &str, name: &str, size| -> Option<LinkFile> {
            let (key, name, version) = (key.to_owned(), name.to_owned(), String::new());
            Some(LinkFile { key, path: "/books/a".parse().ok()?, name, size, version })
        };
        let first = item("0", "我这一辈子 <script>alert(1)</script>.pdf", 48_213);
        let mut items: Vec<(LinkFile, Offer)> =
            first.map(|item| (item, Offer::Download)).into_iter().collect();
        if many {
            let sent = SentBytes { bytes: 345_678, size: 3_456_789 };
            let more = [
                (item("1/a%0Ab.txt", "Photos/a\nb.txt", 12), Offer::DoneAgain),
                (item("1/deep/%22.jpg", "Photos/deep/\"\u{202e}gpj.exe", 3_456_789), Offer::Running(sent)),
                (item("1/deep/1.jpg", "Photos/deep/1.jpg", 3_456_789), Offer::Interrupted(sent)),
                (item("1/deep/2.jpg", "Photos/deep/2.jpg", 3_456_789), Offer::Starting),
                (item("1/deep/3.jpg", "Photos/deep/3.jpg", 3_456_789), Offer::Done),
                (item("1/deep/4.jpg", "Photos/deep/4.jpg", 3_456_789), Offer::LostAgain),
                (item("1/deep/5.jpg", "Photos/deep/5.jpg", 3_456_789), Offer::Lost),
                (item("1/deep/6.jpg", "Photos/deep/6.jpg", 3_456_789), Offer::Gone),
                (item("1/deep/7.jpg", "Photos/deep/7.jpg", 3_456_789), Offer::Elsewhere),
            ];
            items.extend(more.into_iter().filter_map(|(item, offer)| Some((item?, offer))));
        }
        let proof = || Some(ProofField { error: Some("This password is not correct.".to_owned()) });
        PublicLinkPage {
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
            all: many.then_some(Offer::Download),
            preparing: None,
            items,
            more: many,
            size: Some(48_213),
            missing: if many { vec!["<b>lost.pdf".to_owned(); 12] } else { Vec::new() },
            too_long: if many { 2 } else { 0 },
            left: Some(3),
            named: false,
            ends_at: Some(Timestamp::from_secs(1_800_000_000)),
            ended: false,
            password: if many { proof() } else { None },
            code: if many { proof() } else { None },
            problem: many.then_some("Choose which file to download."),
            mailed_to: "a…@example.org".to_owned(),
            mailed: if many { CodeMailStatus::Waiting { is_late: true } } else { CodeMailStatus::None },
            may_view: true,
            shows_pdf: true,
            own: false,
            once_more: None,
            pressed_again: false,
        }
    }

    fn was_asked_for_a_code(&self) -> bool {
        self.mailed != CodeMailStatus::None
    }

    /// Returns the state of the code, for the hint at its field.
    fn code_hint(&self) -> String {
        let to = &self.mailed_to;
        match self.mailed {
            CodeMailStatus::None => format!("We email it to {to}."),
            CodeMailStatus::Waiting { is_late: false } => {
                format!("We’re sending a code to {to}. It is valid for 15 minutes once it’s sent.")
            }
            CodeMailStatus::Waiting { is_late: true } => format!(
                "We’re sending a code to {to}, but that takes longer than usual: the mail server hasn’t \
                 accepted it yet. We keep trying, and the code is valid for 15 minutes once it’s sent."
            ),
            CodeMailStatus::Valid { until } => format!(
                "We sent a code to {to}. It is valid until {}. Nothing there? Check your spam folder or \
                 request a new code.",
                human::time(until)
            ),
            CodeMailStatus::Expired => {
                format!("The last code that we sent to {to} has expired. Request a new one.")
            }
            CodeMailStatus::Undelivered => format!(
                "We couldn’t deliver the code to {to}. Request a new one, or ask the sender to check the address."
            ),
        }
    }

    pub(crate) fn sample_of(offer: Offer) -> PublicLinkPage {
        let mut page = PublicLinkPage { left: Some(0), ..PublicLinkPage::sample(false) };
        page.items.iter_mut().for_each(|(_, shown)| *shown = offer);
        page
    }
}

fn sent_of_all() -> SentBytes {
    SentBytes { bytes: 900_000, size: 9_000_000 }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let (one, many) = (PublicLinkPage::sample(false), PublicLinkPage::sample(true));
    let once_more = PublicLinkPage { once_more: Some("0".to_owned()), ..one.clone() };
    let until = Timestamp::from_secs(1_799_990_000);
    let mut codes = Vec::new();
    for (name, mailed) in [
        ("public-link-code-waiting", CodeMailStatus::Waiting { is_late: false }),
        ("public-link-code-valid", CodeMailStatus::Valid { until }),
        ("public-link-code-expired", CodeMailStatus::Expired),
        ("public-link-code-undelivered", CodeMailStatus::Undelivered),
    ] {
        let page = PublicLinkPage { mailed, code: Some(ProofField::default()), ..one.clone() };
        codes.push((name, page.render()?));
    }
    let last = PublicLinkPage { left: Some(0), own: true, all: Some(Offer::Gone), ..many.clone() };
    let preparing =
        PublicLinkPage { preparing: Some(zip_words::preparing(zip_words::sample())), ..many.clone() };
    let all_running = PublicLinkPage { all: Some(Offer::Running(sent_of_all())), ..many.clone() };
    let nothing = PublicLinkPage { items: Vec::new(), more: false, left: None, ends_at: None, ..one.clone() };
    let elsewhere = PublicLinkPage { named: true, ..PublicLinkPage::sample_of(Offer::Elsewhere) };
    let partly = PublicLinkPage { missing: vec!["lost.pdf".to_owned()], ..one.clone() };
    let lost = PublicLinkPage { missing: vec!["lost.pdf".to_owned()], total: 0, ..nothing.clone() };
    let unfound = PublicLinkPage { query: "zzz".to_owned(), ..nothing.clone() };
    let sent = SentBytes { bytes: 9_000, size: 100_000 };
    let ended = PublicLinkPage { ended: true, ..PublicLinkPage::sample_of(Offer::Interrupted(sent)) };
    codes.extend([
        ("public-link", one.render()?),
        ("public-link-once-more", once_more.render()?),
        ("public-link-many", many.render()?),
        ("public-link-last", last.render()?),
        ("public-link-preparing", preparing.render()?),
        ("public-link-all-running", all_running.render()?),
        ("public-link-nothing", nothing.render()?),
        ("public-link-unfound", unfound.render()?),
        ("public-link-elsewhere", elsewhere.render()?),
        ("public-link-partly", partly.render()?),
        ("public-link-lost-file", lost.render()?),
        ("public-link-running", PublicLinkPage::sample_of(Offer::Running(sent)).render()?),
        ("public-link-interrupted", PublicLinkPage::sample_of(Offer::Interrupted(sent)).render()?),
        ("public-link-ended-interrupted", ended.render()?),
        ("public-link-done", PublicLinkPage::sample_of(Offer::Done).render()?),
        ("public-link-done-again", PublicLinkPage::sample_of(Offer::DoneAgain).render()?),
        ("public-link-lost", PublicLinkPage::sample_of(Offer::Lost).render()?),
    ]);
    Ok(codes)
}
