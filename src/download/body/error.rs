//! Why a response is interrupted.

use std::io;

use tokio::task::JoinError;

/// The response was interrupted. The connection is closed, and the client may resume.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the file changed while it was being sent")]
    Changed,
    #[error("the file could not be read")]
    Unreadable(#[source] io::Error),
    #[error("no more bytes may be sent for this token")]
    Exhausted,
}

impl From<io::Error> for BodyError {
    fn from(error: io::Error) -> BodyError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => BodyError::Changed,
            _ => BodyError::Unreadable(error),
        }
    }
}

impl From<JoinError> for BodyError {
    fn from(gone: JoinError) -> BodyError {
        BodyError::Unreadable(io::Error::other(gone))
    }
}
