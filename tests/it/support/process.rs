//! The real program as a child process that tests can kill, starve and deceive: `oncelink download` with its
//! own folder and loopback address, and a plain client that knows the moment at which the first byte of a
//! file arrives.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oncelink::clock::{Clock, Timestamp};
use oncelink::id::{FilePath, Jti, LinkId};
use oncelink::web::tokens::issuer::{DownloadTokenRequest, Issuer};
use oncelink::web::tokens::signer::Signer;
use tempfile::TempDir;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_oncelink");
/// Longer than a start or anything else takes, unless the machine is stuck.
const PATIENCE: Duration = Duration::from_secs(60);
const PORT: u16 = 18_081;

/// A folder with settings, public keys and a share, for a node that runs as a process. The private key stays
/// in the test.
pub struct Site {
    dir: TempDir,
    /// The node's data folder, which may be on another file system.
    pub data: PathBuf,
    pub address: SocketAddr,
    pub issuer: Issuer,
}

/// A token that a test uses, and its jti.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub jti: Jti,
    /// The path of its download address.
    pub path: String,
}

impl Site {
    pub fn new() -> Site {
        let dir = TempDir::new().unwrap();
        let data = dir.path().join("data");
        Site::with_data(dir, data)
    }

    /// A site whose node keeps its data in the folder `data` of another file system.
    pub fn with_data(dir: TempDir, data: PathBuf) -> Site {
        // Its own address, so that no other process takes the port during a restart.
        static SITES: AtomicU8 = AtomicU8::new(64);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let host = Ipv4Addr::new(127, SITES.fetch_add(1, Ordering::Relaxed), high, low);
        let address = SocketAddr::from((host, PORT));
        let public_url = format!("http://{address}");
        fs::create_dir(dir.path().join("share")).unwrap();
        let now = Clock::wall().now();
        let signer = Signer::open(&dir.path().join("signer"), now).unwrap();
        fs::write(dir.path().join("jwks.json"), signer.jwks(now)).unwrap();
        let issuer = Issuer {
            signer: Arc::new(signer),
            issuer: "http://127.0.0.1:8080".to_owned(),
            audience: public_url.clone(),
            download_url: public_url,
            lifetime: Duration::from_secs(3600),
        };
        let site = Site { dir, data, address, issuer };
        site.write_settings("");
        site.put("small.bin", &super::pattern(2000));
        site
    }

