//! The public page of a link: what is there, from whom, until when, and the button that takes it.

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::web::links::contents::Item;
use crate::web::pages::Chrome;

/// `GET /l/{code}`; posts `file`, `password`, `code` and `csrf` to the same address.
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
    /// What he wants to say; may be empty.
    pub note: String,
    /// The files, and for each whether this browser has taken it.
    pub items: Vec<(Item, Taken)>,
    /// Whether there are more files than are listed.
    pub more: bool,
    /// How many are not there now.
    pub missing: usize,
    /// How many uses are left; `None` for any number.
    pub left: Option<u32>,
    /// Its end; `None` for never.
    pub ends_at: Option<Timestamp>,
    /// Whether it asks for a password, and what was wrong with the one given.
    pub password: Option<Proof>,
    /// The same of a mailed code.
    pub code: Option<Proof>,
    /// To whom codes are mailed, as far as a stranger may see it.
    pub mailed_to: String,
    /// Whether one was just asked for.
    pub mailed: bool,
    /// Who looks: the owner himself.
    pub own: bool,
}

/// What this browser did with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nothing.
    NotYet,
    /// It pressed the button; nothing is known to have been sent.
    Pressed,
    /// It has taken it.
    Done,
}

/// What somebody has to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// What was wrong with what he showed.
    pub error: Option<String>,
}

impl PublicLink {
    fn is_single(&self) -> bool {
        self.items.len() == 1 && !self.more
    }

    fn total(&self) -> String {
        let bytes = self.items.iter().map(|(item, _)| item.size).fold(0, u64::saturating_add);
        if self.is_single() {
            return human::size(bytes);
        }
        let files = human::counted(u64::try_from(self.items.len()).unwrap_or(u64::MAX), "file");
        let more = if self.more { "more than " } else { "" };
        format!("{more}{files}, {more}{}", human::size(bytes))
    }

    fn ends(&self) -> String {
        self.ends_at.map(human::time).unwrap_or_default()
    }

    fn missing_words(&self) -> String {
        match self.missing {
            1 => "One item of this link is not there at the moment.".to_owned(),
            missing => format!("{missing} items of this link are not there at the moment."),
        }
    }

    fn left_words(&self) -> Option<String> {
        let left = self.left?;
        Some(match left {
            0 => "none but what you have begun".to_owned(),
            left => human::grouped(u64::from(left)),
        })
    }

    fn sample(many: bool) -> PublicLink {
        let item = |key: &str, name: &str, size| -> Option<Item> {
            Some(Item { key: key.to_owned(), path: "/books/a".parse().ok()?, name: name.to_owned(), size })
        };
        let mut items: Vec<(Item, Taken)> = item("0", "我这一辈子 <script>alert(1)</script>.pdf", 48_213)
            .map(|i| (i, Taken::NotYet))
            .into_iter()
            .collect();
        if many {
            let more = [
                (item("1/a%0Ab.txt", "Photos/a\nb.txt", 12), Taken::Done),
                (item("1/deep/%22.jpg", "Photos/deep/\"\u{202e}gpj.exe", 3_456_789), Taken::Pressed),
            ];
            items.extend(more.into_iter().filter_map(|(item, taken)| Some((item?, taken))));
        }
        let proof = || Some(Proof { error: Some("This is not the password.".to_owned()) });
        PublicLink {
            chrome: Chrome::public("Report <script>"),
            action: "/l/0123456789abcdefghijkl".to_owned(),
            csrf: "c\"srf".to_owned(),
            title: "Report <script>alert(1)</script>".to_owned(),
            from: "Lin <b>&co".to_owned(),
            note: "Here it is.\n\n<b>Bye</b>".to_owned(),
            items,
            more: many,
            missing: usize::from(many),
            left: Some(3),
            ends_at: Some(Timestamp::from_secs(1_800_000_000)),
            password: if many { proof() } else { None },
            code: if many { proof() } else { None },
            mailed_to: "a…@example.org".to_owned(),
            mailed: many,
            own: false,
        }
    }
}

