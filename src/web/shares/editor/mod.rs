//! Changing what lies in the shares: new folders, other names and places, and the trash from which
//! things come back until their time is over. Each act is carried to its end by [`acts`], whatever
//! happens in between; what was thrown away is looked after by [`trash`]. Sees nothing without a right
//! from [`crate::web::shares::rights`].

pub(crate) mod acts;
mod changes;
pub(crate) mod intents;
mod trash;
mod trashed;

pub use changes::Manage;
pub use trashed::Trashed;
