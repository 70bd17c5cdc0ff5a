//! What a test needs on the machine besides the toolchain. Where it is missing, the test does nothing and the
//! gap is printed once; where CI is set, that is a failure instead.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// What was missing and has been printed.
static MISSING: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Whether `program` can be run. If not, prints that the test is skipped; panics under CI.
pub(crate) fn has_program(program: &str) -> bool {
    note(program);
    let found = Command::new("sh")
        .args(["-c", "command -v \"$0\"", program])
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    found || skip(&format!("the program `{program}`"))
}

/// Skips this test because `needed` is missing, which is printed once for all tests, and returns false;
/// panics under CI, where nothing may be skipped.
pub(crate) fn skip(needed: &str) -> bool {
    note(needed);
    let test = this_test();
    assert!(variable("CI").is_none(), "{test} needs {needed}, and under CI nothing may be skipped");
    let is_new = MISSING.lock().unwrap_or_else(PoisonError::into_inner).insert(needed.to_owned());
    if is_new {
        // Written past the test harness, which hides what a passing test prints.
        let _ = writeln!(std::io::stderr(), "\nSKIPPED: tests that need {needed}, which is not here");
    }
    false
}

/// Records which test needs what, for `tests/long/missing.py`.
fn note(needed: &str) {
    if let Some(file) = variable("ONCELINK_TEST_NEEDS") {
        let mut file = File::options().append(true).create(true).open(file).unwrap();
        // A single write, so that tests in parallel don't mix their lines.
        file.write_all(format!("{}\t{needed}\n", this_test()).as_bytes()).unwrap();
    }
}

fn this_test() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

/// An environment variable that configures the tests, such as `ONCELINK_TEST_POSTGRES`; an empty one counts
/// as not set.
#[expect(clippy::disallowed_methods, reason = "where tests ask what this machine offers them")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
