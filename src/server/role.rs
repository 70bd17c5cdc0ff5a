//! Which services a process runs.

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

impl Role {
    pub(super) const fn has_web(self) -> bool {
        matches!(self, Role::Both | Role::Web)
    }

    pub(super) const fn has_download(self) -> bool {
        matches!(self, Role::Both | Role::Download)
    }
}
