//! Wires the services: opens what they need, binds the listeners, and serves until stopped. Besides the
//! command line, this is the only module that knows both services.

mod access_log;
mod ack_watch;
mod announce;
mod bound_listener;
mod client_stream;
pub mod data_dir;
mod deadlines;
mod download_service;
mod error;
mod host;
mod http_metrics;
mod inherited;
mod listen;
mod local_peer;
mod metrics_service;
mod missing_length;
mod open;
mod process_metrics;
mod refusal;
mod reload;
mod requests;
mod role;
mod run;
mod running;
mod settling;
mod signals;
mod socket_writer;
mod stop_responder;
mod task_set;
mod time;
mod transport;
mod web_service;

pub use self::bound_listener::find_stale;
pub use self::error::ServeError;
pub use self::open::{start, start_with};
pub use self::role::Role;
pub use self::run::{SettingsSource, run};
pub use self::running::RunningServices;
pub use self::web_service::web_server;
