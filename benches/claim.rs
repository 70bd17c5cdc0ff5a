//! The cost of a durable claim: with 1, 8, 64 and 512 concurrent claims, with few and with many live jtis,
//! and compared with a plain sled (compare-and-swap, flush, fdatasync in groups).
//!
//! `cargo bench --bench claim` · `cargo bench --bench claim -- live 1000000` (fewer live jtis)
//! · `cargo bench --bench claim -- size 1000000` (disk and memory for each live jti)
//! · `cargo bench --bench claim -- postgres ADDRESS` (claims in PostgreSQL, in groups and one at a time)
//! · `cargo bench --bench claim -- stores POSTGRES REDIS` (sled, PostgreSQL and Redis beside each other)
//!
//! `TMPDIR` selects the disk. Compare numbers of one run only.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and fails by panicking")]
#![allow(clippy::indexing_slicing, reason = "indices come from the lengths they index")]

#[path = "support/schema.rs"]
mod schema;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use oncelink::clock::{Clock, Timestamp};
use oncelink::files::identity::FileFingerprint;
use oncelink::files::{EdgeDigest, FileVersion};
use oncelink::id::Jti;
use oncelink::secret::Digest;
use oncelink::used_tokens::redis::RedisUsedTokens;
use oncelink::used_tokens::sled::SledUsedTokens;
use oncelink::used_tokens::sql::SqlUsedTokens;
use oncelink::used_tokens::{Lease, Mark, Use, UsedToken, UsedTokens};
use sqlx::any::AnyPoolOptions;
use tokio::sync::oneshot;

use crate::schema::Schema;

const WAITERS: [usize; 4] = [1, 8, 64, 512];
const ROUND: Duration = Duration::from_millis(1_000);
const ROUNDS: usize = 5;
const FEW: u64 = 1_000;
const MANY: u64 = 10_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let number = |default: u64| arguments.get(1).map_or(default, |word| word.parse().unwrap());
    match arguments.first().map(String::as_str) {
        Some("size") => size(number(1_000_000)),
        Some("open") => open(Path::new(&arguments[1])),
        Some("live") => claims(number(MANY)),
        Some("postgres") => postgres(&arguments[1]),
        Some("stores") => stores(&arguments[1], &arguments[2]),
        _ => claims(MANY),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A jti that is as good as random, without a system call.
fn jti() -> Jti {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let process = u64::from(std::process::id()) << 32;
    let mut state =
        process.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut word = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u128::from(z ^ (z >> 31))
    };
    Jti::from_bytes((word() << 64 | word()).to_be_bytes())
}

fn used(now: Timestamp) -> UsedToken {
    let jti = jti();
    let mut key = [0; 32];
    key[..16].copy_from_slice(jti.as_bytes());
    key[16..].copy_from_slice(jti.as_bytes());
    let lease = Lease {
        resume_key: Digest::from_bytes(key),
        until: now.plus(Duration::from_secs(86_400)),
        version: FileVersion { len: 123_456_789, modified_ns: now.secs() * 1_000_000_000 + 123_456_789 },
        trace: Some(FileFingerprint {
            inode: 5_000_000,
            changed_ns: now.secs() * 1_000_000_000 + 123_456_789,
            edges: EdgeDigest::from_bytes(*jti.as_bytes().first_chunk().unwrap()),
        }),
        reserved: 0,
        active_at: now,
    };
    let forget_at = now.plus(Duration::from_secs(90_010));
    UsedToken { jti, marked_at: now, forget_at, mark: Mark::Redeemed(Some(lease)) }
}

fn store(dir: &Path, clock: &Clock) -> Arc<SledUsedTokens> {
    Arc::new(SledUsedTokens::open(dir, clock, Some(Timestamp::EPOCH)).unwrap())
}

/// Claims until `live` jtis are on record.
async fn fill(store: &Arc<SledUsedTokens>, clock: &Clock, live: u64) {
    let left = Arc::new(AtomicU64::new(live));
    let claims = (0..4096).map(|_| {
        let (store, clock, left) = (Arc::clone(store), clock.clone(), Arc::clone(&left));
        tokio::spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                assert_eq!(store.claim(used(clock.now())).await.unwrap(), Use::First);
            }
        })
    });
    for claim in claims.collect::<Vec<_>>() {
        claim.await.unwrap();
    }
}

/// Claims per second, and the median and 99th percentile of their times in microseconds.
#[derive(Clone, Copy)]
struct Measured {
    rate: f64,
    median: f64,
    slow: f64,
}

