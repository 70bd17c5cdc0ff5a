//! Creating links, opening them, and following their deliveries.

pub(crate) mod deliveries;
pub mod deliveries_page;
pub mod link_state;
pub(crate) mod live;
pub(crate) mod mail_code;
pub(crate) mod mailing;
pub mod mailing_page;
pub(crate) mod my_links;
pub mod my_links_page;
pub(crate) mod new_link;
pub mod new_link_page;
pub(crate) mod offer_words;
pub(crate) mod one_link;
pub mod one_link_page;
pub(crate) mod own_link;
pub(crate) mod press;
pub(crate) mod public_link;
pub(crate) mod public_link_answer;
pub mod public_link_page;
pub(crate) mod public_link_view;
pub mod qr;
pub(crate) mod selected_files;
