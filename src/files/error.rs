//! Why a file or folder can't be opened.

use std::io;

use rustix::io::Errno;

use crate::id::FilePath;

/// A file or folder can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is nothing with this name in the share, or it isn't a regular file (or folder).
    #[error("there is no such file")]
    Missing,
    /// It exists, but the system doesn't let us read it.
    #[error("cannot read the file")]
    Unreadable(#[source] io::Error),
    /// The share's folder is missing: it was removed, or its disk is offline. It may come back.
    #[error("the share is unavailable")]
    ShareGone,
}

impl FileError {
    /// Returns whether the system denies this process access, so that retrying doesn't help.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, FileError::Unreadable(cause) if cause.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Adds the file's name to the cause, for the log.
    pub(super) fn about(self, path: &FilePath) -> FileError {
        match self {
            FileError::Unreadable(source) => {
                let named = UnreadableFile { path: path.clone(), source };
                FileError::Unreadable(io::Error::new(named.source.kind(), named))
            }
            other => other,
        }
    }
}

/// An error together with the path of its file.
#[derive(Debug, thiserror::Error)]
#[error("{path:?}: {source}")]
struct UnreadableFile {
    path: FilePath,
    source: io::Error,
}

impl From<Errno> for FileError {
    fn from(errno: Errno) -> FileError {
        match errno {
            // RESOLVE_BENEATH returns XDEV for a path that leads out, LOOP for a magic link, NXIO for a
            // socket.
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::XDEV
            | Errno::LOOP
            | Errno::NXIO
            | Errno::NAMETOOLONG
            | Errno::INVAL
            | Errno::ISDIR => FileError::Missing,
            // A network disk or a FUSE service that disappeared while in use.
            Errno::STALE | Errno::NODEV | Errno::NOTCONN | Errno::HOSTDOWN => FileError::ShareGone,
            other => FileError::Unreadable(other.into()),
        }
    }
}

/// Shares can't be served on this system.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The kernel, or a sandbox around this process, can't confine a path.
    #[error(
        "this system does not allow openat2(2), which is required for serving files safely; use Linux 5.6 or \
         later, and allow the call in the seccomp profile of the container or sandbox"
    )]
    NoConfinement(#[source] io::Error),
}
