//! Why an upload or a change in a share failed.

use crate::files::FileError;
use crate::id::InvalidFilePath;
use crate::secret::RandomError;
use crate::web::db::QueryError;
use crate::web::shares::disk::WriteError;
use crate::web::shares::name::NameError;

/// An upload or a change failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The file or folder doesn't exist, or this account has no right to it.
    #[error("there is no such file or folder")]
    Missing,
    /// The name is taken.
    #[error("the name is taken")]
    Taken {
        /// The existing name.
        by: String,
    },
    /// The name isn't valid.
    #[error("the name is not allowed")]
    Name(#[from] NameError),
    /// The path would be too long.
    #[error("the path would be too long")]
    TooLong,
    /// The path is too long for a token, so nobody could download the file.
    #[error("the path is too long for a token")]
    Unlinkable,
    /// The file exceeds the size limit.
    #[error("the file is too large")]
    TooLarge {
        /// The maximum, in bytes.
        max: u64,
    },
    /// The account's quota would be exceeded.
    #[error("the account's quota would be exceeded")]
    AccountQuota {
        /// The remaining space, in bytes.
        left: u64,
    },
    /// The share's quota for uploads would be exceeded.
    #[error("the share's quota would be exceeded")]
    ShareQuota {
        /// The remaining space, in bytes.
        left: u64,
    },
    /// The account has too many unfinished uploads.
    #[error("there are too many unfinished uploads")]
    TooMany,
    /// The disk is full.
    #[error("the disk is full")]
    NoRoom,
    /// The service may not write there.
    #[error("the service can't write to the folder")]
    Forbidden(#[source] std::io::Error),
    /// The service may not read the file or folder.
    #[error("the service can't read the file or folder")]
    Unreadable(#[source] std::io::Error),
    /// The share's folder was removed or unmounted.
    #[error("the share is unavailable")]
    ShareGone,
    /// The destination folder is on another disk than the file.
    #[error("the folder is on another disk")]
    OtherDisk,
    /// A folder can't be moved into itself.
    #[error("a folder can't be moved into itself")]
    IntoItself,
    /// Another operation is using it.
    #[error("the file or folder is in use")]
    Busy,
    /// The bytes don't start where the received part of the file ends, or the announced size is less than
    /// that.
    #[error("the upload continues at another offset")]
    Offset {
        /// The number of bytes received so far.
        is: u64,
    },
    /// More bytes were sent than the file was announced to have.
    #[error("more bytes were sent than announced")]
    Beyond,
    /// The bytes don't match their checksum.
    #[error("the checksum does not match")]
    Checksum,
    /// The request body ended early or stalled.
    #[error("the request body ended early")]
    BrokeOff,
    /// The sender is no longer logged in.
    #[error("the session has ended")]
    SessionEnded,
    /// The link that the file was to be uploaded for has ended, or has all its files.
    #[error("the link does not wait for this file")]
    NotExpected,
    /// A file request doesn't take the file.
    #[error("the file request takes no more: {0:?}")]
    Request(RequestLimit),
    /// Some parts of a concatenated upload are missing or incomplete.
    #[error("parts of the upload are missing")]
    Parts,
    /// The disk failed.
    #[error("the disk failed")]
    Failed(#[source] std::io::Error),
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The operating system provided no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The work was interrupted, for example because the process ended.
    #[error("the work was interrupted")]
    Interrupted,
}

/// Why a file request doesn't take a file from a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestLimit {
    /// It has as many files as it allows.
    Files,
    /// The file doesn't fit into the bytes that it still allows.
    Bytes,
    /// The account that asked has no space left. The guest doesn't learn how much it has.
    Space,
    /// It has ended, was stopped, or its account may not write to its folder any more.
    Over,
    /// Its folder is missing.
    Away,
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

/// Runs blocking disk work on a thread where it delays no other task.
///
/// # Errors
/// The errors of `work`, and [`StorageError::Interrupted`].
pub async fn on_disk<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, StorageError>
where
    T: Send + 'static,
    E: Send + 'static,
    StorageError: From<E>,
{
    let done = tokio::task::spawn_blocking(work).await.map_err(|_| StorageError::Interrupted)?;
    Ok(done?)
}
