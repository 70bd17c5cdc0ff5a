//! The systemd units in `deploy/`: systemd accepts them, and rates what they could do to the machine.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::needs::has_program;

const UNITS: [&str; 3] = ["oncelink.service", "oncelink-web.service", "oncelink-download.service"];

const SOCKETS: [&str; 2] = ["oncelink-web.socket", "oncelink-download.socket"];

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
        fs::write(folder.path().join(name), unit(name)).unwrap();
    }
    for name in SOCKETS {
        fs::copy(format!("deploy/systemd/{name}"), folder.path().join(name)).unwrap();
    }
    for name in UNITS.iter().chain(&SOCKETS) {
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(folder.path().join(name))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success() && said.is_empty(), "{name}: {said}");
    }
    for name in UNITS {
        let rated = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold", EXPOSURE])
            .arg(folder.path().join(name))
            .output()
            .unwrap();
        assert!(rated.status.success(), "{name}: {}", String::from_utf8_lossy(&rated.stdout));
    }
}

#[test]
fn each_socket_has_the_name_by_which_its_service_takes_it() {
    for (name, service) in SOCKETS.iter().zip(["web", "download"]) {
        let text = fs::read_to_string(format!("deploy/systemd/{name}")).unwrap();
        assert!(text.contains(&format!("\nFileDescriptorName={service}\n")), "{name}");
        assert!(text.contains("\nService=oncelink.service\n"), "{name}");
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