/// Why a link can't be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Its owner has paused it.
    Paused,
    /// Its time is over.
    Ended,
    /// Its owner has withdrawn it.
    Withdrawn,
    /// All uses are taken, and some of them may become free again.
    UsedUpForNow,
    /// All uses are taken.
    UsedUp,
    /// Its owner can't give it any more.
    Gone,
    /// Its files are not there now.
    Missing,
}

impl Closed {
    /// All reasons.
    pub const ALL: [Closed; 7] = [
        Closed::Paused,
        Closed::Ended,
        Closed::Withdrawn,
        Closed::UsedUpForNow,
        Closed::UsedUp,
        Closed::Gone,
        Closed::Missing,
    ];

    /// The `type` of the problem document.
    pub const fn slug(self) -> &'static str {
        match self {
            Closed::Paused => "link-paused",
            Closed::Ended => "link-ended",
            Closed::Withdrawn => "link-withdrawn",
            Closed::UsedUpForNow | Closed::UsedUp => "link-used-up",
            Closed::Gone => "link-gone",
            Closed::Missing => "file-not-found",
        }
    }

    /// The status: a pause ends, and files may come back; all else is for good.
    pub const fn status(self) -> u16 {
        match self {
            Closed::Paused => 403,
            Closed::Missing => 404,
            _ => 410,
        }
    }

    /// In a few words.
    pub const fn headline(self) -> &'static str {
        match self {
            Closed::Paused => "This link is paused",
            Closed::Ended => "This link has ended",
            Closed::Withdrawn => "This link was withdrawn",
            Closed::UsedUpForNow | Closed::UsedUp => "This link is used up",
            Closed::Gone => "This link is gone",
            Closed::Missing => "The file is not there at the moment",
        }
    }

    /// In a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Closed::Paused => "Whoever made it has paused it. It may work again later.",
            Closed::Ended => "Its time is over.",
            Closed::Withdrawn => "Whoever made it has taken it back.",
            Closed::UsedUpForNow => {
                "All its downloads are taken, but not all of them have begun. One that never begins is free \
                 again within minutes: come back then."
            }
            Closed::UsedUp => "All its downloads are taken.",
            Closed::Gone => "Whoever made it can't give these files any more.",
            Closed::Missing => {
                "Nothing is lost: no download was counted. Try again later, or ask who sent you the link."
            }
        }
    }
}

/// A link that can't be taken.
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/closed.html")]
pub struct LinkClosed {
    /// What surrounds the page.
    pub chrome: Chrome,
    /// Why.
    pub why: Closed,
}

impl LinkClosed {
    /// The page for that reason.
    pub fn new(why: Closed) -> LinkClosed {
        LinkClosed { chrome: Chrome::public(why.headline()), why }
    }
}

pub(super) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let (one, many) = (PublicLink::sample(false), PublicLink::sample(true));
    let last = PublicLink { left: Some(0), own: true, ..many.clone() };
    let nothing = PublicLink { items: Vec::new(), more: false, left: None, ends_at: None, ..one.clone() };
    let mut pages = vec![
        ("public-link", one.render()?),
        ("public-link-many", many.render()?),
        ("public-link-last", last.render()?),
        ("public-link-nothing", nothing.render()?),
    ];
    for why in Closed::ALL {
        let name = match why {
            Closed::Paused => "public-link-paused",
            Closed::Ended => "public-link-ended",
            Closed::Withdrawn => "public-link-withdrawn",
            Closed::UsedUpForNow => "public-link-used-up-for-now",
            Closed::UsedUp => "public-link-used-up",
            Closed::Gone => "public-link-gone",
            Closed::Missing => "public-link-missing",
        };
        pages.push((name, LinkClosed::new(why).render()?));
    }
    Ok(pages)
}
