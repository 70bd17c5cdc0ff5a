//! Links: limited download addresses that people make for others.
//!
//! A link is on files and folders of its owner's shares, and has one recipient or more. Each recipient
//! has an address of his own, `/l/{code}`, and a counter of his own. The code is derived from the
//! recipient's id with a key that is not in the database, and looked up by its digest.

pub mod change;
pub mod contents;
pub mod create;
pub mod find;
mod link;
pub mod listing;
pub mod long_poll;
pub mod mailed_code;
pub mod mailing;
pub mod moment;
pub mod offers;
pub mod progress;
pub mod recipients;
pub mod terms;
pub mod use_state;
pub mod uses;
pub mod views;

pub use link::{Link, LinkError, LinkStatus, Links, Notify, Recipient};
