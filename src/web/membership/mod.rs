//! How accounts come and go: signing up, invitations, mailed links, what people change themselves and what
//! administrators change for them.

pub mod action_codes;
pub mod action_links;
pub mod admin;
pub mod notices;
pub mod self_service;
