//! Browsing, changing, uploading and downloading files.

pub(crate) mod access;
pub(crate) mod addresses;
pub(crate) mod browse;
pub mod browse_page;
pub(crate) mod download;
pub(crate) mod edit;
pub mod edit_page;
pub mod listing;
pub mod move_page;
pub mod row;
pub mod sort;
pub(crate) mod trash;
pub mod trash_page;
pub(crate) mod tus;
pub(crate) mod tus_answer;
pub(crate) mod tus_header;
pub(crate) mod tus_order;
pub(crate) mod tus_sender;
pub(crate) mod upload_form;
pub mod upload_page;
pub(crate) mod view;
pub(crate) mod zip;
pub mod zip_page;
