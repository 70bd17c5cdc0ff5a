//! All integration tests, in one binary: one module per endpoint or promise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected must end"
)]

mod architecture;
mod dependencies;
mod not_spent;
mod once_only;
mod settings;
mod support;
mod token_vectors;
mod used_tokens;
mod web_activate;
mod web_database;
mod web_files;
mod web_forms;
mod web_login;
