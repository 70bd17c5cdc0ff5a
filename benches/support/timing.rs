//! Times small units of work: many rounds of equal length; prints the median and the middle half.
//! Words after `--` select by name: `cargo bench --bench verify -- EdDSA`.

#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench prints; the index is within the rounds"
)]
#![allow(dead_code, unreachable_pub, reason = "each bench uses what it needs")]

use std::hint::black_box;
use std::time::{Duration, Instant};

const WARM_UP: Duration = Duration::from_secs(1);
const ROUND: Duration = Duration::from_millis(50);
const ROUNDS: usize = 61;

/// Times one call of `work`.
pub fn time<T>(name: &str, mut work: impl FnMut() -> T) {
    time_batches(name, |count| {
        let began = Instant::now();
        for _ in 0..count {
            black_box(work());
        }
        began.elapsed()
    });
}

/// Times work that measures itself: `batch` repeats it that many times, and returns how long that took.
pub fn time_batches(name: &str, mut batch: impl FnMut(u64) -> Duration) {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--")).peekable();
    if words.peek().is_some() && !words.any(|word| name.contains(&word)) {
        return;
    }
    let (mut calls, mut spent, mut count) = (0, Duration::ZERO, 1);
    while spent < WARM_UP {
        spent += batch(count);
        calls += count;
        count = count.saturating_mul(2).min(per(ROUND, calls, spent));
    }
    let count = per(ROUND, calls, spent);
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| batch(count).as_nanos() as f64 / count as f64).collect();
    rounds.sort_by(f64::total_cmp);
    let quarter = |n: usize| shown(rounds[(ROUNDS - 1) * n / 4]);
    println!("{name:<56} {:>10}  [{} .. {}]", quarter(2), quarter(1), quarter(3));
}

/// How many calls fit into `time` when `calls` took `spent`; at least one.
fn per(time: Duration, calls: u64, spent: Duration) -> u64 {
    ((calls as f64 * time.as_secs_f64() / spent.as_secs_f64().max(1e-9)) as u64).max(1)
}

fn shown(nanos: f64) -> String {
    match nanos {
        nanos if nanos < 1e3 => format!("{nanos:.1} ns"),
        nanos if nanos < 1e6 => format!("{:.2} us", nanos / 1e3),
        nanos => format!("{:.2} ms", nanos / 1e6),
    }
}
