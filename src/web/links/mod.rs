//! Links: limited download addresses that people create for others.
//!
//! A link gives access to files and folders of its owner's shares and has one or more recipients. Each
//! recipient has their own address, `/l/{code}`, and their own counter. The code is derived from the
//! recipient's id with a key that is not in the database, and is looked up by its digest.

pub mod arriving;
pub mod change;
pub mod contents;
pub mod create;
pub mod defaults;
pub mod everybody;
pub mod extend;
pub mod find;
mod leading;
pub mod leftovers;
pub mod lifetime;
pub mod limits;
mod link;
pub mod listing;
pub mod long_poll;
pub mod mailed_code;
pub mod mailing;
pub mod moment;
pub mod offers;
mod open_uses;
pub mod press;
pub mod progress;
pub mod recipients;
pub mod roster;
pub mod summaries;
pub mod terms;
pub mod typed;
pub mod use_state;
pub mod uses;
mod viewing;
pub mod views;

pub use link::{Link, LinkError, LinkStatus, Links, Notify, Recipient};
