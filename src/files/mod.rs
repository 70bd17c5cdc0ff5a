//! Shares and their files: the only place that opens anything in a share, and only for reading.
//!
//! A share's root is opened as a handle; everything below is opened through that handle with
//! `openat2(RESOLVE_BENEATH)`, so no path, symlink or race leads out. Only regular files are opened. A
//! share whose folder is missing is unavailable until it is back (`root`). Functions here may block on the
//! disk unless they say otherwise. Only the web app changes shares (`web/shares/disk`).

mod beneath;
mod edges;
mod entry;
mod error;
mod folders;
pub mod identity;
mod open_file;
pub(crate) mod renames;
mod root;
mod seen;
mod shares;
mod version;

pub(crate) use self::beneath::open_beneath;
pub use self::edges::EdgeDigest;
pub use self::entry::{EntryKind, FolderEntry};
pub use self::error::{FileError, ShareError};
pub use self::folders::ShareFolders;
pub use self::open_file::{OpenFile, QuickCheck};
pub(crate) use self::seen::FileStat;
pub use self::shares::Shares;
pub use self::version::FileVersion;
