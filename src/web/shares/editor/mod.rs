//! Changing what lies in the shares. Each act is carried to its end by [`acts`], whatever happens in
//! between; what was thrown away is looked after by [`trash`].

mod changes;
pub(crate) mod intents;
mod manage;
pub(crate) mod operations;
pub mod trash;
mod trashed;

pub use self::manage::ShareEditor;
pub use self::trashed::TrashEntry;
