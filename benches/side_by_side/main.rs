//! Oncelink compared with nginx and `secure_link`, nginx with Lua and Redis, and rustypaste: the same files,
//! the same load generator, alternating rounds, ratios within a round.
//!
//! `cargo bench --bench side_by_side -- --run` · `--rounds 5` · `--only "1 KiB"` (cases whose name begins
//! with it) · `--alone` (only nginx with `secure_link` for comparison) · `--binary PATH` (another build)
//! · `--replaced-only` (the share says that its files are never written to)
//!
//! Debian: `apt-get install nginx libnginx-mod-http-lua lua-nginx-redis redis-server`, and
//! `cargo install rustypaste --locked --root target/side_by_side`. A missing peer is reported and left out.
//! `TMPDIR` selects the disk; it needs 2 GiB. Compare numbers of one run only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench prints, and fails by panicking"
)]
#![allow(
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "indices come from the lengths they index; a bench reads clocks"
)]
#![allow(missing_docs, unreachable_pub, reason = "a program, not a library")]

mod load;
mod md5;
mod oncelink;
mod peers;
mod process;
mod report;

use std::fs;
use std::path::Path;

use ::oncelink::token::Algorithm;

use crate::oncelink::Oncelink;
use crate::process::{Cpu, Server};
use crate::report::{Measured, Results, Start};

/// A file and how it is requested.
pub struct Case {
    pub name: &'static str,
    pub file: &'static str,
    pub len: u64,
    pub connections: usize,
    /// Requests in a round.
    pub requests: usize,
}

const KIB: u64 = 1024;
const CASES: [Case; 6] = [
    Case { name: "1 KiB, 64 connections", file: "1k.bin", len: KIB, connections: 64, requests: 40_000 },
    Case {
        name: "64 KiB, 64 connections",
        file: "64k.bin",
        len: 64 * KIB,
        connections: 64,
        requests: 12_000,
    },
    Case { name: "1 MiB, 16 connections", file: "1m.bin", len: KIB * KIB, connections: 16, requests: 2_000 },
    Case { name: "1 GiB, 1 connection", file: "1g.bin", len: KIB * KIB * KIB, connections: 1, requests: 3 },
    Case { name: "1 GiB, 8 connections", file: "1g.bin", len: KIB * KIB * KIB, connections: 8, requests: 8 },
    Case { name: "one at a time, 1 KiB", file: "1k.bin", len: KIB, connections: 1, requests: 4_000 },
];

/// A server that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    SecureLink,
    OncelinkHs256,
    OncelinkEdDsa,
    LuaRedis,
    Rustypaste,
}

impl Target {
    const ALL: [Target; 5] = [
        Target::SecureLink,
        Target::OncelinkHs256,
        Target::OncelinkEdDsa,
        Target::LuaRedis,
        Target::Rustypaste,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Target::SecureLink => "nginx `secure_link`",
            Target::OncelinkHs256 => "Oncelink, HS256",
            Target::OncelinkEdDsa => "Oncelink, EdDSA",
            Target::LuaRedis => "nginx + Lua + Redis always",
            Target::Rustypaste => "rustypaste one-shot",
        }
    }

    /// The number of requests of a case in a round: fewer for slow servers, so that the rounds of all take
    /// about equally long.
    fn requests(self, case: &Case) -> usize {
        match self {
            // It searches its folder at each request, so it gets a small one.
            Target::Rustypaste if case.connections == 64 => 512,
            Target::Rustypaste => case.requests.min(200),
            Target::OncelinkEdDsa | Target::LuaRedis if case.len == KIB => case.requests / 2,
            _ => case.requests,
        }
    }
}

/// All servers, running at the same time.
struct Servers {
    secure_link: Option<Server>,
    oncelink: Oncelink,
    lua_redis: Option<Server>,
    rustypaste: Option<Server>,
}

impl Servers {
    fn of(&self, target: Target) -> Option<&Server> {
        match target {
            Target::SecureLink => self.secure_link.as_ref(),
            Target::OncelinkHs256 | Target::OncelinkEdDsa => Some(&self.oncelink.server),
            Target::LuaRedis => self.lua_redis.as_ref(),
            Target::Rustypaste => self.rustypaste.as_ref(),
        }
    }

    fn fresh(&self, target: Target, case: &Case, count: usize, dir: &Path) -> Vec<String> {
        match target {
            Target::SecureLink | Target::LuaRedis => peers::sign(case.file, count),
            Target::OncelinkHs256 => self.oncelink.mint(Algorithm::Hs256, case.file, count),
            Target::OncelinkEdDsa => self.oncelink.mint(Algorithm::EdDsa, case.file, count),
            Target::Rustypaste => {
                peers::one_shots(&dir.join("rustypaste"), &dir.join("files"), case.file, count)
            }
        }
    }
}

