//! The speed of an upload, compared with `cp` and `sha256sum` of the same file in the same run, and the
//! server's memory: `cargo bench --bench upload`.
//!
//! The server is the program itself, as a process; the client is a raw socket. With the path of another
//! program as an argument, that one is measured.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement, not part of the program"
)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const ADDRESS: &str = "127.0.0.1:18079";
const PASSWORD: &str = "a long bench password";
const ROUNDS: usize = 3;

fn main() {
    let program = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let program = PathBuf::from(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_oncelink").to_owned()));
    let program = fs::canonicalize(program).unwrap();
    // Next to the build, which is on a real disk where /tmp may not be.
    let folder = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).unwrap();
    let source = folder.path().join("source");
    write_source(&source);
    let server = Server::start(&program, folder.path());
    let (cookie, csrf) = log_in();
    let session = Session { cookie, csrf };
    session.upload("warm-up", &source, 16 * MIB);
    let before = server.memory("VmRSS");

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let begun = Instant::now();
        let copy = folder.path().join("copy");
        run("cp", &[source.to_str().unwrap(), copy.to_str().unwrap()]);
        run("sha256sum", &[copy.to_str().unwrap()]);
        theirs.push(begun.elapsed());
        fs::remove_file(copy).unwrap();
        run("sync", &[]);
        let begun = Instant::now();
        session.upload(&format!("{round}.bin"), &source, GIB);
        ours.push(begun.elapsed());
        fs::remove_file(folder.path().join(format!("share/{round}.bin"))).unwrap();
        run("sync", &[]);
    }
    let after = server.memory("VmRSS");
    let peak = server.memory("VmHWM");
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    let speed = |time: Duration| 1024.0 / time.as_secs_f64();
    println!("1 GiB, median of {ROUNDS}:");
    println!("  cp + sha256sum        {theirs:>8.2?}  {:>6.0} MiB/s", speed(theirs));
    println!("  upload, on the disk   {ours:>8.2?}  {:>6.0} MiB/s", speed(ours));
    println!("  that is {:.0} % of the speed", 100.0 * theirs.as_secs_f64() / ours.as_secs_f64());
    println!("memory: {before} KiB before, {after} KiB after, {peak} KiB at most");

    let begun = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..100 {
            let (session, source) = (&session, &source);
            scope.spawn(move || session.upload(&format!("many-{number}.bin"), source, 10 * MIB));
        }
    });
    let took = begun.elapsed();
    println!("100 uploads of 10 MiB at once: {took:.2?}, {:.0} MiB/s", 1000.0 / took.as_secs_f64());
    println!("memory: {} KiB after, {} KiB at most", server.memory("VmRSS"), server.memory("VmHWM"));
}

fn write_source(path: &Path) {
    let mut file = File::create(path).unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = vec![0_u8; MIB as usize];
    for _ in 0..GIB / MIB {
        for word in block.chunks_exact_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block).unwrap();
    }
    file.sync_all().unwrap();
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{program}");
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The running program.
struct Server(Child);

impl Server {
    fn start(program: &Path, folder: &Path) -> Server {
        fs::create_dir(folder.join("share")).unwrap();
        let settings = format!(
            "data_dir = 'data'\n[web]\nlisten = '{ADDRESS}'\npublic_url = 'http://{ADDRESS}'\n[log]\n\
             level = 'warn'\n[[share]]\nname = 'open'\npath = 'share'\nwrite = ['everyone']\n"
        );
        fs::write(folder.join("oncelink.toml"), settings).unwrap();
        let mut adding = Command::new(program)
            .args(["user", "add", "ada@example.org", "--password-stdin"])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        adding.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
        assert!(adding.wait().unwrap().success());
        let child =
            Command::new(program).arg("web").current_dir(folder).stdout(Stdio::null()).spawn().unwrap();
        while TcpStream::connect(ADDRESS).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Server(child)
    }

    /// A line of `/proc/…/status`, in KiB.
    fn memory(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The head and the body of a response on its own connection.
fn ask(head: &str, body: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(ADDRESS).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    read_answer(stream)
}

fn read_answer(stream: TcpStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let mut body = String::new();
    reader.read_to_string(&mut body).unwrap();
    (head, body)
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
}

fn token(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"csrf\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

fn cookie(head: &str, name: &str) -> String {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let set = lines.filter(|(key, _)| key.eq_ignore_ascii_case("set-cookie")).map(|(_, value)| value);
    set.filter_map(|value| value.split(';').next()).find(|pair| pair.starts_with(name)).unwrap().to_owned()
}

fn log_in() -> (String, String) {
    let start = |line: &str| format!("{line} HTTP/1.1\r\nHost: {ADDRESS}\r\nConnection: close\r\n");
    let (head, page) = ask(&format!("{}\r\n", start("GET /login")), b"");
    let body =
        format!("csrf={}&email=ada%40example.org&password={}", token(&page), PASSWORD.replace(' ', "+"));
    let request = format!(
        "{}Cookie: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        start("POST /login"),
        cookie(&head, "form"),
        body.len()
    );
    let (head, page) = ask(&request, body.as_bytes());
    assert!(head.starts_with("HTTP/1.1 303"), "{head}{page}");
    let session = cookie(&head, "sid");
    let (_, page) = ask(&format!("{}Cookie: {session}\r\n\r\n", start("GET /account")), b"");
    (session, token(&page))
}

struct Session {
    cookie: String,
    csrf: String,
}

impl Session {
    /// Uploads the first bytes of `source` and waits until the file has its name.
    fn upload(&self, name: &str, source: &Path, len: u64) {
        use base64::Engine;
        let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let common = format!(
            "Host: {ADDRESS}\r\nConnection: close\r\nCookie: {}\r\nX-CSRF-Token: {}\r\nTus-Resumable: 1.0.0\r\n",
            self.cookie, self.csrf
        );
        let (head, body) = ask(
            &format!(
                "POST /uploads HTTP/1.1\r\n{common}Upload-Length: {len}\r\nUpload-Metadata: filename {},folder \
                 {}\r\nContent-Length: 0\r\n\r\n",
                base64(name),
                base64("/open")
            ),
            b"",
        );
        let address = header(&head, "location").unwrap_or_else(|| panic!("{head}{body}"));
        let mut stream = TcpStream::connect(ADDRESS).unwrap();
        let head = format!(
            "PATCH {address} HTTP/1.1\r\n{common}Content-Type: application/offset+octet-stream\r\n\
             Upload-Offset: 0\r\nContent-Length: {len}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // The kernel copies from the file to the socket.
        let mut file = File::open(source).unwrap().take(len);
        std::io::copy(&mut file, &mut stream).unwrap();
        let (head, body) = read_answer(stream);
        assert!(head.starts_with("HTTP/1.1 204"), "{head}{body}");
        assert!(header(&head, "content-location").is_some(), "{head}");
    }
}
