//! Why a backup can't be made or restored.

use std::io;
use std::path::PathBuf;

use crate::cli::manifest::ManifestError;

/// Creating the backup failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is no data yet.
    #[error("{} contains neither accounts nor keys; is `data_dir` right?", .0.display())]
    Nothing(PathBuf),
    /// Something would be overwritten.
    #[error("{} is not empty; choose another folder, which will be created", .0.display())]
    NotEmpty(PathBuf),
    /// Another user could read or change it.
    #[error("{} belongs to user {owner}, who could then use the keys; choose a folder of your own", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Its files could be downloaded.
    #[error("{} is in the share `{share}`, so the keys could be downloaded; choose a folder elsewhere", path.display())]
    Shared {
        /// The folder.
        path: PathBuf,
        /// The share's name.
        share: String,
    },
    /// A file can't be read or written.
    #[error("cannot {action} {}; the unfinished backup is removed", path.display())]
    Io {
        /// The action that failed.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The database can't be copied.
    #[error("cannot copy the account database (is the disk full?); the unfinished backup is removed")]
    Database(#[source] sqlx::Error),
}

/// Restoring failed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup can't be trusted.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Another user may have changed it.
    #[error(
        "the backup {} belongs to user {owner}, who may have changed it; if you trust it, become its owner (`chown -R`)",
        path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// It is incomplete.
    #[error("the backup has no {0}; use another backup")]
    Incomplete(&'static str),
    /// There is existing data.
    #[error(
        "{} already contains accounts or keys; with `--force` they are moved to folders with `before-restore` in \
         their names",
        .0.display()
    )]
    Occupied(PathBuf),
    /// An operation on a file or folder failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The action that failed.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}
