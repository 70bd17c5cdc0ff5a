//! Sockets from systemd: nobody is refused a connection while one process ends and the next one waits for it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::needs::has_program;
use crate::support::process::{Download, PROGRAM, Site, pause, signal, wait_for};
use crate::support::{pattern, unused_address};

/// What passes the sockets to the program. Ends when dropped, and the programs with it.
struct Activator {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    started: Vec<u32>,
}

impl Activator {
    /// Listens at these addresses, each with its name, in the folder of the program.
    fn new(folder: &Path, sockets: &[(&str, SocketAddr)]) -> Activator {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/activator.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args(sockets.iter().map(|(name, address)| format!("{name}={address}")))
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (commands, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Activator { child, commands, answers: BufReader::new(answers), started: Vec::new() }
    }

    /// Starts the program, and returns its process id.
    fn start(&mut self, role: &str) -> u32 {
        writeln!(self.commands, "{PROGRAM} {role}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let id = line.trim().parse().unwrap();
        self.started.push(id);
        id
    }
}

impl Drop for Activator {
    fn drop(&mut self) {
        for id in &self.started {
            signal(*id, Signal::KILL);
        }
        let _ended = self.child.kill();
        self.child.wait().unwrap();
    }
}

/// Whether a process is running, and not only waited for by its parent.
fn is_running(id: u32) -> bool {
    fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn is_ready(address: SocketAddr) -> bool {
    Download::begin(address, "/readyz", "")
        .and_then(Download::finish)
        .is_ok_and(|answer| answer.status == 200)
}

#[test]
fn while_a_process_waits_for_the_one_before_connections_wait_and_none_is_refused() {
    if !has_program("python3") {
        return;
    }
    let site = Site::new();
    let settings = fs::read_to_string(site.path().join("oncelink.toml")).unwrap();
    let listen = format!("listen = '{}'", site.address);
    assert!(settings.contains(&listen));
    let settings = settings.replace(&listen, "listen = 'systemd'").replace("'1s'", "'50s'");
    fs::write(site.path().join("oncelink.toml"), settings).unwrap();
    let content = pattern(30_000_000);
    site.put("large.bin", &content);
    let mut systemd = Activator::new(site.path(), &[("download", site.address)]);
    let first = systemd.start("download");
    wait_for("readiness", || is_ready(site.address));

    let running = Download::begin(site.address, &site.ticket("large.bin").path, "").unwrap();
    assert_eq!(running.status(), 200);
    let (over, ticket) = (AtomicBool::new(false), site.ticket("small.bin"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                TcpStream::connect(site.address).expect("a connection was refused");
                pause(Duration::from_millis(5));
            }
        });
        signal(first, Signal::TERM);
        wait_for("the stop", || site.log().contains("running transfers may finish"));
        systemd.start("download");
        wait_for("the second process", || site.log().contains("waiting for another process to end"));
        // It comes while the first process still sends, and waits for the second.
        let waiting = scope.spawn(|| {
            let mut answer = None;
            wait_for("an answer", || {
                // A connection that the first process accepted before it stopped ends without an answer.
                answer = site.get(&ticket).ok();
                answer.is_some()
            });
            answer.unwrap()
        });
        assert!(is_running(first), "it has a transfer to finish");
        assert!(running.finish().unwrap().body == content);
        wait_for("the end of the first process", || !is_running(first));
        let answer = waiting.join().unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, 2000), "{}", site.log());
        over.store(true, Ordering::Relaxed);
    });
    site.assert_used([&ticket]);
}

fn folder_with(listen: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("share")).unwrap();
    let settings = format!(
        "data_dir = 'data'\n[web]\nlisten = '{listen}'\npublic_url = 'https://files.example.org'\n[download]\n\
         listen = '{listen}'\npublic_url = 'https://dl.example.org'\n[[share]]\nname = 'open'\npath = 'share'\n"
    );
    fs::write(folder.path().join("oncelink.toml"), settings).unwrap();
    folder
}

#[test]
fn each_service_gets_the_sockets_with_its_name() {
    if !has_program("python3") {
        return;
    }
    let folder = folder_with("systemd");
    let (web, other, download) = (unused_address(), unused_address(), unused_address());
    // In another order, and two of one name.
    let sockets = [("web", web), ("download", download), ("web", other)];
    let mut systemd = Activator::new(folder.path(), &sockets);
    let first = systemd.start("serve");
    for address in [web, other, download] {
        wait_for("readiness", || is_ready(address));
    }
    let page = |address| Download::begin(address, "/login", "").unwrap().status();
    assert_eq!([web, other, download].map(page), [200, 200, 404]);
    signal(first, Signal::TERM);
    systemd.start("serve");
    for address in [web, other, download] {
        wait_for("readiness", || is_ready(address));
    }
}

#[test]
fn without_a_socket_from_systemd_the_error_says_which_is_missing() {
    let folder = folder_with("systemd");
    let output = Command::new(PROGRAM).arg("web").current_dir(folder.path()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("no socket called `web`"), "{text}");
    assert!(text.contains("FileDescriptorName=web"), "{text}");
}
