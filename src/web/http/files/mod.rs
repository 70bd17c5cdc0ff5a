//! Browsing, changing, uploading and downloading files.

pub(crate) mod browse;
pub mod browse_page;
pub(crate) mod download;
pub(crate) mod edit;
pub mod edit_page;
pub mod listing;
pub mod row;
pub mod sort;
pub(crate) mod tus;
pub(crate) mod tus_answer;
pub(crate) mod tus_order;
pub(crate) mod upload_form;
pub mod upload_page;
