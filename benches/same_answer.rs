//! Whether response times reveal if an account exists: login, sign-up and forgotten password, alternating
//! between addresses with and without an account.
//!
//! `cargo bench --bench same_answer`. Runs the program itself, with the outbox and SQLite. Each round sends
//! unknown addresses twice; the difference between those two is noise. `TMPDIR` selects the disk.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program that fails by panicking, measures time and prints the result"
)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oncelink::clock::Clock;
use oncelink::config::Settings;
use oncelink::web::identity::NewAccount;
use oncelink::web::identity::passwords::{Asker, Password};
use oncelink::web::services::Services;

const ROUNDS: usize = 200;
/// The pause between two requests, so that the mail of one is written before the next is timed.
const REST: Duration = Duration::from_millis(30);

/// The kind of address in a request.
#[derive(Clone, Copy)]
enum Whose {
    Known,
    Unknown,
    UnknownAgain,
}

impl Whose {
    const ALL: [Whose; 3] = [Whose::Known, Whose::Unknown, Whose::UnknownAgain];

    /// A different address for each round and form, so that no address reaches a rate limit.
    fn email(self, form: &str, round: usize) -> String {
        match self {
            Whose::Known => format!("known.{form}.{round}@example.org"),
            Whose::Unknown => format!("first.{form}.{round}@example.org"),
            Whose::UnknownAgain => format!("other.{form}.{round}@example.org"),
        }
    }
}

/// Each form, its fields besides the address, and the status of its response.
const FORMS: [(&str, &str, u16); 3] = [
    ("login", "&password=a+wrong+test+password", 403),
    ("signup", "&name=Ada&password=a+long+test+password&password_again=a+long+test+password", 303),
    ("forgot", "", 303),
];

fn main() {
    let folder = tempfile::tempdir().unwrap();
    // Its own address, so that no other process uses the port.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = SocketAddr::from((Ipv4Addr::new(127, 9, high, low), 18_080));
    make_accounts(folder.path());
    let mut client = Client::of(Program::start(folder.path(), address), address);
    println!("form     known ms   unknown ms   unknown again ms   known/unknown   unknown again/unknown");
    for (form, fields, status) in FORMS {
        let mut times = [const { Vec::new() }; 3];
        for round in 0..ROUNDS {
            for turn in 0..Whose::ALL.len() {
                // Each of the three comes first, second and last equally often.
                let at = (round + turn) % Whose::ALL.len();
                let email = Whose::ALL[at].email(form, round);
                std::thread::sleep(REST);
                let begun = Instant::now();
                let answered = client.post(form, &email, fields);
                times[at].push(begun.elapsed());
                assert_eq!(answered, status, "{form} for {email}");
            }
        }
        let [known, unknown, again] = times.map(median);
        println!(
            "{form:<8} {known:8.3}   {unknown:10.3}   {again:16.3}   {:13.3}   {:21.3}",
            known / unknown,
            again / unknown
        );
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// Creates active accounts with a password, for each form and round.
fn make_accounts(folder: &Path) {
    let settings = Settings { data_dir: folder.join("data"), ..Settings::default() };
    let clock = Clock::wall();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let desk = Services::open(&settings, clock.clone()).await.unwrap();
        let typed = Password::new("what nobody ever guesses", 15).unwrap();
        let password = desk.passwords.hash(Asker::Operator, typed).await.unwrap();
        for (form, _, _) in FORMS {
            for round in 0..ROUNDS {
                let new = NewAccount {
                    email: Whose::Known.email(form, round).parse().unwrap(),
                    name: "Ada".parse().unwrap(),
                    admin: false,
                    groups: BTreeSet::new(),
                    password: Some(password.clone()),
                };
                desk.accounts.add(new, clock.now()).await.unwrap();
            }
        }
        desk.db.close().await;
    });
}

/// The web app as a process. It ends when dropped.
struct Program(Child);

impl Program {
    fn start(folder: &Path, address: SocketAddr) -> Program {
        let settings = format!(
            "data_dir = '{}'\n[web]\nlisten = '{address}'\npublic_url = 'http://{address}'\n\
             signup = 'open'\ntrusted_proxies = ['127.0.0.0/8']\n\
             [[share]]\nname = 'none'\npath = '{}'\nread = []\n",
            folder.join("data").display(),
            folder.display()
        );
        std::fs::write(folder.join("oncelink.toml"), settings).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_oncelink"))
            .args(["web", "--config"])
            .arg(folder.join("oncelink.toml"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut program = Program(child);
        while TcpStream::connect(address).is_err() {
            assert!(program.0.try_wait().unwrap().is_none(), "the program ended");
            std::thread::sleep(REST);
        }
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A browser on one connection, behind a proxy that reports another client address each time.
struct Client {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
    cookie: String,
    csrf: String,
    asked: u32,
    _program: Program,
}

impl Client {
    fn of(program: Program, address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Client {
            stream: BufReader::new(stream),
            address,
            cookie: String::new(),
            csrf: String::new(),
            asked: 0,
            _program: program,
        };
        let (head, page) = client.ask("GET /login HTTP/1.1", "");
        let cookie = head.split_once("set-cookie: ").unwrap().1;
        client.cookie = cookie.split(';').next().unwrap().to_owned();
        let csrf = page.split_once("name=\"csrf\" value=\"").unwrap().1;
        client.csrf = csrf.split('"').next().unwrap().to_owned();
        client
    }

    /// Sends the form, and returns the status.
    fn post(&mut self, form: &str, email: &str, fields: &str) -> u16 {
        let body = format!("csrf={}&email={email}{fields}", self.csrf);
        let (head, _) = self.ask(&format!("POST /{form} HTTP/1.1"), &body);
        head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn ask(&mut self, line: &str, body: &str) -> (String, String) {
        self.asked += 1;
        let somebody = Ipv4Addr::from(0x0a00_0000 + self.asked);
        let request = format!(
            "{line}\r\nhost: {}\r\ncookie: {}\r\nx-forwarded-for: {somebody}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            self.cookie,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.stream.read_line(&mut head).unwrap(), 0, "{head}");
        }
        let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next());
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.stream.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }
}
