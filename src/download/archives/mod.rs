//! Archives: the manifests that this node has, and the files behind one.

mod error;
mod kept;
mod open_archive;
mod over_http;
mod source;

pub use self::error::ManifestError;
pub use self::kept::Archives;
pub(crate) use self::open_archive::{EntryFault, OpenArchive};
pub use self::over_http::HttpManifestProvider;
pub(crate) use self::source::ArchiveSource;
