//! Oncelink compared with nginx and `secure_link`, nginx with Lua and Redis, and rustypaste: the same files,
//! the same load generator, alternating rounds, ratios within a round.
//!
//! `cargo bench --bench side_by_side -- --run` · `--rounds 5` · `--only "1 KiB"` (cases whose name begins
//! with it) · `--alone` (only nginx with `secure_link` for comparison) · `--binary PATH` (another build)
//! · `--replaced-only` (the share says that its files are never written to) · `--postgres ADDRESS` (also measures
//! used tokens and the web app's database in PostgreSQL)
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
#[path = "../support/schema.rs"]
mod schema;
mod web;

use std::fs;
use std::path::Path;

use ::oncelink::id::LinkId;
use ::oncelink::token::Algorithm;

use crate::load::Expected;
use crate::oncelink::{Oncelink, StoreKind};
use crate::process::{Cpu, Server};
use crate::report::{Measured, Results, Start};
use crate::schema::Schema;
use crate::web::WebApp;

/// What the requests of a case ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The download service delivers the file.
    Redeem,
    /// The same, and none of the file is in the page cache.
    RedeemCold,
    /// The web app issues a token for the file to a person who is logged in.
    Issue,
    /// The web app issues one to a new visitor of a public link.
    Press,
    /// The web app shows the page of a public link without any uses.
    LookAtFresh,
    /// The same with a million uses.
    LookAtWorn,
}

impl Work {
    const fn is_of_web_app(self) -> bool {
        !matches!(self, Work::Redeem | Work::RedeemCold)
    }

    const fn expected(self, len: u64) -> Expected {
        match self {
            Work::Redeem | Work::RedeemCold => Expected::File(len),
            Work::Issue | Work::Press => Expected::Redirect,
            Work::LookAtFresh | Work::LookAtWorn => Expected::Page,
        }
    }
}

/// A file and how it is requested.
pub struct Case {
    pub name: &'static str,
    pub work: Work,
    pub file: &'static str,
    pub len: u64,
    pub connections: usize,
    /// Requests in a round.
    pub requests: usize,
}

const KIB: u64 = 1024;
const MIB: u64 = KIB * KIB;
const GIB: u64 = KIB * MIB;

const fn redeem(
    name: &'static str,
    file: &'static str,
    len: u64,
    connections: usize,
    requests: usize,
) -> Case {
    Case { name, work: Work::Redeem, file, len, connections, requests }
}

/// A case of the web app, by 64 clients.
const fn web(name: &'static str, work: Work, requests: usize) -> Case {
    Case { name, work, file: "1k.bin", len: KIB, connections: 64, requests }
}

const CASES: [Case; 11] = [
    redeem("1 KiB, 64 connections", "1k.bin", KIB, 64, 40_000),
    redeem("64 KiB, 64 connections", "64k.bin", 64 * KIB, 64, 12_000),
    redeem("1 MiB, 16 connections", "1m.bin", MIB, 16, 2_000),
    redeem("1 GiB, 1 connection", "1g.bin", GIB, 1, 3),
    redeem("1 GiB, 8 connections", "1g.bin", GIB, 8, 8),
    Case { work: Work::RedeemCold, ..redeem("cold, 1 GiB, 1 connection", "1g.bin", GIB, 1, 1) },
    redeem("one at a time, 1 KiB", "1k.bin", KIB, 1, 4_000),
    web("web: issue a token, 64 clients", Work::Issue, 6_000),
    web("web: press a link, 64 clients", Work::Press, 3_000),
    Case { connections: 1, ..web("web: a link's page, unused, one at a time", Work::LookAtFresh, 1_000) },
    Case {
        connections: 1,
        ..web("web: a link's page, a million uses, one at a time", Work::LookAtWorn, 1_000)
    },
];

/// A server that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    SecureLink,
    OncelinkHs256,
    OncelinkEdDsa,
    OncelinkLink,
    OncelinkPostgres,
    LuaRedis,
    Rustypaste,
    WebSqlite,
    WebPostgres,
}

