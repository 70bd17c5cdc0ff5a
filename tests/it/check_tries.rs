//! `oncelink check` tries what a start does, and a service that can start with a problem warns about it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::process::{PROGRAM, Process};
use crate::support::unused_address;

/// A working directory with its settings, and a command with an empty environment.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// Creates one with the share `team`, and appends `more` to the settings.
    fn new(more: &str) -> Place {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("team")).unwrap();
        let place = Place { dir };
        place.settings(&format!("{SERVICES}{SHARE}{more}"));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn settings(&self, text: &str) {
        fs::write(self.path("oncelink.toml"), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(self.dir.path()).env_clear();
        command
    }

    /// The lines of `check` that are not "ok", and its exit code.
    fn check(&self) -> (String, i32) {
        let output = self.command(&["check"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let wrong: Vec<&str> = text.lines().filter(|line| !line.starts_with("ok ")).collect();
        (wrong.join("\n"), output.status.code().unwrap())
    }

    fn add_account(&self, more: &[&str]) -> String {
        let all = [&["user", "add", "ada@example.org"], more].concat();
        let output = self.command(&all).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stderr).unwrap()
    }
}

const SERVICES: &str = "[web]\nlisten = '127.0.0.1:0'\n[download]\nlisten = '127.0.0.1:0'\n";
const SHARE: &str = "[[share]]\nname = 'team'\npath = 'team'\n";

#[test]
fn a_missing_share_is_reported_with_what_to_do() {
    let place = Place::new("[[share]]\nname = 'nas'\npath = 'gone'\n");
    let (line, code) = place.check();
    assert!(code == 2 && line.starts_with("problem  share `nas`") && line.contains("create it"), "{line}");
}

#[test]
fn a_port_in_use_is_a_problem() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Place::new("");
    let address = taken.local_addr().unwrap();
    place.settings(&format!("[web]\nlisten = '{address}'\n[download]\nlisten = '127.0.0.1:0'\n{SHARE}"));
    drop(taken);
    assert_eq!(place.check(), (String::new(), 0));
    let _taken = TcpListener::bind(address).unwrap();
    let (line, code) = place.check();
    assert!(code == 2 && line.starts_with("problem  web.listen") && line.contains("in use"), "{line}");
}

#[test]
fn a_database_that_does_not_respond_is_reported_once() {
    let place = Place::new("");
    place.settings(&format!("[web]\nlisten = '127.0.0.1:0'\ndatabase = 'postgres://u:p@127.0.0.1:1/x'\n[download]\nlisten = '127.0.0.1:0'\n{SHARE}"));
    fs::set_permissions(place.path("oncelink.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    let (line, code) = place.check();
    assert!(code == 2 && line.starts_with("problem  web.database"), "{line}");
    assert_eq!(line.matches("Connection refused").count(), 1, "{line}");
    fs::set_permissions(place.path("oncelink.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    let (lines, _) = place.check();
    assert!(lines.contains("problem  settings") && lines.contains("chmod 600"), "{lines}");
    assert!(!lines.contains("u:p@"), "{lines}");
}

#[test]
fn an_unknown_group_or_person_in_a_share_is_reported_with_suggestions() {
    let place = Place::new("read = ['everybody']\nwrite = ['stuff', 'bob@example.org']\n");
    let said = place.add_account(&["--group", "staff"]);
    assert!(said.contains("no share names the group `staff`") && said.contains("stuff"), "{said}");
    let (lines, code) = place.check();
    assert_eq!(code, 1, "{lines}");
    for part in [
        "`everybody`, but nobody is in it; did you mean `everyone`?",
        "did you mean `staff`?",
        "bob@example.org, but there is no such account",
    ] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
}

#[test]
fn a_share_in_the_data_directory_is_a_problem() {
    let place = Place::new("");
    place.settings(&format!("{SERVICES}[[share]]\nname = 'x'\npath = 'data/x'\n"));
    fs::create_dir_all(place.path("data/x")).unwrap();
    fs::set_permissions(place.path("data"), fs::Permissions::from_mode(0o700)).unwrap();
    let (line, code) = place.check();
    assert!(code == 2 && line.starts_with("problem  share `x`") && line.contains("data directory"), "{line}");
}

#[test]
fn too_few_open_files_are_a_warning() {
    let place = Place::new("");
    let script = format!("ulimit -n 1024 && exec '{PROGRAM}' check");
    let output =
        Command::new("sh").args(["-c", &script]).current_dir(place.dir.path()).env_clear().output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("warning  open files: this process may open 1024 files"), "{text}");
    assert_eq!(output.status.code(), Some(1), "{text}");
}

#[test]
fn check_accepts_the_ports_of_a_running_service_which_logs_the_same_warnings() {
    let place = Place::new("write = ['nobody-is-in-it']\n[[share]]\nname = 'nas'\npath = 'gone'\n");
    let ports = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let [web, download] = ports.map(|port| port.local_addr().unwrap());
    let settings = fs::read_to_string(place.path("oncelink.toml")).unwrap();
    let settings = settings.replacen("127.0.0.1:0", &web.to_string(), 1);
    place.settings(&settings.replacen("127.0.0.1:0", &download.to_string(), 1));
    place.add_account(&[]);
    let log = place.path("log");
    let file = fs::File::create(&log).unwrap();
    let child = place
        .command(&["serve"])
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let mut process = Process::of(child, download, log.clone());
    process.wait_until_ready();
    let said = || fs::read_to_string(&log).unwrap();
    crate::support::process::wait_for("the warnings", || said().contains("nobody-is-in-it"));
    assert!(said().contains("share `nas`: ") && said().contains("is unavailable"), "{}", said());
    let (lines, code) = place.check();
    assert!(code == 2 && !lines.contains("listen"), "{lines}");
    process.kill();
}

#[test]
fn the_program_alone_in_an_empty_folder_creates_what_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let file = fs::File::create(&log).unwrap();
    let download = unused_address();
    let child = Command::new(PROGRAM)
        .current_dir(dir.path())
        .env_clear()
        .env("ONCELINK_WEB__LISTEN", "127.0.0.1:0")
        .env("ONCELINK_DOWNLOAD__LISTEN", download.to_string())
        // The variable that Kubernetes sets for a Service called `oncelink`.
        .env("ONCELINK_PORT", "tcp://10.96.0.1:8080")
        .env("ONCELINK_SERVICE_HOST", "10.96.0.1")
        .env("ONCELINK_WEB_PORT_8080_TCP_ADDR", "10.96.0.1")
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let mut process = Process::of(child, download, log.clone());
    process.wait_until_ready();
    assert!(dir.path().join("storage/books").is_dir());
    let read = || fs::read_to_string(&log).unwrap();
    crate::support::process::wait_for("the addresses", || read().contains("which works once:"));
    let said = read();
    assert!(
        said.contains("Create the first one with this link") && !said.contains("starting 2 workers"),
        "{said}"
    );
    process.kill();
}

#[test]
fn a_sandbox_that_refuses_openat2_is_reported_at_the_start() {
    if !crate::needs::has_program("strace") {
        return;
    }
    let place = Place::new("");
    for refusal in ["EPERM", "ENOSYS", "EACCES"] {
        let output = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=openat2", "-e"])
            .arg(format!("inject=openat2:error={refusal}"))
            .args([PROGRAM, "serve"])
            .current_dir(place.dir.path())
            .env_clear()
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{refusal}: {said}");
        assert!(said.contains("openat2") && said.contains("seccomp"), "{refusal}: {said}");
    }
}
