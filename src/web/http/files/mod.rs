//! Browsing, changing, uploading and downloading files.

pub(crate) mod access;
pub(crate) mod addresses;
pub mod bar;
pub(crate) mod browse;
pub mod browse_page;
pub mod destinations;
pub(crate) mod download;
pub(crate) mod edit;
pub mod edit_page;
pub(crate) mod list_view;
pub mod listing;
pub mod move_page;
pub mod name_parts;
pub mod row;
pub(crate) mod selected;
pub mod selected_page;
pub mod sort;
pub(crate) mod trash;
pub mod trash_page;
pub(crate) mod tus;
pub(crate) mod tus_answer;
pub(crate) mod tus_header;
pub(crate) mod tus_order;
pub(crate) mod upload_form;
pub mod upload_page;
