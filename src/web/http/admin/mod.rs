//! The pages for administrators.

pub(crate) mod accounts;
pub mod accounts_page;
pub(crate) mod administrator;
pub(crate) mod audit;
pub mod audit_page;
pub(crate) mod mail;
pub mod mail_page;
pub(crate) mod nodes;
pub mod nodes_page;
pub mod pager;
