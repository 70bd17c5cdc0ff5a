//! Rights in shares, and all changes to what is in them. Doesn't depend on HTTP.

pub(crate) mod archive_path;
pub(crate) mod checksums;
pub mod digests;
pub mod disk;
pub(crate) mod drop_folder;
pub mod editor;
pub mod error;
pub mod folding;
pub mod name;
pub mod rights;
