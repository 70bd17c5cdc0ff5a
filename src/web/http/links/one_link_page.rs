//! The page of one link, as its owner sees it.

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::web::arrivals::{Arrival, ArrivalState};
use crate::web::http::deliveries_part::DeliveriesPart;
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::link_state::{LinkState, arrived_words};
use crate::web::http::links::mailing_page::MailingPart;
use crate::web::http::links::new_link_page::NewLinkPage;
use crate::web::http::links::recipient_list::{RecipientList, RecipientQuery, RecipientRow};
use crate::web::http::qr::Qr;
use crate::web::links::limits::LinkLimits;
use crate::web::links::terms::{LinkForm, LinkFormErrors};

/// The part of a link's page that changes while its owner watches. Also rendered alone, for the script that
/// refreshes it.
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/live.html")]
pub struct LinkLive {
    /// The link's id.
    pub id: String,
    /// Its state.
    pub state: LinkState,
    /// The files that it waits for, if any.
    pub arrival: Option<Arrival>,
    /// When its files were moved to the trash, because it was over.
    pub files_deleted_at: Option<Timestamp>,
    /// The uses of each recipient; `None` for any number.
    pub uses_per_recipient: Option<u32>,
    /// Its recipients.
    pub recipients: RecipientList,
    /// Its downloads.
    pub deliveries: DeliveriesPart,
    /// The present moment.
    pub now: Timestamp,
}

