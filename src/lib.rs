//! Oncelink serves download links that work once, only once, and are never lost.
//!
//! Two services that never import each other, [`download`] and [`web`], are built on a small kernel
//! ([`clock`], [`secret`], [`id`], [`files`], [`token`], [`used_tokens`]). [`server`] wires them, and
//! [`cli`] is the operator's interface.

pub mod access;
pub mod archive;
pub mod assets;
mod bearer;
pub mod brand;
pub mod cli;
pub mod client;
pub mod client_address;
pub mod clock;
pub mod config;
pub mod connection;
pub mod cookie_name;
pub mod download;
pub mod files;
pub mod health;
pub mod http_client;
pub mod human;
pub mod id;
pub mod moment;
pub mod postgres;
pub mod receipt;
pub mod reloadable;
pub mod secret;
pub mod server;
pub mod standing;
mod tasks;
pub mod telemetry;
pub mod token;
mod turn;
pub mod used_tokens;
pub mod viewable;
pub mod web;
pub mod words;
