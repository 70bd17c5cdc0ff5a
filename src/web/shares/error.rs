//! Why something could not be put into a share or changed there.

use crate::files::FileError;
use crate::id::InvalidFilePath;
use crate::secret::RandomError;
use crate::web::db::QueryError;
use crate::web::shares::disk::WriteError;
use crate::web::shares::name::NameError;

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