impl LinkLive {
    fn count(&self, recipient: &RecipientRow) -> String {
        let taken = u64::from(recipient.taken);
        let count = match self.uses_per_recipient {
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

    /// Returns how many files have arrived, in words.
    fn arrived(&self) -> Option<String> {
        self.arrival.as_ref().map(arrived_words)
    }

    /// Returns whether something has arrived and something is missing, so that the link can do without it.
    fn can_settle(&self) -> bool {
        self.state == LinkState::Uploading && self.arrival.is_some_and(|arrival| arrival.arrived > 0)
    }
}

/// `GET /links/{id}`: a link as its owner sees it. Posts the fields of [`LinkForm`] to the same address,
/// and a press to `/links/{id}/pause`, `resume`, `revoke`, `extend` or `send`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/one.html")]
pub struct OneLinkPage {
    /// The frame of the page; the owner is logged in.
    pub chrome: Chrome,
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its files and folders as shown, and whether each is missing.
    pub files: Vec<(String, bool)>,
    /// Whether all of them are in the person's own folder.
    pub are_own: bool,
    /// Whether it is paused because the database was restored from a backup.
    pub restored: bool,
    /// The part that changes while its owner watches.
    pub live: LinkLive,
    /// When it expires.
    pub ends_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The QR code of its address, if it has only one.
    pub qr: Option<Qr>,
    /// Whether it asks for a password.
    pub has_password: bool,
    /// What the operator allows links at most.
    pub limits: LinkLimits,
    /// Whether its owner has turned off emails about downloads.
    pub notices_off: bool,
    /// The terms in the form.
    pub typed: LinkForm,
    /// What was wrong with them.
    pub errors: LinkFormErrors,
}

impl OneLinkPage {
    fn can_change(&self) -> bool {
        !matches!(self.live.state, LinkState::Revoked | LinkState::Abandoned)
    }

    fn lacks_files(&self) -> bool {
        self.files.iter().any(|(_, missing)| *missing)
    }

    fn lacks_all_files(&self) -> bool {
        self.files.iter().all(|(_, missing)| *missing)
    }

    /// Returns whether more time, or more downloads, can be added with one press.
    fn can_extend(&self) -> bool {
        self.can_change() && (self.ends_at.is_some() || self.live.uses_per_recipient.is_some())
    }

    /// Returns whether more than one recipient is left, so that one can be removed.
    fn can_remove(&self) -> bool {
        self.can_change() && self.live.recipients.active > 1
    }

    fn is_paused(&self) -> bool {
        self.live.state == LinkState::Paused
    }

    fn is_open_to_all(&self) -> bool {
        self.live.recipients.is_open_to_all
    }

    pub(crate) fn sample(named: bool) -> OneLinkPage {
        let now = Timestamp::from_secs(1_800_000_000);
        let row = |id: &str, email: Option<&str>, taken, views| RecipientRow {
            id: id.to_owned(),
            email: email.map(str::to_owned),
            address: "https://files.example/l/0123456789abcdefghijkl".to_owned(),
            taken,
            reserved: taken / 2,
            views,
            viewed_at: (views > 0).then_some(now),
            file_views: taken,
            file_viewed_at: (taken > 0).then_some(now),
            mailing: None,
            can_send_first: taken == 0 && email.is_some(),
            is_removed: views == 1,
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
        let form = NewLinkPage::sample();
        OneLinkPage {
            chrome: Chrome::sample("Report <script>", Section::Links),
            id: "0123456789abcdefghijkl".to_owned(),
            title: "Report <script>alert(1)</script>".to_owned(),
            restored: false,
            are_own: !named,
            files: form.files.into_iter().map(|file| (file, named)).collect(),
            live: LinkLive {
                id: "0123456789abcdefghijkl".to_owned(),
                state: LinkState::Open,
                arrival: None,
                files_deleted_at: None,
                uses_per_recipient: Some(3),
                recipients: RecipientList::of(recipients, RecipientQuery::default()),
                deliveries: if named { DeliveriesPart::sample() } else { DeliveriesPart::default() },
                now,
            },
            ends_at: Some(now),
            created_at: now,
            qr: (!named).then_some(qr),
            has_password: named,
            notices_off: named,
            limits: form.limits,
            typed: form.typed,
            errors: form.errors,
        }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let (open, named) = (OneLinkPage::sample(false), OneLinkPage::sample(true));
    let mut mailed = OneLinkPage { errors: LinkFormErrors::default(), ..named.clone() };
    if let Some(first) = mailed.live.recipients.rows.first().cloned() {
        let row = |(number, mailing): (usize, MailingPart)| RecipientRow {
            id: format!("m{number}"),
            mailing: Some(mailing),
            ..first.clone()
        };
        let rows = MailingPart::samples().into_iter().enumerate().map(row).collect();
        mailed.live.recipients = RecipientList::of(rows, RecipientQuery::default());
    }
    let right = OneLinkPage { errors: LinkFormErrors::default(), ..open.clone() };
    let live = LinkLive { state: LinkState::Paused, uses_per_recipient: None, ..right.live.clone() };
    let paused = OneLinkPage { live, ends_at: None, ..right.clone() };
    let restored = OneLinkPage { restored: true, ..paused.clone() };
    let arrival = |state| Some(Arrival { state, arrived: 3, expected: 7 });
    let uploading = OneLinkPage {
        live: LinkLive {
            state: LinkState::Uploading,
            arrival: arrival(ArrivalState::Uploading),
            ..right.live.clone()
        },
        ..right.clone()
    };
    let abandoned = OneLinkPage {
        live: LinkLive {
            state: LinkState::Abandoned,
            arrival: arrival(ArrivalState::Abandoned),
            ..right.live.clone()
        },
        ..right.clone()
    };
    let deleted = OneLinkPage {
        live: LinkLive {
            state: LinkState::UsedUp,
            files_deleted_at: Some(right.created_at),
            ..right.live.clone()
        },
        ..right.clone()
    };
    let live = LinkLive { state: LinkState::Revoked, ..right.live.clone() };
    let revoked = OneLinkPage { live, ..right.clone() };
    Ok(vec![
        ("link", right.render()?),
        ("link-errors", open.render()?),
        ("link-named", named.render()?),
        ("link-mailed", mailed.render()?),
        ("link-paused", paused.render()?),
        ("link-restored", restored.render()?),
        ("link-revoked", revoked.render()?),
        ("link-uploading", uploading.render()?),
        ("link-abandoned", abandoned.render()?),
        ("link-files-deleted", deleted.render()?),
    ])
}
