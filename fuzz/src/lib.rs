//! The fuzz targets, as one function each. A function takes any bytes and checks the invariants of the code
//! that parses them, so it finds more than panics.
//!
//! The programs in `fuzz_targets/` pass these functions to libFuzzer. `tests/seeds.rs` runs them on the seeds
//! and the test vectors without libFuzzer.

// Two private modules of the download service are compiled in here from their sources rather than made public,
// as in `benches/ranges.rs`. They expect these modules at the root of their crate.
use oncelink::{clock, secret};

#[path = "../../src/download/conditions.rs"]
#[allow(dead_code, unreachable_pub, reason = "compiled in from another crate")]
mod conditions;
#[path = "../../src/download/content_disposition.rs"]
#[allow(dead_code, unreachable_pub, reason = "compiled in from another crate")]
mod content_disposition;

pub mod answers;
pub mod texts;
pub mod tokens;
pub mod web;

/// The names of all targets: of their programs in `fuzz_targets/` and their folders in `seeds/`.
pub const TARGETS: [&str; 12] = [
    "client_address",
    "content_disposition",
    "form",
    "json",
    "jwks",
    "multipart",
    "path",
    "range",
    "recipients",
    "signed_token",
    "token",
    "tus",
];

/// Splits an input that has several parts into lines.
fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == b'\n')
}