impl Target {
    const ALL: [Target; 9] = [
        Target::SecureLink,
        Target::OncelinkHs256,
        Target::OncelinkEdDsa,
        Target::OncelinkLink,
        Target::OncelinkPostgres,
        Target::LuaRedis,
        Target::Rustypaste,
        Target::WebSqlite,
        Target::WebPostgres,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Target::SecureLink => "nginx `secure_link`",
            Target::OncelinkHs256 => "Oncelink, HS256",
            Target::OncelinkEdDsa => "Oncelink, EdDSA",
            Target::OncelinkLink => "Oncelink, HS256, through a link",
            Target::OncelinkPostgres => "Oncelink, HS256, used tokens in PostgreSQL",
            Target::LuaRedis => "nginx + Lua + Redis always",
            Target::Rustypaste => "rustypaste one-shot",
            Target::WebSqlite => "Oncelink's web app, SQLite",
            Target::WebPostgres => "Oncelink's web app, PostgreSQL",
        }
    }

    /// Whether this server is measured with this case. nginx delivers its 1 KiB where the web app is measured, so that
    /// there is a ratio.
    fn takes_part(self, case: &Case) -> bool {
        match self {
            Target::SecureLink => true,
            Target::WebSqlite | Target::WebPostgres => case.work.is_of_web_app(),
            // Each of them costs more with each request, whatever its size.
            Target::OncelinkLink | Target::OncelinkPostgres => {
                case.work == Work::Redeem && case.len == KIB && case.connections > 1
            }
            _ => !case.work.is_of_web_app(),
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
            Target::OncelinkLink | Target::OncelinkPostgres => case.requests / 4,
            _ => case.requests,
        }
    }
}

/// All servers, running at the same time.
struct Servers {
    secure_link: Option<Server>,
    oncelink: Oncelink,
    postgres: Option<Oncelink>,
    lua_redis: Option<Server>,
    rustypaste: Option<Server>,
    web_sqlite: Option<WebApp>,
    web_postgres: Option<WebApp>,
}

impl Servers {
    fn of(&self, target: Target) -> Option<&Server> {
        match target {
            Target::SecureLink => self.secure_link.as_ref(),
            Target::OncelinkHs256 | Target::OncelinkEdDsa | Target::OncelinkLink => {
                Some(&self.oncelink.server)
            }
            Target::OncelinkPostgres => self.postgres.as_ref().map(|node| &node.server),
            Target::LuaRedis => self.lua_redis.as_ref(),
            Target::Rustypaste => self.rustypaste.as_ref(),
            Target::WebSqlite => self.web_sqlite.as_ref().map(|app| &app.server),
            Target::WebPostgres => self.web_postgres.as_ref().map(|app| &app.server),
        }
    }

