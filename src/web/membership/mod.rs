//! How accounts come and go: sign-up, invitations, action links, self-service, and administration.

pub mod action_codes;
pub mod action_links;
mod address_change;
pub mod admin;
pub mod notices;
pub mod self_service;
