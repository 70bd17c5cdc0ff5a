//! The state of a link in words, as its owner sees it.

use crate::clock::Timestamp;
use crate::human;
use crate::web::arrivals::Arrival;
use crate::web::links::LinkStatus;
use crate::web::links::find::ListedLink;

/// What can be done with a link now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It can be used to download.
    Open,
    /// Its files are still being uploaded.
    Uploading,
    /// Its files were not uploaded completely, so it has ended.
    Abandoned,
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

impl LinkState {
    /// Returns the state of a link in a list. Whether its owner may still read its files isn't looked at.
    pub(crate) fn of(listed: &ListedLink, now: Timestamp) -> LinkState {
        match listed.link.status(now) {
            LinkStatus::Open if listed.is_used_up() => LinkState::UsedUp,
            LinkStatus::Open => LinkState::Open,
            LinkStatus::Uploading => LinkState::Uploading,
            LinkStatus::Abandoned => LinkState::Abandoned,
            LinkStatus::Paused => LinkState::Paused,
            LinkStatus::Ended => LinkState::Ended,
            LinkStatus::Revoked => LinkState::Revoked,
        }
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            LinkState::Open => "open",
            LinkState::Uploading => "uploading",
            LinkState::Abandoned => "upload not finished",
            LinkState::Paused => "paused",
            LinkState::UsedUp => "used up",
            LinkState::Ended => "expired",
            LinkState::Revoked => "no longer shared",
            LinkState::Gone => "unavailable: you no longer have access to its files",
        }
    }
}

/// Returns how often a link's page was opened, in words.
pub(crate) fn viewed(count: u32) -> String {
    match count {
        0 => "not viewed yet".to_owned(),
        1 => "viewed once".to_owned(),
        count => format!("viewed {} times", human::grouped(u64::from(count))),
    }
}

/// Returns how many files of a link have arrived, in words.
pub(crate) fn arrived_words(arrival: &Arrival) -> String {
    let expected = human::counted(u64::from(arrival.expected), "file");
    format!("{} of {expected}", human::grouped(u64::from(arrival.arrived)))
}