    /// Writes the settings; `more` is appended to the section `[download]`.
    pub fn write_settings(&self, more: &str) {
        let dir = self.dir.path().display();
        let settings = format!(
            "data_dir = '{}'\n[download]\nlisten = '{}'\npublic_url = 'http://{}'\nkeys = '{dir}/jwks.json'\n\
             stop_timeout = '1s'\n{more}\n[[share]]\nname = 'files'\npath = '{dir}/share'\nread = ['everyone']\n",
            self.data.display(),
            self.address,
            self.address,
        );
        fs::write(self.dir.path().join("oncelink.toml"), settings).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The folder of the used-token store.
    pub fn store(&self) -> PathBuf {
        self.data.join("download/used-tokens")
    }

    /// Puts a file in the share.
    pub fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.dir.path().join("share").join(name), content).unwrap();
    }

    /// A new token for a file in the share.
    pub fn ticket(&self, name: &str) -> Ticket {
        self.ticket_at(name, Clock::wall().now(), self.issuer.lifetime)
    }

    /// The same, issued at another time.
    pub fn ticket_at(&self, name: &str, now: Timestamp, lifetime: Duration) -> Ticket {
        let file: FilePath = format!("/files/{name}").parse().unwrap();
        let order =
            DownloadTokenRequest { lifetime: Some(lifetime), ..DownloadTokenRequest::new("tester", &file) };
        let issued = self.issuer.issue_download(&order, now).unwrap();
        let path = issued.address.strip_prefix(&self.issuer.download_url).unwrap().to_owned();
        Ticket { jti: issued.jti, path }
    }

    /// A new token for a file in the share, issued through a link.
    pub fn ticket_of_link(&self, name: &str, link: &str) -> Ticket {
        let file: FilePath = format!("/files/{name}").parse().unwrap();
        let lifetime = Some(self.issuer.lifetime);
        let order = DownloadTokenRequest {
            lifetime,
            link: Some(&LinkId::from_store(link)),
            ..DownloadTokenRequest::new("tester", &file)
        };
        let issued = self.issuer.issue_download(&order, Clock::wall().now()).unwrap();
        let path = issued.address.strip_prefix(&self.issuer.download_url).unwrap().to_owned();
        Ticket { jti: issued.jti, path }
    }

    /// The command that starts the node: the program itself, or `wrapper` with the program as its last
    /// arguments. Its output goes to files.
    pub fn command(&self, wrapper: &[&str]) -> Command {
        let mut words = wrapper.iter().copied().chain([PROGRAM, "download", "--config"]);
        let mut command = Command::new(words.next().unwrap());
        let log = File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        command
            .args(words)
            .arg(self.dir.path().join("oncelink.toml"))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        command
    }

    /// Starts the node, and waits until it is ready.
    pub fn start(&self) -> Process {
        let mut process = self.launch(self.command(&[]));
        process.wait_until_ready();
        process
    }

    /// Starts the node with `command`, without waiting.
    pub fn launch(&self, mut command: Command) -> Process {
        let child = command.spawn().unwrap();
        Process { child, address: self.address, log: self.dir.path().join("log") }
    }

    /// All log lines so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("log")).unwrap()).into_owned()
    }

    /// Requests the ticket's file, and reads the whole response.
    pub fn get(&self, ticket: &Ticket) -> io::Result<Answer> {
        Download::begin(self.address, &ticket.path, "")?.finish()
    }

    /// Replays used tokens: every response must be a refusal that says so.
    pub fn assert_used<'t>(&self, tickets: impl IntoIterator<Item = &'t Ticket>) {
        self.assert_refused(tickets, &["used-token"]);
    }

    /// Replays used tokens: every response must be a refusal with one of these slugs.
    pub fn assert_refused<'t>(&self, tickets: impl IntoIterator<Item = &'t Ticket>, slugs: &[&str]) {
        for ticket in tickets {
            let answer = self.get(ticket).unwrap();
            let refused = answer.status == 410 && slugs.contains(&answer.slug().as_str());
            assert!(refused, "{} was answered with {answer:?}\n{}", ticket.jti, self.log());
        }
    }

    /// Redeems new tokens and returns them.
    pub fn redeem(&self, count: usize) -> Vec<Ticket> {
        let redeem = |_| {
            let ticket = self.ticket("small.bin");
            let answer = self.get(&ticket).unwrap();
            assert_eq!(answer.status, 200, "{answer:?}\n{}", self.log());
            assert_eq!(answer.body, super::pattern(2000));
            ticket
        };
        (0..count).map(redeem).collect()
    }
}

/// A running node. Killed when dropped.
pub struct Process {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Process {
    /// A program that was started elsewhere, serves at `address` and logs to `log`.
    pub fn of(child: Child, address: SocketAddr, log: PathBuf) -> Process {
        Process { child, address, log }
    }

    /// The process id of the program itself, wrapped or not.
    pub fn id(&self) -> u32 {
        let child = self.child.id();
        let children = fs::read_to_string(format!("/proc/{child}/task/{child}/children")).unwrap_or_default();
        children.split_whitespace().next().map_or(child, |id| id.parse().unwrap())
    }

    /// Waits for `/readyz`; panics if the program ends.
    pub fn wait_until_ready(&mut self) {
        wait_for("readiness", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the node ended with {status}:\n{}", fs::read_to_string(&self.log).unwrap());
            }
            self.readiness() == Some(200)
        });
    }

    /// The status of `/readyz`, if there is a response.
    pub fn readiness(&self) -> Option<u16> {
        let answer = Download::begin(self.address, "/readyz", "").and_then(Download::finish);
        answer.ok().map(|answer| answer.status)
    }

    /// kill -9, and waits until the process is gone.
    pub fn kill(mut self) {
        self.kill_now();
    }

    fn kill_now(&mut self) {
        signal(self.id(), rustix::process::Signal::KILL);
        self.child.wait().unwrap();
    }

    /// The exit status, if the program ended by itself.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.kill_now();
        }
    }
}

