//! What an account is made of: its id, address, name and groups, each parsed once, at the edge.

mod account;
pub mod address;
pub mod device;
pub mod passwords;
pub mod place;

pub use account::{
    Account, AccountId, Email, GroupName, InvalidEmail, InvalidGroup, InvalidName, NewAccount, PersonName,
    Stage,
};
