//! Why a change in a share failed.

use std::io;

use rustix::io::Errno;

use crate::files::FileError;
use crate::id::InvalidFilePath;

/// A change failed, and nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file or folder to change, or its destination, doesn't exist.
    #[error("there is no such file or folder")]
    Missing,
    /// The name, or a similar one, is taken.
    #[error("the name is taken")]
    Taken {
        /// The existing name.
        by: String,
    },
    /// The disk or its quota is full.
    #[error("the disk is full")]
    NoRoom,
    /// The system doesn't let us write there.
    #[error("the service can't write to the folder")]
    Forbidden(#[source] io::Error),
    /// The share's folder was removed or unmounted since the start.
    #[error("the share is unavailable")]
    ShareGone,
    /// Source and destination are on different file systems.
    #[error("source and destination are on different disks")]
    OtherDisk,
    /// A folder can't be moved into itself.
    #[error("a folder can't be moved into itself")]
    IntoItself,
    /// The path would be longer than the system allows.
    #[error("the path would be too long")]
    TooLong,
    /// Someone else is writing to it.
    #[error("the file or folder is in use")]
    Busy,
    /// The disk failed.
    #[error("the disk failed")]
    Failed(#[source] io::Error),
}

impl From<Errno> for WriteError {
    fn from(errno: Errno) -> WriteError {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ISDIR => WriteError::Missing,
            // Only if another file with this name was seen; the callers say which.
            Errno::EXIST | Errno::NOTEMPTY => WriteError::Taken { by: String::new() },
            // FBIG: the file size limit of the process or the file system.
            Errno::NOSPC | Errno::DQUOT | Errno::FBIG => WriteError::NoRoom,
            Errno::ACCESS | Errno::PERM | Errno::ROFS => WriteError::Forbidden(errno.into()),
            Errno::STALE | Errno::NODEV | Errno::NXIO | Errno::NOTCONN | Errno::HOSTDOWN => {
                WriteError::ShareGone
            }
            Errno::XDEV => WriteError::OtherDisk,
            Errno::NAMETOOLONG => WriteError::TooLong,
            Errno::WOULDBLOCK | Errno::BUSY => WriteError::Busy,
            other => WriteError::Failed(other.into()),
        }
    }
}

impl From<InvalidFilePath> for WriteError {
    fn from(error: InvalidFilePath) -> WriteError {
        match error {
            InvalidFilePath::Length => WriteError::TooLong,
            _ => WriteError::Missing,
        }
    }
}

impl From<FileError> for WriteError {
    fn from(error: FileError) -> WriteError {
        match error {
            FileError::Missing => WriteError::Missing,
            FileError::ShareGone => WriteError::ShareGone,
            FileError::Unreadable(source) => WriteError::Failed(source),
        }
    }
}
