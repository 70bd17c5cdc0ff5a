//! Archives of files: which files one has, their checksums, and its manifest.
//!
//! An archive is only a manifest, which is written when someone asks for the archive and which download
//! services fetch by its digest. It needs the checksum of each file: that of an uploaded file is calculated
//! while it arrives, all others in the background.

mod archive_maker;
mod assembly;
mod built_archive;
mod contents;
mod error;
mod job;
mod jobs;
mod manifests;
mod order;
mod preparation;
mod queue;

pub use self::archive_maker::{ArchiveMaker, ArchiveOutcome};
pub use self::built_archive::BuiltArchive;
pub use self::error::ArchiveMakingError;
pub use self::job::ArchiveProgress;
pub use self::order::{ArchiveJobId, ArchiveOrder, ArchiveReaders, HiddenFiles};
pub use self::queue::queue_files;
