//! The sheet for sharing a link: its address, its QR code, and its terms folded beneath.

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::web::arrivals::Arrival;
use crate::web::http::layout::Chrome;
use crate::web::http::link_state::{LinkState, arrived_words};
use crate::web::http::qr::Qr;
use crate::web::links::limits::LinkLimits;
use crate::web::links::terms::{LinkForm, LinkFormErrors};

/// `GET /links/{id}/sheet`: a part of a page. Posts the terms to the same address.
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/sheet.html")]
pub struct ShareSheet {
    /// The frame of the page that it becomes a part of.
    pub chrome: Chrome,
    /// The link's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its state.
    pub state: LinkState,
    /// Whether it waits for files.
    pub waits: bool,
    /// The files that it waits for or has waited for.
    pub arrival: Option<Arrival>,
    /// Where its files are to be uploaded, as forms carry it; empty if it waits for none.
    pub folder: String,
    /// Its address for anyone, if it has one.
    pub address: Option<String>,
    /// The id of the recipient with that address.
    pub recipient: Option<String>,
    /// The QR code of the address.
    pub qr: Option<Qr>,
    /// The addresses of the named recipients.
    pub people: Vec<String>,
    /// The uses of each recipient; `None` for any number.
    pub uses: Option<u32>,
    /// When it expires.
    pub ends_at: Option<Timestamp>,
    /// Whether it asks for a password.
    pub has_password: bool,
    /// What the operator allows links at most.
    pub limits: LinkLimits,
    /// Whether its owner has turned off emails about downloads.
    pub notices_off: bool,
    /// Whether its files are all in its owner's folder.
    pub are_own: bool,
    /// The terms in the form.
    pub typed: LinkForm,
    /// What was wrong with them.
    pub errors: LinkFormErrors,
}

impl ShareSheet {
    fn downloads(&self) -> String {
        match self.uses {
            Some(uses) => human::counted(u64::from(uses), "download"),
            None => "Unlimited downloads".to_owned(),
        }
    }

    fn arrived(&self) -> Option<String> {
        self.arrival.as_ref().filter(|_| self.waits).map(arrived_words)
    }

    /// Returns whether its files will never be there.
    fn has_ended(&self) -> bool {
        self.state == LinkState::Abandoned
    }

    fn mailed_to(&self) -> String {
        match self.people.as_slice() {
            [] => String::new(),
            [only] => only.clone(),
            [first, others @ ..] => format!("{first} and {} more", others.len()),
        }
    }

    /// Returns whether something is wrong with the terms, not with the recipients.
    fn has_wrong_terms(&self) -> bool {
        self.errors.any() && self.errors.recipients.is_empty()
    }

    fn arrived_count(&self) -> u32 {
        self.arrival.map_or(0, |arrival| arrival.arrived)
    }
}
