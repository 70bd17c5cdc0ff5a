//! What an account consists of: its id, address, name and groups, each parsed once, at the edge.

mod account;
mod account_id;
pub mod address;
pub mod client_info;
pub mod device;
mod email;
mod letters;
mod name;
pub mod passwords;

pub use account::{Account, AccountStage, NewAccount};
pub use account_id::AccountId;
pub use email::{Email, InvalidEmail};
pub use name::{GroupName, InvalidGroup, InvalidName, PersonName};
