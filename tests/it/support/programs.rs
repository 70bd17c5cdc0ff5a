//! Programs of others that tests run: what people really download with.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a program left behind.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub said: String,
}

/// Whether all these programs are installed. If not, says so past the capture of the test harness;
/// in CI nothing may be skipped, so there it panics.
pub fn are_there(test: &str, programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| find(program).is_none()).collect();
    missing.is_empty() || skip(test, &format!("not installed: {missing:?}"))
}

/// Says that a test is skipped and why; panics in CI. Always false.
#[expect(clippy::disallowed_methods, reason = "tests ask the environment what they may skip")]
pub fn skip(test: &str, why: &str) -> bool {
    assert!(std::env::var_os("CI").is_none(), "{test}: {why}");
    writeln!(std::io::stderr(), "SKIPPED {test}: {why}").unwrap();
    false
}

#[expect(clippy::disallowed_methods, reason = "tests ask the environment where programs are")]
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Runs a program in `folder` to its end, for two minutes at most; the test's own servers and
/// proxies go on meanwhile.
pub async fn run(folder: &Path, program: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "120", program])
        .args(arguments)
        .current_dir(folder)
        // No settings of the person who runs the tests, no proxy, and names in UTF-8.
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", folder);
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    Ended { code: status.code(), said }
}
