//! The client: `oncelink get`, `send` and the other commands for people and scripts that use an Oncelink elsewhere. It
//! needs no settings, knows nothing but a link or a key, and reads no data of a server on the same machine.

mod api;
pub mod credentials;
mod environment;
mod error;
mod fetch;
pub mod get;
mod http;
mod link;
pub mod lists;
pub mod login;
mod names;
mod progress;
mod prompt;
pub mod send;
mod send_file;
mod tree;
mod tus;
mod visit_file;

pub use environment::link_password;
pub use error::ClientError;
pub use prompt::password_file;
