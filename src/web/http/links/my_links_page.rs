//! The pages on which people see their own links: the list, and each one.

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::links::deliveries_page::DeliveriesPart;
use crate::web::http::links::mailing_page::MailingPart;
use crate::web::links::terms::{TermErrors, Typed};

/// A link in the list.
#[derive(Clone, Debug)]
pub struct LinkRow {
    /// Its id.
    pub id: String,
    /// What its owner calls it.
    pub title: String,
    /// What it is good for now, in a word.
    pub state: State,
    /// How many files and folders it is on.
    pub files: u32,
    /// How many recipients it has.
    pub recipients: u32,
    /// Whether they are named; if not, it is for anyone who has it.
    pub named: bool,
    /// Uses of all of them.
    pub taken: u32,
    /// How many uses all of them have together; `None` for any number.
    pub uses: Option<u64>,
    /// How often it was looked at.
    pub looks: u32,
    /// Its end.
    pub ends_at: Option<Timestamp>,
    /// Whether a file that it is on is not where it was.
    pub lacks_files: bool,
}

/// What a link is good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It can be downloaded.
    Open,
    /// Its owner has paused it.
    Paused,
    /// All uses are taken.
    UsedUp,
    /// It has expired.
    Ended,
    /// Its owner has stopped sharing it.
    Revoked,
    /// Its owner may not read any of its files any more.
    Gone,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Paused => "paused",
            State::UsedUp => "used up",
            State::Ended => "expired",
            State::Revoked => "no longer shared",
            State::Gone => "unavailable: you no longer have access to its files",
        }
    }
}

impl LinkRow {
    fn what(&self) -> String {
        let items = human::counted(u64::from(self.files), "item");
        match self.named {
            true => format!("{items}, {}", human::counted(u64::from(self.recipients), "recipient")),
            false => format!("{items}, anyone with the link"),
        }
    }

    fn count(&self) -> String {
        let taken = human::grouped(u64::from(self.taken));
        match self.uses {
            Some(uses) => format!("{taken} of {}", human::counted(uses, "download")),
            None => human::counted(u64::from(self.taken), "download"),
        }
    }

    fn looked_at(&self) -> String {
        looked_at(self.looks)
    }

    fn ends(&self) -> String {
        self.ends_at.map(human::time).unwrap_or_default()
    }
}

fn looked_at(looks: u32) -> String {
    match looks {
        0 => "not viewed yet".to_owned(),
        1 => "viewed once".to_owned(),
        looks => format!("viewed {} times", human::grouped(u64::from(looks))),
    }
}

/// `GET /links`
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/list.html")]
pub struct MyLinks {
    /// What surrounds the page; somebody is logged in.
    pub chrome: Chrome,
    /// Their links, the newest first.
    pub rows: Vec<LinkRow>,
    /// Its own address.
    pub here: String,
    /// The address of the page before, and of the one after.
    pub pager: (Option<String>, Option<String>),
}

/// A recipient on the page of a link.
#[derive(Clone, Debug)]
pub struct RecipientRow {
    /// Their id.
    pub id: String,
    /// Their address; `None` for anyone who has the link.
    pub email: Option<String>,
    /// The address of their link.
    pub address: String,
    /// Their uses, reserved or used.
    pub taken: u32,
    /// Those that are reserved.
    pub reserved: u32,
    /// How often their page was opened.
    pub looks: u32,
    /// When that was last.
    pub looked_at: Option<Timestamp>,
    /// The mail that brings them the link, if one was asked for.
    pub mailing: Option<MailingPart>,
}

impl RecipientRow {
    fn looked(&self) -> String {
        match (self.looks, self.taken) {
            (0, _) => looked_at(0),
            (looks, 0) => format!("{}, not downloaded", looked_at(looks)),
            (looks, _) => looked_at(looks),
        }
    }
}

/// A QR code as the path of an SVG picture.
#[derive(Clone, Debug)]
pub struct Qr {
    /// How many modules it is wide, its margin included.
    pub width: usize,
    /// Its dark modules.
    pub path: String,
}

/// What changes of a link while its owner looks on. Also rendered alone, for the script that refreshes it.
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/live.html")]
pub struct LinkLive {
    /// What it is good for now.
    pub state: State,
    /// How many uses each recipient has.
    pub uses: Option<u32>,
    /// Whom it is for.
    pub recipients: Vec<RecipientRow>,
    /// Its downloads.
    pub deliveries: DeliveriesPart,
    /// The present moment.
    pub now: Timestamp,
}

impl LinkLive {
    fn count(&self, recipient: &RecipientRow) -> String {
        let taken = u64::from(recipient.taken);
        let count = match self.uses {
            Some(uses) => {
                format!("{} of {} used", human::grouped(taken), human::counted(u64::from(uses), "download"))
            }
            None => human::counted(taken, "download"),
        };
        match recipient.reserved {
            0 => count,
            reserved => format!("{count}, {reserved} not started yet"),
        }
    }

    fn ago(&self, at: &Timestamp) -> String {
        human::ago(self.now, *at)
    }

    /// Recipients whom no mail has reached.
    fn unreached(&self) -> usize {
        let is_lost = |row: &&RecipientRow| row.mailing.as_ref().is_some_and(MailingPart::is_lost);
        self.recipients.iter().filter(is_lost).count()
    }

    /// Whether it is for anyone who has it.
    fn is_open_to_all(&self) -> bool {
        self.recipients.iter().all(|recipient| recipient.email.is_none())
    }
}

