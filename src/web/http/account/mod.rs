//! A person's own pages: logging in, signing up, mailed links, the account and its sessions.

pub(crate) mod action_link;
pub mod action_link_page;
pub(crate) mod activate;
pub mod activate_page;
pub(crate) mod address;
pub mod address_page;
pub(crate) mod enter;
pub(crate) mod login;
pub mod login_page;
pub(crate) mod password;
pub(crate) mod profile;
pub mod profile_page;
pub(crate) mod renew;
pub(crate) mod reset;
pub mod reset_page;
pub(crate) mod sessions;
pub mod sessions_page;
pub(crate) mod signup;
pub mod signup_page;
pub(crate) mod unsent;
pub mod unsent_page;
pub(crate) mod unsubscribe;
pub mod unsubscribe_page;