/// Sends a signal to a process that this test started.
pub fn signal(process: u32, signal: rustix::process::Signal) {
    let id = rustix::process::Pid::from_raw(process.try_into().unwrap()).unwrap();
    // It may have ended already.
    let _ = rustix::process::kill_process(id, signal);
}

/// Polls until `done` returns true; panics if that takes too long.
pub fn wait_for(what: &str, done: impl FnMut() -> bool) {
    wait_up_to(PATIENCE, what, done);
}

/// The same, for what takes longer.
pub fn wait_up_to(patience: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < patience, "waited {patience:?} for {what}");
        pause(Duration::from_millis(5));
    }
}

/// Lets time pass: between two polls, or where a time limit is tested.
#[expect(clippy::disallowed_methods, reason = "another process can only be polled")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Runs a system program, and returns what it printed; panics if it fails.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A response on its own connection, read up to the first bytes of the body.
pub struct Download {
    stream: TcpStream,
    pub head: String,
    body: Vec<u8>,
}

impl Download {
    /// Requests `path` with extra header lines, and reads until the first bytes of the body.
    pub fn begin(address: SocketAddr, path: &str, extra: &str) -> io::Result<Download> {
        Download::request(address, "GET", path, extra)
    }

    /// The same with another method.
    pub fn request(address: SocketAddr, method: &str, path: &str, extra: &str) -> io::Result<Download> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{extra}\r\n");
        stream.write_all(request.as_bytes())?;
        Download::read_head(stream)
    }

    fn read_head(mut stream: TcpStream) -> io::Result<Download> {
        let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
        loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let body = bytes.split_off(end + 4);
                let head = String::from_utf8(bytes).unwrap();
                let download = Download { stream, head, body };
                if !download.body.is_empty() || download.len() == 0 {
                    return Ok(download);
                }
                bytes = download.head.into_bytes();
                bytes.extend_from_slice(&download.body);
                stream = download.stream;
            }
            match stream.read(&mut chunk)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => bytes.extend_from_slice(&chunk[..count]),
            }
        }
    }

    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    fn len(&self) -> usize {
        self.header("content-length").map_or(0, |len| len.parse().unwrap())
    }

    /// Reads the rest.
    pub fn finish(mut self) -> io::Result<Answer> {
        let left = self.len().saturating_sub(self.body.len());
        let read = Read::take(&mut self.stream, left as u64).read_to_end(&mut self.body)?;
        if read < left {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(Answer { status: self.status(), head: self.head, body: self.body })
    }
}

/// A response, read to its end.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The slug of a problem; empty for anything else.
    pub fn slug(&self) -> String {
        let problem: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        problem.and_then(|problem| Some(problem["type"].as_str()?.to_owned())).unwrap_or_default()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(300)]);
        write!(f, "{} {body}", self.status)
    }
}

/// Random numbers that are the same in every run with the same seed (xorshift64*).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % limit
    }
}

/// Redeems new tokens on `clients` connections while `during` runs, which must end the node. `during` gets
/// the tokens seen so far; returns all tokens for whose files a byte arrived.
pub fn under_load<T>(
    site: &Site,
    clients: usize,
    during: impl FnOnce(&Mutex<Vec<Ticket>>) -> T,
) -> (Vec<Ticket>, T) {
    let (seen, over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let answer = std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let ticket = site.ticket("small.bin");
                    let Ok(download) = Download::begin(site.address, &ticket.path, "") else { continue };
                    // Recorded first of all.
                    seen.lock().unwrap().push(ticket);
                    assert_eq!(download.status(), 200, "{}", download.head);
                    // The connection may end before the rest arrives.
                    let _ = download.finish();
                }
            });
        }
        let answer = during(&seen);
        over.store(true, Ordering::Relaxed);
        answer
    });
    (seen.into_inner().unwrap(), answer)
}

/// Prints what was done, past the test harness.
pub fn say(text: &str) {
    // Written past the test harness, which hides what a passing test prints.
    let _ = writeln!(io::stderr(), "{text}");
}
