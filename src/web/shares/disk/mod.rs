//! Changes of what is in a share: folders and names, unfinished uploads, and deleted files. The last two use the
//! folder `.oncelink` in a share's root, which no [`crate::id::FilePath`] can name. Functions here may block on
//! the disk.

mod error;
mod inherit;
mod naming;
mod staging;
mod trash;
mod writable;
mod write;

pub use self::error::WriteError;
pub use self::staging::Staged;
pub use self::writable::{DiskSpace, WritableShares};
