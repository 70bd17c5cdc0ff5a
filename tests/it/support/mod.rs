//! What several test files share.

pub(crate) mod postgres;
pub(crate) mod web;
