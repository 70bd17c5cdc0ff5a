//! Links: limited download addresses that people make for others.
//!
//! A link is on files and folders of its owner's shares, and has one recipient or more. Each recipient
//! has an address of his own, `/l/{code}`, and a counter of his own. The code is derived from the
//! recipient's id with a key that is not in the database, and looked up by its digest.

pub mod begun;
pub mod change;
pub mod contents;
pub mod find;
mod link;
pub mod listing;
pub mod mailed_code;
pub mod mailing;
pub mod make;
pub mod moment;
pub mod offers;
pub mod patience;
pub mod recipients;
pub mod terms;
pub mod use_state;
pub mod uses;
pub mod views;

pub use link::{Link, LinkError, Links, Notify, Recipient, Standing};
