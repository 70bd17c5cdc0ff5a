//! The web app as a process that can be killed: `oncelink web` with its own folder and address, and one
//! account that has all rights in the share `open`.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use tempfile::TempDir;

use super::process::{PROGRAM, Process};
use super::tus::Uploader;
use super::web::{Browser, PASSWORD};

const PORT: u16 = 18_082;

/// The folder and address of a web app.
pub struct WebSite {
    pub dir: TempDir,
    /// The folder of the share `open`.
    pub share: PathBuf,
    pub address: SocketAddr,
}

impl WebSite {
    /// A site whose share is the folder `share`, or a new one; `more` is appended to the section `[web]`.
    pub fn new(share: Option<PathBuf>, more: &str) -> WebSite {
        static SITES: AtomicU8 = AtomicU8::new(1);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let host = Ipv4Addr::new(127, 128 + SITES.fetch_add(1, Ordering::Relaxed), high, low);
        let address = SocketAddr::from((host, PORT));
        let dir = TempDir::new().unwrap();
        let share = share.unwrap_or_else(|| dir.path().join("share"));
        fs::create_dir_all(&share).unwrap();
        let settings = format!(
            "data_dir = 'data'\n[web]\nlisten = '{address}'\npublic_url = 'http://{address}'\n{more}\n[log]\n\
             level = 'info'\n[[share]]\nname = 'open'\npath = '{}'\nwrite = ['everyone']\nmanage = ['everyone']\n",
            share.display()
        );
        fs::write(dir.path().join("oncelink.toml"), settings).unwrap();
        let site = WebSite { dir, share, address };
        site.run(&["user", "add", "ada@example.org", "--password-stdin"]);
        site
    }

    /// Runs a command that asks for a password.
    pub fn run(&self, arguments: &[&str]) {
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Starts the app, and waits until it is ready.
    pub fn start(&self) -> Process {
        self.start_within(&[])
    }

    /// The same, started through `wrapper`.
    pub fn start_within(&self, wrapper: &[&str]) -> Process {
        let path = self.dir.path().join("log");
        let log = File::options().create(true).append(true).open(&path).unwrap();
        let mut words = wrapper.iter().copied().chain([PROGRAM, "web"]);
        let child = Command::new(words.next().unwrap())
            .args(words)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut process = Process::of(child, self.address, path);
        process.wait_until_ready();
        process
    }

    /// All log lines so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("log")).unwrap()).into_owned()
    }

    /// Ada, logged in.
    pub async fn ada(&self) -> Uploader {
        let mut browser = Browser::at(&format!("http://{}", self.address));
        let answer = browser.log_in("ada@example.org", PASSWORD).await;
        assert_eq!(answer.status, 303, "{}\n{}", answer.body, self.log());
        Uploader::of(browser).await
    }

    /// The number of bytes of unfinished uploads.
    pub fn staged(&self) -> u64 {
        let Ok(uploads) = fs::read_dir(self.share.join(".oncelink/uploads")) else { return 0 };
        // An upload may be published while the folder is read.
        uploads.filter_map(|entry| entry.unwrap().metadata().ok()).map(|metadata| metadata.len()).sum()
    }
}
