//! A link, and those whom it is for.

use crate::clock::Timestamp;
use crate::id::{FilePath, LinkId, RecipientId};
use crate::secret::{RandomError, Secret};
use crate::web::db::{Database, QueryError};
use crate::web::identity::passwords::StoredPassword;
use crate::web::identity::{AccountId, Email};
use crate::web::links::progress::LeaseRules;
use crate::web::links::views::ViewCounter;
use crate::web::mail::queue::{MailQueue, QueueError};
use crate::web::revocations::issued::IssuedTokens;
use crate::web::tokens::link_key::LinkKey;
use crate::words::words;

/// All links. Cheap to clone.
#[derive(Clone)]
pub struct Links {
    /// The database.
    pub db: Database,
    /// What addresses are derived from.
    pub key: LinkKey,
    /// Tokens that may have to be revoked.
    pub issued: IssuedTokens,
    /// Mails that wait.
    pub queue: MailQueue,
    /// For how long a download that was begun can be continued.
    pub lease: LeaseRules,
    /// Views that are not in the database yet.
    pub views: ViewCounter,
}

/// A link.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its id.
    pub id: LinkId,
    /// Who made it.
    pub owner: AccountId,
    /// What its owner calls it.
    pub title: String,
    /// What the recipient reads.
    pub note: String,
    /// How often each recipient may take it; `None` for as often as he likes.
    pub uses: Option<u32>,
    /// When it ends; `None` for never.
    pub ends_at: Option<Timestamp>,
    /// The password that is asked for.
    pub password: Option<StoredPassword>,
    /// Whether a code is mailed to the recipient before he can take it.
    pub mailed_code: bool,
    /// When the owner gets a mail.
    pub notify: Notify,
    /// Whether it waits.
    pub paused: bool,
    /// Whether it waits because the database was put back from a backup, which may have forgotten that it
    /// was used.
    pub restored: bool,
    /// When its owner stopped sharing it, for good.
    pub revoked_at: Option<Timestamp>,
    /// The number of its terms: what was given out under an earlier one does not stand any more.
    pub terms_version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it is on.
    pub files: Vec<FilePath>,
}

/// Somebody whom a link is for.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// His id.
    pub id: RecipientId,
    /// The link's id.
    pub link: LinkId,
    /// His address; `None` for whoever has the link.
    pub email: Option<Email>,
    /// Uses that are reserved or used.
    pub taken: u32,
    /// Those of them that are reserved: nothing is known to have been sent.
    pub reserved: u32,
    /// How often his page was opened.
    pub looks: u32,
    /// When that was last.
    pub looked_at: Option<Timestamp>,
}

impl Recipient {
    /// How many uses are left of `uses`; `None` for any number.
    pub fn left(&self, uses: Option<u32>) -> Option<u32> {
        uses.map(|uses| uses.saturating_sub(self.taken))
    }
}

words! {
    /// When the owner of a link gets a mail.
    #[derive(Default)]
    pub enum Notify {
        /// Not at all.
        #[default]
        Never = "never",
        /// When the first download is complete.
        First = "first",
        /// Whenever one is.
        Every = "every",
    }
}

/// What a link is good for now, but for its uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStatus {
    /// It can be taken.
    Open,
    /// Its owner has paused it.
    Paused,
    /// Its time is over.
    Ended,
    /// Its owner has stopped sharing it.
    Revoked,
}

impl Link {
    /// What it is good for at `now`.
    pub fn status(&self, now: Timestamp) -> LinkStatus {
        if self.revoked_at.is_some() {
            LinkStatus::Revoked
        } else if self.ends_at.is_some_and(|end| now >= end) {
            LinkStatus::Ended
        } else if self.paused {
            LinkStatus::Paused
        } else {
            LinkStatus::Open
        }
    }
}

/// Something with links failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// No random bytes for an id.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A mail could not be queued.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl From<sqlx::Error> for LinkError {
    fn from(error: sqlx::Error) -> LinkError {
        QueryError::from(error).into()
    }
}

impl Links {
    /// The code in a recipient's address.
    pub fn code(&self, recipient: &Recipient) -> Secret {
        self.key.code(&recipient.id)
    }

    /// A recipient's whole address, below `public_url`.
    pub fn address(&self, public_url: &str, recipient: &Recipient) -> String {
        format!("{public_url}/l/{}", self.code(recipient).reveal())
    }
}

/// What is stored of a code.
pub(super) fn code_digest(code: &Secret) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(code.digest().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stands_as_its_owner_and_the_clock_say() {
        let now = Timestamp::from_secs(1_800_000_000);
        let link = Link {
            id: LinkId::from_store(""),
            owner: AccountId::from_store("owner"),
            title: String::new(),
            note: String::new(),
            uses: Some(2),
            ends_at: Some(now),
            password: None,
            mailed_code: false,
            notify: Notify::Never,
            paused: true,
            restored: false,
            revoked_at: None,
            terms_version: 0,
            created_at: now,
            files: Vec::new(),
        };
        assert_eq!(link.status(Timestamp::from_secs(now.secs() - 1)), LinkStatus::Paused);
        assert_eq!(link.status(now), LinkStatus::Ended);
        assert_eq!(Link { revoked_at: Some(now), ..link.clone() }.status(now), LinkStatus::Revoked);
        assert_eq!(Link { ends_at: None, paused: false, ..link }.status(now), LinkStatus::Open);
    }
}
