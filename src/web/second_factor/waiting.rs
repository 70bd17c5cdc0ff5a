//! A login that has the right password and waits for its code. It is a value that the browser keeps for ten
//! minutes, and that nobody else can make: a message authentication code covers it, the account, and the
//! password as it was stored.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::web::identity::AccountId;
use crate::web::identity::passwords::StoredPassword;
use crate::web::tokens::link_key::LinkKey;

/// How long the code may take.
pub const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// A login that waits for its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingLogin {
    /// Whose it is.
    pub account: AccountId,
    /// Until when the code must come.
    pub until: Timestamp,
    /// Whether the device is to be remembered.
    pub remembered: bool,
}

impl WaitingLogin {
    /// Returns the value for the browser; `password` was just verified.
    pub fn seal(&self, password: &StoredPassword, key: &LinkKey) -> Secret {
        let text = self.text();
        Secret::presented(&format!("{text}.{}", self.tag(password, key).reveal()))
    }

    /// Reads a value from a browser, without checking it.
    pub fn parse(value: &str) -> Option<(WaitingLogin, Secret)> {
        let (text, tag) = value.rsplit_once('.')?;
        let mut parts = text.split('.');
        let (account, until, remembered) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let login = WaitingLogin {
            account: AccountId::from_store(account),
            until: Timestamp::from_secs(until.parse().ok()?),
            remembered: remembered == "1",
        };
        Some((login, Secret::presented(tag)))
    }

    /// Returns whether `tag` was made for this login while the account had this password, and is still in time.
    pub fn is_sealed_by(
        &self,
        tag: &Secret,
        password: &StoredPassword,
        key: &LinkKey,
        now: Timestamp,
    ) -> bool {
        now < self.until && self.tag(password, key).digest() == tag.digest()
    }

    fn text(&self) -> String {
        format!("{}.{}.{}", self.account, self.until.secs(), u8::from(self.remembered))
    }

    fn tag(&self, password: &StoredPassword, key: &LinkKey) -> Secret {
        key.mark(&format!("waiting login\n{}\n{}", self.text(), password.as_str()))
    }
}