/// Keeps `waiters` claims running for one round.
async fn measure<F, C>(waiters: usize, claim: C) -> Measured
where
    C: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let start = Instant::now();
    let tasks = (0..waiters).map(|_| {
        let claim = claim.clone();
        tokio::spawn(async move {
            let mut times = Vec::new();
            while start.elapsed() < ROUND {
                let begun = Instant::now();
                claim().await;
                times.push(begun.elapsed());
            }
            times
        })
    });
    let mut times = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        times.extend(task.await.unwrap());
    }
    let seconds = start.elapsed().as_secs_f64();
    times.sort_unstable();
    let micros = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e6;
    Measured { rate: times.len() as f64 / seconds, median: micros(50), slow: micros(99) }
}

fn claims(many: u64) {
    let runtime = runtime();
    let clock = Clock::wall();
    let folder = tempfile::tempdir().unwrap();
    let (small, large) =
        (store(&folder.path().join("few"), &clock), store(&folder.path().join("many"), &clock));
    let plain = PlainSled::open(&folder.path().join("plain"));
    let begun = Instant::now();
    runtime.block_on(async {
        fill(&small, &clock, FEW).await;
        fill(&large, &clock, many).await;
    });
    println!("{many} jtis claimed in {:.1} s by 4096 waiters", begun.elapsed().as_secs_f64());
    println!("claims/s [median us, 99 % us], median of {ROUNDS} rounds of {ROUND:?}, interleaved");
    println!("waiters | {FEW} live | {many} live | many/few cost | plain sled | few/plain rate");
    for waiters in WAITERS {
        let mut rounds: [Vec<Measured>; 3] = Default::default();
        for _ in 0..ROUNDS {
            for (rounds, store) in rounds.iter_mut().zip([&small, &large]) {
                rounds.push(one_round(&runtime, waiters, store, &clock));
            }
            let waiting = plain.waiting.clone();
            let claim = move || {
                let waiting = waiting.clone();
                async move {
                    let (done, durable) = oneshot::channel();
                    waiting.send((jti(), done)).unwrap();
                    durable.await.unwrap();
                }
            };
            rounds[2].push(runtime.block_on(async { tokio::spawn(measure(waiters, claim)).await.unwrap() }));
        }
        let [few, many, plain] = rounds.map(median_round);
        println!(
            "{waiters:>7} | {} | {} | {:.2} | {} | {:.2}",
            show(few),
            show(many),
            few.rate / many.rate,
            show(plain),
            few.rate / plain.rate
        );
    }
}

/// Compares the stores that a node may use, all on this machine. The servers should keep their files on the disk
/// that `TMPDIR` names.
fn stores(postgres: &str, redis: &str) {
    let (runtime, clock, folder) = (runtime(), Clock::wall(), tempfile::tempdir().unwrap());
    let issued = Some(Timestamp::EPOCH);
    let schema = Schema::create(&runtime, postgres, "bench");
    let sled: Arc<dyn UsedTokens> = store(&folder.path().join("store"), &clock);
    let stores: [Arc<dyn UsedTokens>; 3] = runtime.block_on(async {
        [
            sled,
            Arc::new(SqlUsedTokens::connect(&schema.address, &clock, issued).await.unwrap()),
            Arc::new(RedisUsedTokens::connect(redis, &clock, issued).await.unwrap()),
        ]
    });
    println!("claims/s [median us, 99 % us], median of {ROUNDS} rounds of {ROUND:?}, interleaved");
    println!("callers | sled | PostgreSQL | Redis | PostgreSQL/sled | Redis/sled");
    for callers in [1, 16, 64] {
        let mut rounds: [Vec<Measured>; 3] = Default::default();
        for _ in 0..ROUNDS {
            for (rounds, store) in rounds.iter_mut().zip(&stores) {
                rounds.push(one_round(&runtime, callers, store, &clock));
            }
        }
        let [sled, postgres, redis] = rounds.map(median_round);
        println!(
            "{callers:>7} | {} | {} | {} | {:.2} | {:.2}",
            show(sled),
            show(postgres),
            show(redis),
            postgres.rate / sled.rate,
            redis.rate / sled.rate
        );
    }
    for store in stores {
        runtime.block_on(store.close());
    }
    schema.drop(&runtime);
}

/// Keeps `waiters` claims running in a store for one round.
fn one_round<S: UsedTokens + ?Sized + 'static>(
    runtime: &tokio::runtime::Runtime,
    waiters: usize,
    store: &Arc<S>,
    clock: &Clock,
) -> Measured {
    let (store, clock) = (Arc::clone(store), clock.clone());
    let claim = move || {
        let (store, used) = (Arc::clone(&store), used(clock.now()));
        async move { assert_eq!(store.claim(used).await.unwrap(), Use::First) }
    };
    runtime.block_on(async { tokio::spawn(measure(waiters, claim)).await.unwrap() })
}

