//! Wires both services: builds their states, binds the listeners, serves until told to stop.

use crate::config::Settings;

/// Which services this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Both, in one process.
    Both,
    /// The web app.
    Web,
    /// The download service.
    Download,
}

/// Why the services can't run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Not wired yet.
    #[error("this build can't serve yet")]
    Unwired,
}

/// Serves until a stop signal comes.
///
/// # Errors
/// When a service can't start or ends by itself.
pub async fn run(_settings: Settings, _role: Role) -> Result<(), ServeError> {
    Err(ServeError::Unwired)
}
