//! A file request.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::{FilePath, RequestId};
use crate::reloadable::Reloadable;
use crate::secret::{RandomError, Secret};
use crate::web::db::{Database, QueryError};
use crate::web::identity::AccountId;
use crate::web::identity::passwords::StoredPassword;
use crate::web::links::limits::LinkLimits;
use crate::web::mail::queue::{MailQueue, QueueError};
use crate::web::tokens::link_key::LinkKey;

/// How long files that were begun before a request ended may still be completed.
pub const GRACE: Duration = Duration::from_secs(60 * 60);

/// All file requests. Cheap to clone.
#[derive(Clone)]
pub struct FileRequests {
    /// The database of the web app.
    pub db: Database,
    /// The key from which the codes in addresses are derived.
    pub key: LinkKey,
    /// The queue for mails to owners.
    pub queue: MailQueue,
    /// What the operator allows at most.
    pub limits: Reloadable<LinkLimits>,
}

/// A file request.
#[derive(Clone, Debug)]
pub struct FileRequest {
    /// Its id.
    pub id: RequestId,
    /// The account that asks for files.
    pub owner: AccountId,
    /// The title, which guests see.
    pub title: String,
    /// The owner's message to guests.
    pub note: String,
    /// The folder that the files go to, which guests never see.
    pub folder: FilePath,
    /// Maximum number of bytes that all guests may send together.
    pub max_bytes: u64,
    /// Maximum number of files that all guests may send together.
    pub max_files: u64,
    /// When it ends.
    pub ends_at: Timestamp,
    /// The password that guests must enter.
    pub password: Option<StoredPassword>,
    /// Whether its owner gets an email when files arrive.
    pub notify: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its owner stopped it; this is final.
    pub stopped_at: Option<Timestamp>,
}

/// The state of a request, regardless of its owner's rights and of how much it still takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestStatus {
    /// It takes files.
    Open,
    /// It has ended a moment ago: files that were begun before may be completed.
    Ending,
    /// It has ended.
    Ended,
    /// Its owner has stopped it.
    Stopped,
}

impl FileRequest {
    /// Returns whether another reading of the same request has the same terms and the same state, as far as its owner
    /// sets them.
    pub(super) fn has_terms_of(&self, other: &FileRequest) -> bool {
        let terms = |request: &FileRequest| {
            (
                (request.title.clone(), request.note.clone(), request.folder.clone(), request.ends_at),
                (request.max_bytes, request.max_files, request.notify, request.stopped_at),
                request.password.as_ref().map(|password| password.as_str().to_owned()),
            )
        };
        terms(self) == terms(other)
    }

    /// Returns its state at `now`.
    pub fn status(&self, now: Timestamp) -> RequestStatus {
        if self.stopped_at.is_some() {
            RequestStatus::Stopped
        } else if now >= self.ends_at.plus(GRACE) {
            RequestStatus::Ended
        } else if now >= self.ends_at {
            RequestStatus::Ending
        } else {
            RequestStatus::Open
        }
    }
}

/// An operation on file requests failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
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

impl From<sqlx::Error> for RequestError {
    fn from(error: sqlx::Error) -> RequestError {
        QueryError::from(error).into()
    }
}

impl FileRequests {
    /// Returns the code in a request's address.
    pub fn code(&self, request: &FileRequest) -> Secret {
        self.key.request_code(&request.id)
    }

    /// Returns a request's full address, below `public_url`.
    pub fn address(&self, public_url: &str, request: &FileRequest) -> String {
        format!("{public_url}/r/{}", self.code(request).reveal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_in_time_may_be_completed_within_the_hour() {
        let end = Timestamp::from_secs(1_800_000_000);
        let request = FileRequest {
            id: RequestId::from_store(""),
            owner: AccountId::from_store("owner"),
            title: String::new(),
            note: String::new(),
            folder: "/books".parse().unwrap(),
            max_bytes: 1,
            max_files: 1,
            ends_at: end,
            password: None,
            notify: false,
            created_at: end,
            stopped_at: None,
        };
        assert_eq!(request.status(Timestamp::from_secs(end.secs() - 1)), RequestStatus::Open);
        assert_eq!(request.status(end), RequestStatus::Ending);
        assert_eq!(request.status(end.plus(GRACE)), RequestStatus::Ended);
        assert_eq!(FileRequest { stopped_at: Some(end), ..request }.status(end), RequestStatus::Stopped);
    }
}
