//! Why a command of the client failed, and its exit codes.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::secret::RandomError;

/// A command of the client failed. No message contains a token, a key or a password.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is of no use to the command.
    #[error("`{address}` is not {expected}")]
    Address {
        /// The address, as it was typed.
        address: String,
        /// What the command needs.
        expected: &'static str,
    },
    /// The options contradict each other, or one is invalid.
    #[error("{0}")]
    Usage(String),
    /// It isn't possible now.
    #[error("{0}")]
    NotNow(String),
    /// The server can't be reached, or the connection broke off.
    #[error("{origin} can't be reached, or the connection broke off")]
    Connection {
        /// Its scheme, host and port.
        origin: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// The HTTP client can't be set up.
    #[error("the HTTP client can't be set up")]
    Setup(#[source] reqwest::Error),
    /// The server refused the request.
    #[error("{detail}")]
    Refused {
        /// The status code.
        status: u16,
        /// The slug of the problem document; empty if the answer had none.
        slug: String,
        /// The reason, in a sentence.
        detail: String,
        /// When to try again, if the server said so.
        retry_after: Option<Duration>,
    },
    /// The answer isn't one of Oncelink.
    #[error("{origin} answered in an unexpected way: {what}")]
    Answer {
        /// The server's scheme, host and port.
        origin: String,
        /// What was unexpected.
        what: String,
    },
    /// A file or folder can't be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file would be overwritten.
    #[error("{} exists already; remove it, use another folder (`--output`), or use `--force`", .0.display())]
    Exists(PathBuf),
    /// The link asks for a password or a code, and nobody is there to be asked.
    #[error("{0}")]
    Proof(String),
    /// The file that arrived isn't the one that was sent.
    #[error("{} arrived damaged: its SHA-256 is not the one that the server announced", .0.display())]
    Damaged(PathBuf),
    /// There is no key for the server.
    #[error("not logged in at {0}; run `oncelink login {0}`")]
    NotLoggedIn(String),
    /// No server is known.
    #[error("no server is known; run `oncelink login URL` first")]
    NoServer,
    /// The login was refused, or nobody confirmed it in time.
    #[error("{0}")]
    Login(&'static str),
    /// What the client keeps for itself can't be understood.
    #[error("{} is damaged; remove it and log in again", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: toml::de::Error,
    },
    /// The operating system gives no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The user interrupted the command.
    #[error("interrupted; run the same command again to continue")]
    Interrupted,
}

impl ClientError {
    /// Returns the exit code: 1 a failure that another attempt may get over, 2 a mistake in the arguments, 3 refused for
    /// good, 4 a password or code is missing or wrong, 5 not logged in or not allowed.
    pub const fn exit_code(&self) -> u8 {
        match self {
            ClientError::Address { .. } | ClientError::Usage(_) | ClientError::Exists(_) => 2,
            ClientError::Proof(_) => 4,
            ClientError::NotLoggedIn(_) | ClientError::NoServer | ClientError::Login(_) => 5,
            ClientError::Refused { status, .. } => match status {
                401 | 403 => 5,
                404 | 409 | 410 | 412 | 413 | 422 => 3,
                _ => 1,
            },
            _ => 1,
        }
    }

    /// Whether the server refused with this problem.
    pub(crate) fn is(&self, expected: &str) -> bool {
        matches!(self, ClientError::Refused { slug, .. } if slug == expected)
    }

    /// Whether the same request may succeed later: the connection broke off, or the server is busy.
    pub(crate) const fn is_passing(&self) -> bool {
        match self {
            ClientError::Connection { .. } => true,
            ClientError::Refused { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Returns when the server wants to be asked again.
    pub(crate) const fn retry_after(&self) -> Option<Duration> {
        match self {
            ClientError::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Describes an error with a file.
pub(crate) fn file_error(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> ClientError {
    let path = path.into();
    move |source| ClientError::File { action, path, source }
}
