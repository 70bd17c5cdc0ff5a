//! Why an archive can't be made.

use crate::archive::ArchiveError;
use crate::files::FileError;
use crate::web::db::QueryError;

/// An archive can't be made.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveMakingError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A share can't be read now.
    #[error(transparent)]
    File(#[from] FileError),
    /// It would have more files, or more bytes, than an archive can have.
    #[error(transparent)]
    Limit(#[from] ArchiveError),
    /// Too many archives are being made, or their manifests take too much room.
    #[error("too many archives are being made right now")]
    Busy,
    /// The task that looks at the files was interrupted.
    #[error("the files could not be looked at")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl From<sqlx::Error> for ArchiveMakingError {
    fn from(error: sqlx::Error) -> ArchiveMakingError {
        QueryError::from(error).into()
    }
}
