//! The systemd units in `deploy/`: systemd accepts them, and rates what they could do to the machine.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::needs::has_program;

const UNITS: [&str; 3] = ["oncelink.service", "oncelink-web.service", "oncelink-download.service"];

/// The highest acceptable exposure that `systemd-analyze security` computes, times ten.
const EXPOSURE: &str = "15";

/// The shipped unit with a program that exists on this machine.
fn unit(name: &str) -> String {
    let text = fs::read_to_string(format!("deploy/systemd/{name}")).unwrap();
    assert_eq!(text.matches("ExecStart=/usr/bin/oncelink ").count(), 1, "{name}");
    text.replace("/usr/bin/oncelink", "/bin/true")
}

#[test]
fn systemd_accepts_the_units_and_finds_them_well_confined() {
    if !has_program("systemd-analyze") {
        return;
    }
    let folder = TempDir::new().unwrap();
    for name in UNITS {
        let path = folder.path().join(name);
        fs::write(&path, unit(name)).unwrap();
    }
    for name in UNITS {
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(folder.path().join(name))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success() && said.is_empty(), "{name}: {said}");
        let rated = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold", EXPOSURE])
            .arg(folder.path().join(name))
            .output()
            .unwrap();
        assert!(rated.status.success(), "{name}: {}", String::from_utf8_lossy(&rated.stdout));
    }
}

#[test]
fn the_units_differ_only_in_what_they_run() {
    let settings = |name: &str| {
        let text = fs::read_to_string(format!("deploy/systemd/{name}")).unwrap();
        let own = ["Description=", "ExecStart=", "Conflicts="];
        let lines = text.lines().filter(|line| !own.iter().any(|key| line.starts_with(key)));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let first = settings(UNITS[0]);
    assert_eq!(settings(UNITS[1]), first);
    assert_eq!(settings(UNITS[2]), first);
}
