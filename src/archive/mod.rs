//! ZIP archives that exist only as a description: a manifest says which files an archive contains, and its
//! layout says which bytes are where. Every byte depends on the manifest and on the content of the files
//! alone, so an archive can be continued at any byte, on any node, after a restart.
//!
//! Entries are stored, not compressed. Their sizes and checksums are in front of them, so that a program can
//! unpack an archive while it arrives. Nothing here opens a file.

mod entry;
mod error;
mod headers;
mod layout;
mod manifest;
mod names;
mod provider;
mod reader;

pub use self::entry::ArchiveEntry;
pub use self::error::ArchiveError;
pub use self::layout::{Layout, ManifestText};
pub use self::manifest::{ENTRIES_MAX, MANIFEST_MAX, ManifestBuilder, digest_from_text, digest_text};
pub use self::names::ArchiveNames;
pub use self::provider::{ManifestProvider, ProviderError};
pub use self::reader::{ArchivePiece, ArchiveReader};
