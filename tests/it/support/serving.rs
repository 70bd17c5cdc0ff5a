//! `oncelink serve` as operators run it, both services in one process, and the command line with it.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use tempfile::TempDir;

use super::client::Client;
use super::process::{PROGRAM, Process};
use super::web::{Answer, Browser, PASSWORD};

const WEB_PORT: u16 = 18_083;
const DOWNLOAD_PORT: u16 = 18_084;

/// A folder with settings, a share `open` with `file.txt`, and a data directory.
pub(crate) struct Serving {
    pub(crate) dir: TempDir,
    web: SocketAddr,
    download: SocketAddr,
    /// Environment variables for every process.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Serving {
    pub(crate) fn new() -> Serving {
        // Its own address, so that no other process takes the port during a restart.
        static SITES: AtomicU8 = AtomicU8::new(1);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let host = Ipv4Addr::new(127, 192 + SITES.fetch_add(1, Ordering::Relaxed) % 32, high, low);
        let (web, download) = (SocketAddr::from((host, WEB_PORT)), SocketAddr::from((host, DOWNLOAD_PORT)));
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("share")).unwrap();
        fs::write(dir.path().join("share/file.txt"), "this is open").unwrap();
        let settings = format!(
            "data_dir = 'data'\n[web]\nlisten = '{web}'\npublic_url = 'http://{web}'\n[download]\n\
             listen = '{download}'\npublic_url = 'http://{download}'\nstop_timeout = '1s'\n[[share]]\n\
             name = 'open'\npath = 'share'\nread = ['everyone']\n"
        );
        fs::write(dir.path().join("oncelink.toml"), settings).unwrap();
        Serving { dir, web, download, environment: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed; returns what it printed.
    pub(crate) fn said(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail; returns its error message.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Adds an account with [`PASSWORD`].
    pub(crate) fn add(&self, email: &str) {
        let mut command = self.command(&["user", "add", email, "--password-stdin"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Starts both services, and waits until they are ready.
    pub(crate) fn start(&self) -> Process {
        let path = self.path("log");
        let log = File::options().create(true).append(true).open(&path).unwrap();
        let mut command = self.command(&["serve"]);
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        // The web app listens last.
        let mut process = Process::of(child, self.web, path);
        process.wait_until_ready();
        process
    }

    /// All log lines so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap()).into_owned()
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::at(&format!("http://{}", self.web))
    }

    /// A browser in which this account is logged in.
    pub(crate) async fn logged_in(&self, email: &str) -> Browser {
        let mut browser = self.browser();
        let answer = browser.log_in(email, PASSWORD).await;
        assert_eq!(answer.status, 303, "{}\n{}", answer.body, self.log());
        browser
    }

    /// Presses a link's button as a stranger does.
    pub(crate) async fn press(&self, public: &str) -> Answer {
        self.browser().post(public, &[]).await
    }

    /// Presses the button and downloads the file; returns the download address.
    pub(crate) async fn take(&self, public: &str) -> String {
        let answer = self.press(public).await;
        assert_eq!(answer.status, 303, "{}\n{}", answer.body, self.log());
        let address = answer.location.unwrap();
        assert_eq!(Client::default().get(&address).await.status, 200);
        address
    }

    /// The body of the download service's `/readyz`.
    pub(crate) async fn readiness(&self) -> String {
        let reply = Client::default().get(&format!("http://{}/readyz", self.download)).await;
        assert_eq!(reply.status, 200);
        String::from_utf8(reply.body.to_vec()).unwrap()
    }
}

/// Replaces the folder `to` by a copy of `from`.
pub(crate) fn put_in_place(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    super::process::run("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]);
}
