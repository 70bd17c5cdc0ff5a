//! Making links, opening them, and what became of them.

pub(crate) mod deliveries;
pub mod deliveries_page;
pub(crate) mod live;
pub(crate) mod mailing;
pub mod mailing_page;
pub(crate) mod my_links;
pub mod my_links_page;
pub mod new_link_page;
pub(crate) mod one_link;
pub(crate) mod press;
pub(crate) mod public_link;
pub mod public_link_page;
pub(crate) mod public_link_view;
pub mod qr;