/// Compares the store as nodes use it with one that writes each claim by itself, on one of 16 connections.
fn postgres(server: &str) {
    let (runtime, clock) = (runtime(), Clock::wall());
    let schema = Schema::create(&runtime, server, "bench");
    let address = schema.address.as_str();
    let stores: [Arc<SqlUsedTokens>; 2] = runtime.block_on(async {
        let grouped = SqlUsedTokens::connect(address, &clock, Some(Timestamp::EPOCH)).await.unwrap();
        let pool = AnyPoolOptions::new().max_connections(16).connect(address).await.unwrap();
        let single = SqlUsedTokens::open(pool.clone(), pool, &clock, Some(Timestamp::EPOCH)).await.unwrap();
        [Arc::new(grouped), Arc::new(single)]
    });
    println!("claims/s [median us, 99 % us], median of {ROUNDS} rounds of {ROUND:?}, interleaved");
    println!("waiters | in groups | one at a time | ratio");
    for waiters in WAITERS {
        let mut rounds: [Vec<Measured>; 2] = Default::default();
        for _ in 0..ROUNDS {
            for (rounds, store) in rounds.iter_mut().zip(&stores) {
                rounds.push(one_round(&runtime, waiters, store, &clock));
            }
        }
        let [grouped, single] = rounds.map(median_round);
        println!("{waiters:>7} | {} | {} | {:.2}", show(grouped), show(single), grouped.rate / single.rate);
    }
    for store in stores {
        runtime.block_on(store.close());
    }
    schema.drop(&runtime);
}

fn median_round(mut rounds: Vec<Measured>) -> Measured {
    rounds.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    rounds[rounds.len() / 2]
}

fn show(m: Measured) -> String {
    format!("{:.0} [{:.0}, {:.0}]", m.rate, m.median, m.slow)
}

/// The design without a journal: one thread that swaps, flushes and fsyncs for all waiting claims.
struct PlainSled {
    waiting: Sender<(Jti, oneshot::Sender<()>)>,
}

impl PlainSled {
    fn open(dir: &Path) -> PlainSled {
        let sled =
            sled::Config::new().path(dir).cache_capacity(64 << 20).flush_every_ms(None).open().unwrap();
        let file = fs::OpenOptions::new().write(true).open(dir.join("db")).unwrap();
        let (waiting, claims) = channel::<(Jti, oneshot::Sender<()>)>();
        std::thread::spawn(move || {
            while let Ok(first) = claims.recv() {
                let group: Vec<_> = std::iter::once(first).chain(claims.try_iter().take(4095)).collect();
                for (jti, _) in &group {
                    let value: Option<&[u8]> = Some(&[7; 60]);
                    sled.compare_and_swap(jti.as_bytes(), None::<&[u8]>, value).unwrap().unwrap();
                }
                sled.flush().unwrap();
                file.sync_data().unwrap();
                for (_, done) in group {
                    let _ = done.send(());
                }
            }
        });
        PlainSled { waiting }
    }
}

fn size(live: u64) {
    let clock = Clock::wall();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("store");
    let store = store(&dir, &clock);
    let runtime = runtime();
    let begun = Instant::now();
    runtime.block_on(fill(&store, &clock, live));
    println!("{live} claims by 4096 waiters in {:.1} s", begun.elapsed().as_secs_f64());
    report("filled", &dir, live);
    runtime.block_on(async {
        store.purge(clock.now()).await.unwrap();
        store.close().await;
    });
    drop(store);
    report("settled and closed", &dir, live);
    let me = std::env::current_exe().unwrap();
    Command::new(me).arg("open").arg(&dir).status().unwrap();
    report("after another start", &dir, live);
}

/// Runs in a process of its own, so that its memory is that of a server after a restart.
fn open(dir: &Path) {
    let clock = Clock::wall();
    let begun = Instant::now();
    let store = store(dir, &clock);
    println!("opened in {:.0} ms, fence {}", begun.elapsed().as_secs_f64() * 1e3, store.fence());
    println!("resident after the start {} MiB", resident() / 1024);
    runtime().block_on(async {
        fill(&store, &clock, 200_000).await;
        println!("resident after 200,000 more claims {} MiB", resident() / 1024);
        let end = clock.now().plus(Duration::from_secs(90_011));
        let begun = Instant::now();
        let forgotten = store.purge(end).await.unwrap();
        println!("purged {forgotten} in {:.1} s", begun.elapsed().as_secs_f64());
        println!("resident after the purge {} MiB", resident() / 1024);
        report("after the purge", dir, 1);
        fill(&store, &clock, forgotten).await;
        store.close().await;
        report("filled as before", dir, forgotten);
    });
}

fn report(when: &str, dir: &Path, live: u64) {
    let bytes = on_disk(dir);
    println!(
        "{when}: {:.1} MB on disk, {:.1} bytes a jti; resident {} MiB",
        bytes as f64 / 1e6,
        bytes as f64 / live as f64,
        resident() / 1024
    );
}

fn on_disk(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(dir).unwrap().filter_map(Result::ok);
    entries
        .map(|e| if e.path().is_dir() { on_disk(&e.path()) } else { e.metadata().unwrap().blocks() * 512 })
        .sum()
}

/// The resident memory in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
