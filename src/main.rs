//! The `oncelink` command: parses the arguments, runs the command, prints an error once, returns an exit
//! code.

use std::hint::black_box;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use mimalloc::MiMalloc;
use oncelink::cli::{self, Cli};

// After a flood, glibc keeps the memory, because its arenas release it only at their ends. This allocator
// releases what has been unused for a second.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let command_line = Cli::of(std::env::args_os()).unwrap_or_else(|error| error.exit());
    // Without this thread, an idle process keeps what it used last, and nothing else changes.
    let _ = thread::Builder::new().name("allocator".to_owned()).spawn(release_unused_memory);
    cli::run(command_line)
}

/// Has the allocator look for unused memory once a second. It does so only when a thread frees a page of its
/// own, which an idle process never does.
fn release_unused_memory() {
    // Too large to share a page with anything else. It is never written, so it takes no memory.
    const PAGE: usize = 4 << 20;
    loop {
        thread::park_timeout(Duration::from_secs(1));
        drop(black_box(Vec::<u8>::with_capacity(PAGE)));
    }
}
