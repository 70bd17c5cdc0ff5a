//! The state of a link in words, as its owner sees it.

use crate::human;

/// What can be done with a link now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It can be used to download.
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

impl LinkState {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            LinkState::Open => "open",
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
