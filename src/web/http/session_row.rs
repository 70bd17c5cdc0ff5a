//! A session as a row of a list, on its owner's page and on that of administrators.

use crate::clock::Timestamp;
use crate::human;
use crate::web::identity::device;
use crate::web::sessions::ListedSession;

/// One session in the list.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// What it is called by in the form.
    pub name: String,
    /// Browser and system in words.
    pub device: String,
    /// Where it was last used.
    pub address: String,
    /// When the log-in was.
    pub created: Timestamp,
    /// When it was last used.
    pub last_seen: Timestamp,
    /// Whether the device is remembered.
    pub remembered: bool,
    /// Whether it is the one that looks at the page.
    pub own: bool,
}

impl SessionRow {
    /// How long ago something was, and when exactly.
    pub(crate) fn ago(&self, now: Timestamp, then: Timestamp) -> String {
        human::ago(now, then)
    }

    pub(crate) fn exact(&self, then: Timestamp) -> String {
        human::exact_time(then)
    }

    /// One with values that somebody hostile might send.
    pub fn sample(own: bool) -> SessionRow {
        SessionRow {
            name: "n\"<ame".to_owned(),
            device: "Firefox on <b>Linux</b>".to_owned(),
            address: "2001:db8::1".to_owned(),
            created: Timestamp::from_secs(1_790_000_000),
            last_seen: Timestamp::from_secs(1_790_000_300),
            remembered: !own,
            own,
        }
    }
}

/// A session as a row of a list; `own` is the digest of the one that looks at it.
pub(crate) fn session_row(listed: ListedSession, own: Option<&str>) -> SessionRow {
    SessionRow {
        own: own == Some(listed.digest.as_str()),
        name: listed.name,
        device: device::describe(&listed.place.agent),
        address: listed.place.address.to_string(),
        created: listed.created_at,
        last_seen: listed.last_seen_at,
        remembered: listed.remembered,
    }
}
