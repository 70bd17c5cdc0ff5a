//! Changes what is in shares. [`operations`] completes each operation even after an interruption; [`trash`]
//! lists and empties the trash.

mod changes;
pub(crate) mod homes;
pub(crate) mod intents;
mod link_paths;
mod manage;
mod moved_path;
pub(crate) mod operations;
mod request_paths;
pub mod trash;
mod trashed;

pub use self::manage::ShareEditor;
pub use self::trashed::TrashEntry;
