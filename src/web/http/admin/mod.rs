//! The pages for administrators.

pub(crate) mod accounts;
pub mod accounts_page;
pub(crate) mod administrator;
pub(crate) mod audit;
pub mod audit_page;
pub(crate) mod deliveries;
pub mod deliveries_page;
pub mod group_fields;
pub(crate) mod keys;
pub mod keys_page;
pub(crate) mod links;
pub mod links_page;
pub(crate) mod mail;
pub mod mail_page;
pub(crate) mod nodes;
pub mod nodes_page;
pub mod pager;
pub(crate) mod settings;
pub mod settings_page;
pub(crate) mod shares;
pub mod shares_page;
