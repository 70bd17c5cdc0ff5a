//! A link and its recipients.

use crate::clock::Timestamp;
use crate::id::{FilePath, LinkId, RecipientId};
use crate::reloadable::Reloadable;
use crate::secret::{RandomError, Secret};
use crate::web::arrivals::{Arrival, ArrivalState};
use crate::web::db::{Database, QueryError};
use crate::web::identity::passwords::StoredPassword;
use crate::web::identity::{AccountId, Email};
use crate::web::links::limits::LinkLimits;
use crate::web::links::progress::LeaseRules;
use crate::web::links::uses::WaitingPresses;
use crate::web::links::views::ViewCounter;
use crate::web::mail::queue::{MailQueue, QueueError};
use crate::web::revocations::issued::IssuedTokens;
use crate::web::tokens::link_key::LinkKey;
use crate::words::words;

/// All links. Cheap to clone.
#[derive(Clone)]
pub struct Links {
    /// The database of the web app.
    pub db: Database,
    /// The key from which the codes in addresses are derived.
    pub key: LinkKey,
    /// Issued tokens, which may have to be revoked.
    pub issued: IssuedTokens,
    /// The queue for mails to recipients.
    pub queue: MailQueue,
    /// What the operator allows links at most.
    pub limits: Reloadable<LinkLimits>,
    /// How long an interrupted download can be continued.
    pub lease: LeaseRules,
    /// Page views that are not in the database yet.
    pub views: ViewCounter,
    /// Presses that are waiting to be decided together.
    pub presses: WaitingPresses,
}

/// A link.
#[derive(Clone, Debug)]
pub struct Link {
    /// The link's id.
    pub id: LinkId,
    /// The account that created it.
    pub owner: AccountId,
    /// The title that its owner gave it.
    pub title: String,
    /// The owner's message to the recipients.
    pub note: String,
    /// How many times each recipient may download; `None` for no limit.
    pub uses_per_recipient: Option<u32>,
    /// When it expires; `None` for never.
    pub ends_at: Option<Timestamp>,
    /// The password that recipients must enter.
    pub password: Option<StoredPassword>,
    /// Whether recipients must enter a code that is emailed to them before they can download.
    pub mailed_code: bool,
    /// Whether its files may be viewed in the browser even if the number of downloads is limited.
    pub viewable: bool,
    /// When the owner gets an email about downloads.
    pub notify: Notify,
    /// Whether hidden files in its folders are shared, too.
    pub hidden_files: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it is paused because the database was restored from a backup, which may not include all of
    /// its uses.
    pub restored: bool,
    /// When its owner revoked it; this is final.
    pub revoked_at: Option<Timestamp>,
    /// The version of its terms. Tokens issued under an earlier version are no longer valid.
    pub terms_version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// The files that it waits for; `None` if they were there first.
    pub arrival: Option<Arrival>,
    /// Whether its files go to the trash when it is over.
    pub delete_files: bool,
    /// When they went there.
    pub files_deleted_at: Option<Timestamp>,
    /// The files and folders that it gives access to; none yet while it waits for a single file.
    pub files: Vec<FilePath>,
}

/// A recipient of a link.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// The recipient's id.
    pub id: RecipientId,
    /// The link's id.
    pub link: LinkId,
    /// The recipient's email address; `None` for anyone who has the link.
    pub email: Option<Email>,
    /// Number of uses that are reserved or used.
    pub taken: u32,
    /// How many of them are only reserved: no byte is known to have been sent for them.
    pub reserved: u32,
    /// How often the recipient's page was opened.
    pub views: u32,
    /// When it was last opened.
    pub viewed_at: Option<Timestamp>,
    /// When the link's owner removed the recipient; this is final.
    pub removed_at: Option<Timestamp>,
    /// How often the recipient viewed a file.
    pub file_views: u32,
    /// When the recipient last viewed one.
    pub file_viewed_at: Option<Timestamp>,
}

