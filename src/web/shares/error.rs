//! Why something could not be put into a share or changed there, in the sentences that people need.

use actix_web::http::StatusCode;

use crate::files::FileError;
use crate::files::name::NameError;
use crate::files::write::WriteError;
use crate::human;
use crate::id::InvalidFilePath;
use crate::secret::RandomError;
use crate::web::db::QueryError;

/// Why nothing was put in or changed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// What it is about is not there, or not for this person.
    #[error("there is nothing here")]
    Missing,
    /// The name is taken.
    #[error("the name is taken")]
    Taken {
        /// What stands there.
        by: String,
    },
    /// The name can't be one.
    #[error("the name is not allowed")]
    Name(#[from] NameError),
    /// The path would be too long.
    #[error("the path would be too long")]
    TooLong,
    /// No token can name it.
    #[error("the path is too long for a token")]
    Unlinkable,
    /// The file is larger than any may be.
    #[error("the file is too large")]
    TooLarge {
        /// What may be, in bytes.
        max: u64,
    },
    /// The person's files would take up too much.
    #[error("the account's quota is used up")]
    AccountQuota {
        /// What is left, in bytes.
        left: u64,
    },
    /// The share's uploaded files would take up too much.
    #[error("the share's quota is used up")]
    ShareQuota {
        /// What is left, in bytes.
        left: u64,
    },
    /// The person has begun too many uploads that are not finished.
    #[error("too many uploads are unfinished")]
    TooMany,
    /// The disk is full.
    #[error("there is no room on the disk")]
    NoRoom,
    /// The service may not write there.
    #[error("the folder cannot be written")]
    Forbidden(#[source] std::io::Error),
    /// The service may not read it.
    #[error("the service may not read it")]
    Unreadable(#[source] std::io::Error),
    /// The share's folder was removed or unmounted.
    #[error("the share is gone")]
    ShareGone,
    /// The folder is on another disk than where the file is now.
    #[error("the folder is on another disk")]
    OtherDisk,
    /// A folder can't be moved into itself.
    #[error("a folder cannot go into itself")]
    IntoItself,
    /// Something else is being done with it right now.
    #[error("it is in use")]
    Busy,
    /// More bytes came than were announced, or bytes that belong elsewhere.
    #[error("the bytes do not fit to what is there")]
    Offset {
        /// How many bytes are there.
        is: u64,
    },
    /// More bytes came than the file has.
    #[error("more bytes came than were announced")]
    Beyond,
    /// The bytes are not those that were sent.
    #[error("the checksum does not match")]
    Checksum,
    /// The body broke off or stood still.
    #[error("the body broke off")]
    BrokeOff,
    /// Whoever sends is not logged in any more.
    #[error("the session has ended")]
    SessionEnded,
    /// The parts of an upload are not all there.
    #[error("not all parts are there")]
    Parts,
    /// The disk failed.
    #[error("the disk failed")]
    Failed(#[source] std::io::Error),
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The work was interrupted, as by the end of the process.
    #[error("the work was interrupted")]
    Interrupted,
}

impl StorageError {
    /// What happened and what to do, for the person.
    pub fn sentence(&self) -> String {
        let text = match self {
            StorageError::Missing => "It is not there any more, or you may not change it. Reload the page.",
            StorageError::Taken { by } => {
                return format!("There is already something called “{by}”. Choose another name.");
            }
            StorageError::Name(error) => return error.to_string(),
            StorageError::TooLong => {
                "The path would get too long. Choose a shorter name, or a folder higher up."
            }
            StorageError::Unlinkable => {
                "The path of this file is too long for a download link. Give its folders shorter names, or move it \
                 further up."
            }
            StorageError::TooLarge { max } => {
                return format!("The file is too large: at most {} are allowed.", human::size(*max));
            }
            StorageError::AccountQuota { left } => {
                return format!(
                    "Your files would take up more than you are allowed; {} are left. Delete something first, \
                     or ask your operator for more.",
                    human::size(*left)
                );
            }
            StorageError::ShareQuota { left } => {
                return format!(
                    "The share would take up more than it is allowed; {} are left. Ask your operator for more.",
                    human::size(*left)
                );
            }
            StorageError::TooMany => {
                "You have begun more uploads than can be kept. Finish or cancel some of them first."
            }
            StorageError::NoRoom => {
                "The disk is full. Tell your operator; an upload that was under way can go on as soon as there \
                 is room."
            }
            StorageError::Forbidden(_) => "The service may not write into this folder. Tell your operator.",
            StorageError::Unreadable(_) => {
                "The service is not allowed to read this. Ask the person who runs it to check the permissions."
            }
            StorageError::ShareGone => {
                "This share is unavailable right now: its disk can't be reached. Nothing is lost; it comes back by \
                 itself as soon as its disk does."
            }
            StorageError::OtherDisk => {
                "The folder lies on another disk than the rest of its share; nothing can be moved there."
            }
            StorageError::IntoItself => "A folder cannot be moved into itself.",
            StorageError::Busy => "Something else is being done with it right now. Try again in a moment.",
            StorageError::Offset { .. } => "The bytes do not continue what has arrived so far.",
            StorageError::Beyond => "More bytes came than the file was said to have.",
            StorageError::Checksum => "The bytes changed on their way. Send them again.",
            StorageError::BrokeOff => "The connection broke off. What has arrived is kept.",
            StorageError::SessionEnded => "You are not logged in any more. What has arrived is kept.",
            StorageError::Parts => "Not all parts of the file have arrived.",
            StorageError::Failed(_)
            | StorageError::Query(_)
            | StorageError::Random(_)
            | StorageError::Interrupted => "The service could not do that now. Try again in a moment.",
        };
        text.to_owned()
    }

    /// The status of an answer that says it.
    pub fn status(&self) -> StatusCode {
        match self {
            StorageError::Missing => StatusCode::NOT_FOUND,
            StorageError::Taken { .. }
            | StorageError::OtherDisk
            | StorageError::IntoItself
            | StorageError::Parts
            | StorageError::Offset { .. } => StatusCode::CONFLICT,
            StorageError::Name(_) | StorageError::TooLong | StorageError::Unlinkable => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            StorageError::TooLarge { .. }
            | StorageError::AccountQuota { .. }
            | StorageError::ShareQuota { .. }
            | StorageError::Beyond => StatusCode::PAYLOAD_TOO_LARGE,
            StorageError::TooMany => StatusCode::TOO_MANY_REQUESTS,
            StorageError::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
            StorageError::Forbidden(_) | StorageError::Unreadable(_) => StatusCode::FORBIDDEN,
            StorageError::Busy => StatusCode::LOCKED,
            StorageError::BrokeOff => StatusCode::BAD_REQUEST,
            StorageError::SessionEnded => StatusCode::UNAUTHORIZED,
            StorageError::ShareGone
            | StorageError::Failed(_)
            | StorageError::Query(_)
            | StorageError::Random(_)
            | StorageError::Interrupted => StatusCode::SERVICE_UNAVAILABLE,
            // What tus 1.0 has for it; no registered status says it.
            StorageError::Checksum => StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST),
        }
    }

    /// A stable name, the `type` of the problem document.
    pub const fn slug(&self) -> &'static str {
        match self {
            StorageError::Missing => "not-found",
            StorageError::Taken { .. } => "name-taken",
            StorageError::Name(_) => "name-not-allowed",
            StorageError::TooLong | StorageError::Unlinkable => "path-too-long",
            StorageError::TooLarge { .. } => "file-too-large",
            StorageError::AccountQuota { .. } => "account-quota",
            StorageError::ShareQuota { .. } => "share-quota",
            StorageError::TooMany => "too-many-uploads",
            StorageError::NoRoom => "no-room",
            StorageError::Forbidden(_) => "not-writable",
            StorageError::Unreadable(_) => "not-readable",
            StorageError::ShareGone => "share-gone",
            StorageError::OtherDisk => "other-disk",
            StorageError::IntoItself => "into-itself",
            StorageError::Busy => "in-use",
            StorageError::Offset { .. } => "wrong-offset",
            StorageError::Beyond => "too-many-bytes",
            StorageError::Checksum => "wrong-checksum",
            StorageError::BrokeOff => "broke-off",
            StorageError::SessionEnded => "not-signed-in",
            StorageError::Parts => "parts-missing",
            StorageError::Failed(_)
            | StorageError::Query(_)
            | StorageError::Random(_)
            | StorageError::Interrupted => "unavailable",
        }
    }
}

impl From<WriteError> for StorageError {
    fn from(error: WriteError) -> StorageError {
        match error {
            WriteError::Missing => StorageError::Missing,
            WriteError::Taken { by } => StorageError::Taken { by },
            WriteError::NoRoom => StorageError::NoRoom,
            WriteError::Forbidden(source) => StorageError::Forbidden(source),
            WriteError::ShareGone => StorageError::ShareGone,
            WriteError::OtherDisk => StorageError::OtherDisk,
            WriteError::IntoItself => StorageError::IntoItself,
            WriteError::TooLong => StorageError::TooLong,
            WriteError::Busy => StorageError::Busy,
            WriteError::Failed(source) => StorageError::Failed(source),
        }
    }
}

impl From<FileError> for StorageError {
    fn from(error: FileError) -> StorageError {
        WriteError::from(error).into()
    }
}

impl From<InvalidFilePath> for StorageError {
    fn from(error: InvalidFilePath) -> StorageError {
        WriteError::from(error).into()
    }
}

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> StorageError {
        QueryError::from(error).into()
    }
}

/// Runs what waits for the disk where that stops nobody else.
///
/// # Errors
/// Those of the work.
pub async fn on_disk<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, StorageError>
where
    T: Send + 'static,
    E: Send + 'static,
    StorageError: From<E>,
{
    let done = tokio::task::spawn_blocking(work).await.map_err(|_| StorageError::Interrupted)?;
    Ok(done?)
}
