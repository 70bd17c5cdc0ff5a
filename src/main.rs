//! The `oncelink` command: parse, act, print what went wrong once, answer with an exit code.

use std::process::ExitCode;

use oncelink::cli::{self, Cli};
use tikv_jemallocator::Jemalloc;

// glibc keeps what a flood took: its arenas give back only what lies at their ends. This one gives
// back whatever was not used for ten seconds.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let command_line = Cli::of(std::env::args_os()).unwrap_or_else(|told| told.exit());
    let end = actix_web::rt::System::new().block_on(cli::run(command_line));
    end.unwrap_or_else(|error| cli::report(&error))
}