/// `GET /links/{id}`: a link as its owner sees it. Posts the fields of [`Typed`] to the same address,
/// and a press to `/links/{id}/pause`, `resume` or `revoke`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/one.html")]
pub struct OneLink {
    /// What surrounds the page; its owner is logged in.
    pub chrome: Chrome,
    /// Its id.
    pub id: String,
    /// What its owner calls it.
    pub title: String,
    /// What it is on, as shown, and whether it is missing.
    pub files: Vec<(String, bool)>,
    /// Whether it waits because the database was put back from a backup.
    pub restored: bool,
    /// What changes while its owner looks on.
    pub live: LinkLive,
    /// Its end.
    pub ends_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The QR code of the address, where there is one address.
    pub qr: Option<Qr>,
    /// Whether it asks for a password.
    pub has_password: bool,
    /// Whether its owner has turned off emails about downloads.
    pub notices_off: bool,
    /// The terms in the form.
    pub typed: Typed,
    /// What was wrong with them.
    pub errors: TermErrors,
}

impl OneLink {
    fn can_change(&self) -> bool {
        self.live.state != State::Revoked
    }

    fn lacks_files(&self) -> bool {
        self.files.iter().any(|(_, missing)| *missing)
    }

    fn is_paused(&self) -> bool {
        self.live.state == State::Paused
    }

    fn is_open_to_all(&self) -> bool {
        self.live.is_open_to_all()
    }

    fn ends(&self) -> String {
        self.ends_at.map(human::time).unwrap_or_default()
    }

    fn created(&self) -> String {
        human::time(self.created_at)
    }

    pub(crate) fn sample(named: bool) -> OneLink {
        let now = Timestamp::from_secs(1_800_000_000);
        let row = |id: &str, email: Option<&str>, taken, looks| RecipientRow {
            id: id.to_owned(),
            email: email.map(str::to_owned),
            address: "https://files.example/l/0123456789abcdefghijkl".to_owned(),
            taken,
            reserved: taken / 2,
            looks,
            looked_at: (looks > 0).then_some(now),
            mailing: None,
        };
        let recipients = if named {
            vec![
                row("a", Some("ada\"<b>@example.org"), 2, 3),
                row("b", Some("bob@example.org"), 0, 1),
                row("c", Some("kim@example.org"), 0, 0),
            ]
        } else {
            vec![row("a", None, 1, 5_000)]
        };
        let qr = Qr { width: 29, path: "M4 4h7v1h-7z".to_owned() };
        let form = crate::web::http::links::new_link_page::NewLink::sample();
        OneLink {
            chrome: Chrome::sample("Report <script>", Section::Links),
            id: "0123456789abcdefghijkl".to_owned(),
            title: "Report <script>alert(1)</script>".to_owned(),
            restored: false,
            files: form.files.into_iter().map(|file| (file, named)).collect(),
            live: LinkLive {
                state: State::Open,
                uses: Some(3),
                recipients,
                deliveries: if named { DeliveriesPart::sample() } else { DeliveriesPart::default() },
                now,
            },
            ends_at: Some(now),
            created_at: now,
            qr: (!named).then_some(qr),
            has_password: named,
            notices_off: named,
            typed: form.typed,
            errors: form.errors,
        }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let row = |title: &str, state, uses, looks| LinkRow {
        id: "0123456789abcdefghijkl".to_owned(),
        title: title.to_owned(),
        state,
        files: 1,
        recipients: 2,
        named: true,
        taken: 3,
        uses,
        looks,
        ends_at: Some(Timestamp::from_secs(1_800_000_000)),
        lacks_files: looks > 0,
    };
    let list = MyLinks {
        chrome: Chrome::sample("Links", Section::Links),
        rows: vec![
            row("Report <script>alert(1)</script>", State::Open, Some(10), 0),
            row("Photos", State::Paused, None, 1),
            row("Contract", State::UsedUp, Some(3), 2_000),
            LinkRow { ends_at: None, ..row("Old", State::Revoked, None, 1) },
            row("Older", State::Ended, None, 1),
            row("Oldest", State::Gone, None, 1),
        ],
        here: "/links?page=2".to_owned(),
        pager: (Some("/links?page=1".to_owned()), Some("/links?page=3".to_owned())),
    };
    let none = MyLinks { rows: Vec::new(), pager: (None, None), ..list.clone() };
    let (open, named) = (OneLink::sample(false), OneLink::sample(true));
    let mut mailed = OneLink { errors: TermErrors::default(), ..named.clone() };
    if let Some(first) = mailed.live.recipients.first().cloned() {
        let row = |(number, mailing): (usize, MailingPart)| RecipientRow {
            id: format!("m{number}"),
            mailing: Some(mailing),
            ..first.clone()
        };
        mailed.live.recipients = MailingPart::samples().into_iter().enumerate().map(row).collect();
    }
    let right = OneLink { errors: TermErrors::default(), ..open.clone() };
    let live = LinkLive { state: State::Paused, uses: None, ..right.live.clone() };
    let paused = OneLink { live, ends_at: None, ..right.clone() };
    let restored = OneLink { restored: true, ..paused.clone() };
    let live = LinkLive { state: State::Revoked, ..right.live.clone() };
    let revoked = OneLink { live, ..right.clone() };
    Ok(vec![
        ("links", list.render()?),
        ("links-none", none.render()?),
        ("link", right.render()?),
        ("link-errors", open.render()?),
        ("link-named", named.render()?),
        ("link-mailed", mailed.render()?),
        ("link-paused", paused.render()?),
        ("link-restored", restored.render()?),
        ("link-revoked", revoked.render()?),
    ])
}
