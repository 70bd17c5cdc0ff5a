//! Changes of what lies in a share: folders and names, unfinished uploads, and deleted files.

mod inherit;
pub mod staging;
pub mod trash;
pub mod write;
