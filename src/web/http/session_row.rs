//! A session as a row of a list, on its owner's page and on that of administrators.

use crate::clock::Timestamp;
use crate::web::identity::device;
use crate::web::sessions::ListedSession;

/// One session in the list.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Its name in the form.
    pub name: String,
    /// The browser and the system, in words.
    pub device: String,
    /// The address from which it was last used.
    pub address: String,
    /// When the user logged in.
    pub created: Timestamp,
    /// When it was last used.
    pub last_seen: Timestamp,
    /// Whether the device is remembered.
    pub remembered: bool,
    /// Whether it is the session in which the page is viewed.
    pub own: bool,
}

impl SessionRow {
    /// Returns a row with values that an attacker might send.
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

/// Returns the row of a session; `own` is the digest of the session in which the page is viewed.
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
