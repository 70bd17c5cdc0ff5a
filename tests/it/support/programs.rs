//! Third-party programs that tests run: those that people download with.

use std::path::Path;
use std::process::{Command, Output};

/// The result of a program.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub said: String,
}

/// Runs a program in `folder` to its end, for two minutes at most; the test's own servers and proxies keep
/// running meanwhile.
pub async fn run(folder: &Path, program: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "120", program])
        .args(arguments)
        .current_dir(folder)
        // No user configuration, no proxy, and file names in UTF-8.
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", folder);
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    Ended { code: status.code(), said }
}

/// Runs aria2 with sixteen connections; it saves the file in `folder` as `a.bin`.
pub async fn aria2(folder: &Path, link: &str) -> Ended {
    let arguments = [
        "-x16",
        "-s16",
        "--min-split-size=1M",
        "--file-allocation=none",
        "--no-conf=true",
        "--disable-ipv6=true",
        "--console-log-level=warn",
        "--summary-interval=0",
        "--show-console-readout=false",
        "--out=a.bin",
        link,
    ];
    run(folder, "aria2c", &arguments).await
}
