//! A Redis server for one test, which keeps what it confirms. It can be killed, started again, and put back to
//! an earlier state of its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::{Client, RedisResult, Value};
use tempfile::TempDir;

use crate::needs;
use crate::support::smtp::certificate;
use crate::support::unused_address;

/// The settings that Oncelink requires, and those that differ from what the machine's server would have.
const SETTINGS: [&str; 8] =
    ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--save", ""];

/// Longer than a start takes, unless the machine is stuck.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct RedisServer {
    folder: TempDir,
    port: u16,
    more: Vec<String>,
    child: Option<Child>,
    tls: bool,
}

impl RedisServer {
    /// Starts a server; `None`, with a printed note, if the program is missing.
    pub(crate) async fn start() -> Option<RedisServer> {
        RedisServer::start_with(&[]).await
    }

    /// The same with other settings, as on its command line.
    pub(crate) async fn start_with(more: &[&str]) -> Option<RedisServer> {
        if !needs::has_program("redis-server") {
            return None;
        }
        let more = more.iter().map(|word| (*word).to_owned()).collect();
        let folder = TempDir::new().unwrap();
        let mut server = RedisServer { folder, port: unused_address().port(), more, child: None, tls: false };
        server.run().await;
        Some(server)
    }

    /// A server that accepts only TLS, with a certificate for `localhost` that only [`RedisServer::roots`] has.
    pub(crate) async fn start_with_tls() -> Option<RedisServer> {
        if !needs::has_program("redis-server") || !needs::has_program("openssl") {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let (certificate, key) = certificate(folder.path());
        let port = unused_address().port();
        let more = ["--tls-port", &port.to_string(), "--tls-auth-clients", "no"].map(str::to_owned);
        let files = ["--tls-cert-file".to_owned(), certificate.display().to_string()];
        let key = ["--tls-key-file".to_owned(), key.display().to_string()];
        let more = [&more[..], &files, &key].concat();
        let mut server = RedisServer { folder, port, more, child: None, tls: true };
        server.run().await;
        Some(server)
    }

    pub(crate) fn address(&self) -> String {
        match self.tls {
            false => format!("redis://{}127.0.0.1:{}/0", self.login(), self.port),
            true => format!("rediss://localhost:{}/0?sslrootcert={}", self.port, self.roots().display()),
        }
    }

    /// The password that it requires, as in an address.
    fn login(&self) -> String {
        let at = self.more.iter().position(|word| word == "--requirepass");
        at.map(|at| format!(":{}@", self.more[at + 1])).unwrap_or_default()
    }

    /// The certificates that a client of a server with TLS must trust.
    pub(crate) fn roots(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it, with what its files contain, and waits until it answers.
    pub(crate) async fn run(&mut self) {
        fs::create_dir_all(self.data()).unwrap();
        let port = if self.tls { 0 } else { self.port };
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(self.data())
            .args(SETTINGS)
            .args(&self.more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let up = async {
            let mut tick = tokio::time::interval(Duration::from_millis(10));
            while !self.is_up().await {
                tick.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, up).await.unwrap();
    }

    async fn is_up(&self) -> bool {
        match self.tls {
            true => std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok(),
            false => self.ask(&["PING"]).await.is_ok(),
        }
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Runs a command.
    pub(crate) async fn command(&self, words: &[&str]) -> Value {
        self.ask(words).await.unwrap()
    }

    /// Runs a command whose result is text or a number.
    pub(crate) async fn text(&self, words: &[&str]) -> String {
        redis::from_redis_value(self.command(words).await).unwrap()
    }

    async fn ask(&self, words: &[&str]) -> RedisResult<Value> {
        let client = Client::open(self.address()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).query_async(&mut connection).await
    }

    /// Changes a setting while it runs.
    pub(crate) async fn set(&self, name: &str, value: &str) {
        self.command(&["CONFIG", "SET", name, value]).await;
    }

    /// Keeps a copy of its files in `name`.
    pub(crate) fn copy(&self, name: &str) {
        copy_folder(&self.data(), &self.folder.path().join(name));
    }

    /// Puts the copy back in place of its files, and starts it again.
    pub(crate) async fn put_back(&mut self, name: &str) {
        self.kill();
        fs::remove_dir_all(self.data()).unwrap();
        copy_folder(&self.folder.path().join(name), &self.data());
        self.run().await;
    }

    /// Starts it again without its files.
    pub(crate) async fn lose_everything(&mut self) {
        self.kill();
        fs::remove_dir_all(self.data()).unwrap();
        self.run().await;
    }

    /// Its process, for `strace`.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}
