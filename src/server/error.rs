//! Why the services can't run.

use std::io;

use crate::brand::BrandError;
use crate::download::key_source::KeySourceError;
use crate::download::receipts::{self, HttpReceiptSinkError};
use crate::files::ShareError;
use crate::secret::RandomError;
use crate::server::data_dir::DataDirError;
use crate::token::SecretFileError;
use crate::used_tokens::StoreError;
use crate::used_tokens::sled::StoreOpenError;
use crate::web;

/// The services can't run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A listener's address is in use, or isn't ours.
    #[error("cannot listen on {address} (`{key}`); is it in use by another process?")]
    Listen {
        /// The address or socket.
        address: String,
        /// The setting.
        key: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// systemd didn't pass a socket.
    #[error(
        "systemd passed no socket called `{name}`, which `{key}` names; enable the service's `.socket` unit with \
         `FileDescriptorName={name}`, or name an address"
    )]
    NotPassed {
        /// The setting.
        key: &'static str,
        /// The name of the socket.
        name: &'static str,
    },
    /// The data directory can't be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The operator's brand can't be used.
    #[error(transparent)]
    Brand(#[from] BrandError),
    /// A share can't be opened.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The web app can't be opened.
    #[error(transparent)]
    Web(#[from] web::services::WebOpenError),
    /// The first administrator's link can't be created.
    #[error(transparent)]
    FirstAdministrator(#[from] web::FirstAdminError),
    /// The used-token store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreOpenError),
    /// The shared used-token store doesn't answer.
    #[error(
        "cannot use the shared used-token store (`download.used_tokens`); check its address and its server"
    )]
    SharedStore(#[source] StoreError),
    /// The public keys can't be loaded.
    #[error(transparent)]
    Keys(#[from] KeySourceError),
    /// The receipts can't be stored.
    #[error(transparent)]
    Receipts(#[from] receipts::ReceiptsError),
    /// The times of the receipts can't be reset.
    #[error("cannot reset the times of undelivered receipts")]
    ReceiptsTime(#[source] receipts::OutboxError),
    /// The client for sending receipts can't be created.
    #[error(transparent)]
    Telling(#[from] HttpReceiptSinkError),
    /// A shared secret can't be loaded.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// The system provides no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The signal handlers can't be installed.
    #[error("cannot install the signal handlers")]
    Signals(#[source] io::Error),
    /// A server ended unexpectedly.
    #[error("a listener failed")]
    Server(#[source] io::Error),
}

impl ServeError {
    /// Returns whether another process has what this one needs.
    pub(super) fn is_in_use(&self) -> bool {
        match self {
            ServeError::Listen { source, .. } => source.kind() == io::ErrorKind::AddrInUse,
            ServeError::DataDir(error) => matches!(error, DataDirError::Serving { .. }),
            ServeError::Store(error) => matches!(error, StoreOpenError::InUse { .. }),
            _ => false,
        }
    }
}