fn main() {
    if !given("--run") {
        println!("side_by_side starts servers and takes minutes: cargo bench --bench side_by_side -- --run");
        return;
    }
    let rounds: usize = value("--rounds").map_or(5, |text| text.parse().unwrap());
    let only = value("--only").unwrap_or_default();
    let peers_too = !given("--alone");

    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write_files(&dir.join("files"), &only);
    let mut results = Results::default();
    let servers = start(dir, peers_too, &mut results);
    for target in Target::ALL {
        match servers.of(target) {
            Some(server) => check(&servers, target, server, dir),
            None => eprintln!("{} is not installed and is left out", target.name()),
        }
    }
    for case in CASES.iter().filter(|case| case.name.starts_with(&only)) {
        for round in 0..rounds {
            for at in 0..Target::ALL.len() {
                // Each round begins with another server, so that none always follows the same one.
                let target = Target::ALL[(at + round) % Target::ALL.len()];
                if let Some(server) = servers.of(target) {
                    let measured = measure(&servers, target, server, case, dir);
                    eprintln!("{} · round {} · {}: {measured}", case.name, round + 1, target.name());
                    results.add(case, target, round, measured);
                }
            }
        }
    }
    let log = fs::read_to_string(oncelink::log(&dir.join("oncelink"))).unwrap();
    println!("{}", results.markdown());
    // There is no web app that would want to know what was delivered.
    let log: Vec<_> = log.lines().filter(|line| !line.contains("receipts can't be delivered")).collect();
    assert!(log.is_empty(), "oncelink logged:\n{}", log.join("\n"));
}

/// Whether `flag` is on the command line.
pub fn given(flag: &str) -> bool {
    std::env::args().any(|argument| argument == flag)
}

/// The value after `flag` on the command line.
pub fn value(flag: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != flag).nth(1)
}

fn write_files(files: &Path, only: &str) {
    fs::create_dir(files).unwrap();
    for case in CASES.iter().filter(|case| case.name.starts_with(only) || case.len == KIB) {
        let path = files.join(case.file);
        if !path.exists() {
            let mut state = 0x9e37_79b9_7f4a_7c15_u64;
            let mut word = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            };
            let block: Vec<u8> = (0..case.len.min(1 << 20) / 8).flat_map(|_| word()).collect();
            let mut file = fs::File::create(path).unwrap();
            for _ in 0..case.len / block.len() as u64 {
                std::io::Write::write_all(&mut file, &block).unwrap();
            }
            file.sync_all().unwrap();
        }
    }
}

/// How often each server is started to measure the time of a start.
const STARTS: usize = 5;

fn start(dir: &Path, peers_too: bool, results: &mut Results) -> Servers {
    let files = &dir.join("files");
    let mut time_starts = |name: &str, make: &dyn Fn(usize) -> Option<Server>| {
        let starts: Vec<Start> = (0..STARTS).filter_map(|at| Some(Start::of(&make(at)?))).collect();
        results.starts(name, starts);
    };
    time_starts("`oncelink serve`, empty data directory", &|at| {
        Some(Oncelink::serve_empty(&dir.join(format!("serve{at}")), files))
    });
    // The store is created first: a new one refuses tokens from the second of its creation, and waits for
    // that second to end.
    drop(Oncelink::start(&dir.join("oncelink"), files));
    time_starts("`oncelink download`", &|_| Some(Oncelink::start(&dir.join("oncelink"), files).server));
    let oncelink = Oncelink::start(&dir.join("oncelink"), files);
    if !peers_too {
        return Servers {
            secure_link: peers::secure_link(&dir.join("nginx"), files),
            oncelink,
            lua_redis: None,
            rustypaste: None,
        };
    }
    time_starts("nginx `secure_link`", &|_| peers::secure_link(&dir.join("nginx"), files));
    time_starts("nginx + Lua + Redis always", &|_| peers::lua_redis(&dir.join("lua"), files));
    time_starts("rustypaste", &|_| peers::rustypaste(&dir.join("rustypaste")));
    Servers {
        secure_link: peers::secure_link(&dir.join("nginx"), files),
        oncelink,
        lua_redis: peers::lua_redis(&dir.join("lua"), files),
        rustypaste: peers::rustypaste(&dir.join("rustypaste")),
    }
}

/// Checks that a server really serves the file, and only once where it should.
fn check(servers: &Servers, target: Target, server: &Server, dir: &Path) {
    let case = &CASES[0];
    let path = servers.fresh(target, case, 1, dir).remove(0);
    let expected = fs::read(dir.join("files").join(case.file)).unwrap();
    assert!(load::fetch(server.address, &path) == expected, "{} serves another file", target.name());
    let again = load::answers(server.address, &path, true);
    assert_eq!(again, target == Target::SecureLink, "{} asked twice", target.name());
}

fn measure(servers: &Servers, target: Target, server: &Server, case: &Case, dir: &Path) -> Measured {
    let paths = servers.fresh(target, case, target.requests(case), dir);
    let pids = server.pids();
    let (load, before, after) =
        load::run(server.address, &paths, case.connections, case.len, || Cpu::now(&pids));
    Measured::new(&load, before.until(after), case)
}
