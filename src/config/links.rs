//! The settings of links that people create for others.

use std::time::Duration;

use serde::Deserialize;

/// `[links]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSettings {
    /// How long a link or a file request may last at most; zero = no limit.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub longest: Duration,
    /// How many downloads each recipient of a link may have at most; 0 = no limit.
    pub most_downloads: u32,
    /// Whether every link must expire.
    pub end_required: bool,
    /// How many links one account may have emailed in a day; 0 = no limit.
    pub mails_per_day: u32,
    /// How often one address (IPv6: one /64) may press the button of one link in a minute; 0 = no limit.
    pub presses: u32,
    /// How often a link's button may be pressed in a minute in total; 0 = no limit.
    pub presses_per_link: u32,
    /// How many links one account may have emailed to one mailbox in an hour; 0 = no limit.
    pub mails: u32,
    /// How many guesses at a link's password are accepted in an hour from clients that haven't entered it
    /// before; 0 = no limit.
    pub password_guesses: u32,
}
