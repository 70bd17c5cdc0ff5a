//! Changing what lies in the shares. Each act is carried to its end by [`acts`], whatever happens in
//! between; what was thrown away is looked after by [`trash`].

pub(crate) mod acts;
mod changes;
pub(crate) mod intents;
mod manage;
pub mod trash;
mod trashed;

pub use self::manage::Manage;
pub use self::trashed::Trashed;