impl Recipient {
    /// Returns how many of `uses_per_recipient` are left; `None` for no limit.
    pub fn left(&self, uses_per_recipient: Option<u32>) -> Option<u32> {
        uses_per_recipient.map(|uses| uses.saturating_sub(self.taken))
    }
}

words! {
    /// When the owner of a link gets an email about downloads.
    #[derive(Default)]
    pub enum Notify {
        /// Never.
        #[default]
        Never = "never",
        /// After the first complete download.
        First = "first",
        /// After every complete download.
        Every = "every",
    }
}

/// The state of a link, regardless of how many uses are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStatus {
    /// It can be used.
    Open,
    /// Its files are still being uploaded.
    Uploading,
    /// Its files were not uploaded completely, and never will be.
    Abandoned,
    /// Its owner has paused it.
    Paused,
    /// It has expired.
    Ended,
    /// Its owner has revoked it.
    Revoked,
}

impl Link {
    /// Returns whether another reading of the same link has the same terms and the same state, as far as its owner sets
    /// them.
    pub(super) fn has_terms_of(&self, other: &Link) -> bool {
        let terms = |link: &Link| {
            (
                (link.title.clone(), link.note.clone(), link.uses_per_recipient, link.ends_at),
                link.password.as_ref().map(|password| password.as_str().to_owned()),
                (link.mailed_code, link.viewable, link.notify, link.hidden_files, link.delete_files),
                (link.paused, link.revoked_at),
            )
        };
        terms(self) == terms(other)
    }

    /// Returns the link's state at `now`.
    pub fn status(&self, now: Timestamp) -> LinkStatus {
        let arrival = self.arrival.map(|arrival| arrival.state);
        if self.revoked_at.is_some() {
            LinkStatus::Revoked
        } else if arrival == Some(ArrivalState::Abandoned) {
            LinkStatus::Abandoned
        } else if self.ends_at.is_some_and(|end| now >= end) {
            LinkStatus::Ended
        } else if self.paused {
            LinkStatus::Paused
        } else if arrival == Some(ArrivalState::Uploading) {
            LinkStatus::Uploading
        } else {
            LinkStatus::Open
        }
    }
}

/// An operation on links failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The operating system gave no random bytes for an id.
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
    /// Returns the code in a recipient's address.
    pub fn code(&self, recipient: &Recipient) -> Secret {
        self.key.code(&recipient.id)
    }

    /// Returns a recipient's full address, below `public_url`.
    pub fn address(&self, public_url: &str, recipient: &Recipient) -> String {
        format!("{public_url}/l/{}", self.code(recipient).reveal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_link_depends_on_its_owner_and_the_clock() {
        let now = Timestamp::from_secs(1_800_000_000);
        let link = Link {
            id: LinkId::from_store(""),
            owner: AccountId::from_store("owner"),
            title: String::new(),
            note: String::new(),
            uses_per_recipient: Some(2),
            ends_at: Some(now),
            password: None,
            mailed_code: false,
            viewable: false,
            notify: Notify::Never,
            hidden_files: false,
            paused: true,
            restored: false,
            revoked_at: None,
            terms_version: 0,
            created_at: now,
            arrival: None,
            delete_files: false,
            files_deleted_at: None,
            files: Vec::new(),
        };
        assert_eq!(link.status(Timestamp::from_secs(now.secs() - 1)), LinkStatus::Paused);
        assert_eq!(link.status(now), LinkStatus::Ended);
        assert_eq!(Link { revoked_at: Some(now), ..link.clone() }.status(now), LinkStatus::Revoked);
        let open = Link { ends_at: None, paused: false, ..link };
        assert_eq!(open.status(now), LinkStatus::Open);
        let waiting =
            |state| Link { arrival: Some(Arrival { state, arrived: 1, expected: 2 }), ..open.clone() };
        assert_eq!(waiting(ArrivalState::Uploading).status(now), LinkStatus::Uploading);
        assert_eq!(waiting(ArrivalState::Complete).status(now), LinkStatus::Open);
        assert_eq!(waiting(ArrivalState::Abandoned).status(now), LinkStatus::Abandoned);
    }
}