    fn fresh(&self, target: Target, case: &Case, count: usize, dir: &Path) -> Vec<Vec<u8>> {
        let link = LinkId::from_store("a-link");
        let (oncelink, file) = (&self.oncelink, case.file);
        let paths = match target {
            Target::SecureLink | Target::LuaRedis => peers::sign(file, count),
            Target::OncelinkHs256 => oncelink.mint(Algorithm::Hs256, file, None, count),
            Target::OncelinkEdDsa => oncelink.mint(Algorithm::EdDsa, file, None, count),
            Target::OncelinkLink => oncelink.mint(Algorithm::Hs256, file, Some(&link), count),
            Target::OncelinkPostgres => {
                let node = self.postgres.as_ref().unwrap();
                node.mint(Algorithm::Hs256, file, None, count)
            }
            Target::Rustypaste => peers::one_shots(&dir.join("rustypaste"), &dir.join("files"), file, count),
            Target::WebSqlite | Target::WebPostgres => {
                let app = if target == Target::WebSqlite { &self.web_sqlite } else { &self.web_postgres };
                return app.as_ref().unwrap().requests(case.work, file, count);
            }
        };
        let address = self.of(target).unwrap().address;
        paths.iter().map(|path| load::request(address, path)).collect()
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
    let cases: Vec<&Case> = CASES.iter().filter(|case| case.name.starts_with(&only)).collect();
    write_files(&dir.join("files"), &cases);
    let mut results = Results::default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let schemas = value("--postgres")
        .map(|server| ["bench_node", "bench_web"].map(|name| Schema::create(&runtime, &server, name)));
    let servers = start(dir, peers_too, &cases, schemas.as_ref(), &mut results);
    for target in Target::ALL.into_iter().filter(|target| target.takes_part(&CASES[0])) {
        match servers.of(target) {
            Some(server) => check(&servers, target, server, dir),
            None => eprintln!("{} is not installed and is left out", target.name()),
        }
    }
    for case in cases {
        for round in 0..rounds {
            for at in 0..Target::ALL.len() {
                // Each round begins with another server, so that none always follows the same one.
                let target = Target::ALL[(at + round) % Target::ALL.len()];
                if let Some(server) = servers.of(target).filter(|_| target.takes_part(case)) {
                    let measured = measure(&servers, target, server, case, dir);
                    eprintln!("{} · round {} · {}: {measured}", case.name, round + 1, target.name());
                    results.add(case, target, round, measured);
                }
            }
        }
    }
    let log = fs::read_to_string(oncelink::log(&dir.join("oncelink"))).unwrap();
    println!("{}", results.markdown());
    drop(servers);
    schemas.into_iter().flatten().for_each(|schema| schema.drop(&runtime));
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

fn write_files(files: &Path, cases: &[&Case]) {
    fs::create_dir(files).unwrap();
    for case in cases.iter().chain([&&CASES[0]]) {
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

fn start(
    dir: &Path,
    peers_too: bool,
    cases: &[&Case],
    schemas: Option<&[Schema; 2]>,
    results: &mut Results,
) -> Servers {
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
    let node = |name: &str, store: StoreKind<'_>| Oncelink::start(&dir.join(name), files, store);
    drop(node("oncelink", StoreKind::Sled));
    time_starts("`oncelink download`", &|_| Some(node("oncelink", StoreKind::Sled).server));
    let has_web_app = cases.iter().any(|case| case.work.is_of_web_app());
    let worn = cases.iter().any(|case| case.work == Work::LookAtWorn);
    let app = |name: &str, database: &str| {
        has_web_app.then(|| WebApp::start(&dir.join(name), files, database, worn))
    };
    let alone = Servers {
        secure_link: peers::secure_link(&dir.join("nginx"), files),
        oncelink: node("oncelink", StoreKind::Sled),
        postgres: schemas.map(|[schema, _]| node("postgres", StoreKind::Postgres(&schema.address))),
        lua_redis: None,
        rustypaste: None,
        web_sqlite: app("web", "sqlite"),
        web_postgres: schemas.and_then(|[_, schema]| app("web-postgres", &schema.address)),
    };
    if !peers_too {
        return alone;
    }
    time_starts("nginx `secure_link`", &|_| peers::secure_link(&dir.join("nginx"), files));
    time_starts("nginx + Lua + Redis always", &|_| peers::lua_redis(&dir.join("lua"), files));
    time_starts("rustypaste", &|_| peers::rustypaste(&dir.join("rustypaste")));
    Servers {
        lua_redis: peers::lua_redis(&dir.join("lua"), files),
        rustypaste: peers::rustypaste(&dir.join("rustypaste")),
        ..alone
    }
}

/// Checks that a server really serves the file, and only once where it should.
fn check(servers: &Servers, target: Target, server: &Server, dir: &Path) {
    let case = &CASES[0];
    let request = servers.fresh(target, case, 1, dir).remove(0);
    let expected = fs::read(dir.join("files").join(case.file)).unwrap();
    assert!(load::fetch(server.address, &request) == expected, "{} serves another file", target.name());
    let again = load::accepts(server.address, &request);
    assert_eq!(again, target == Target::SecureLink, "{} asked twice", target.name());
}

fn measure(servers: &Servers, target: Target, server: &Server, case: &Case, dir: &Path) -> Measured {
    // Where the web app is measured, nginx delivers the file.
    let expected =
        if target == Target::SecureLink { Expected::File(case.len) } else { case.work.expected(case.len) };
    let requests = servers.fresh(target, case, target.requests(case), dir);
    let pids = server.pids();
    if case.work == Work::RedeemCold {
        let file = fs::File::open(dir.join("files").join(case.file)).unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
    let (load, before, after) =
        load::run(server.address, &requests, case.connections, expected, || Cpu::now(&pids));
    Measured::new(&load, before.until(after), case)
}
