//! The `oncelink` command: parses the arguments, runs the command, prints an error once, returns an exit
//! code.

use std::process::ExitCode;

use oncelink::cli::{self, Cli};
use tikv_jemallocator::Jemalloc;

// After a flood, glibc keeps the memory, because its arenas release it only at their ends. This allocator
// releases memory that was unused for ten seconds.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let command_line = Cli::of(std::env::args_os()).unwrap_or_else(|error| error.exit());
    cli::run(command_line)
}
