//! File requests: the pages of their owners, and the public pages of their guests.

pub(crate) mod change;
pub(crate) mod guest_form;
pub mod guest_form_page;
pub(crate) mod my_requests;
pub mod my_requests_page;
pub(crate) mod new_request;
pub mod new_request_page;
pub(crate) mod one_request;
pub mod one_request_page;
pub(crate) mod own_request;
pub(crate) mod public_request;
pub mod public_request_page;
pub(crate) mod ticket;
