//! The results as Markdown: medians with minimum and maximum, and ratios within a round.

use std::fmt::{self, Write};
use std::process::Command;
use std::time::Duration;

use crate::load::Load;
use crate::process::{Server, Used};
use crate::{CASES, Case, Target};

/// One round of one server.
#[derive(Clone, Copy)]
pub struct Measured {
    /// Requests per second.
    pub rate: f64,
    /// Bytes of files, in MB per second.
    pub megabytes: f64,
    /// The server's processor time per request, in microseconds.
    pub cpu_request: f64,
    /// The same per GiB, in seconds.
    pub cpu_gib: f64,
    /// The time from the request to the last byte, in microseconds.
    pub p50: f64,
    pub p99: f64,
    /// The share of all processors that other processes used.
    pub foreign: f64,
}

impl Measured {
    pub fn new(load: &Load, used: Used, case: &Case) -> Measured {
        let count = load.latencies.len() as f64;
        let bytes = count * case.len as f64;
        let at = |part: f64| load.latencies[((count - 1.0) * part) as usize] as f64 / 1e3;
        Measured {
            rate: count / load.elapsed.as_secs_f64(),
            megabytes: bytes / load.elapsed.as_secs_f64() / 1e6,
            cpu_request: used.server.as_secs_f64() * 1e6 / count,
            cpu_gib: used.server.as_secs_f64() * f64::from(1 << 30) / bytes,
            p50: at(0.5),
            p99: at(0.99),
            foreign: used.foreign,
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} requests/s, {:.0} MB/s, {:.1} µs and {:.3} s/GiB of CPU, p50 {:.0} µs, foreign {:.0} %",
            self.rate,
            self.megabytes,
            self.cpu_request,
            self.cpu_gib,
            self.p50,
            self.foreign * 100.0
        )
    }
}

/// A start of a server.
pub struct Start {
    after: Duration,
    resident: u64,
}

impl Start {
    pub fn of(server: &Server) -> Start {
        Start { after: server.ready_after, resident: server.resident() }
    }
}

/// All results.
#[derive(Default)]
pub struct Results {
    rounds: Vec<(&'static str, Target, usize, Measured)>,
    starts: Vec<(String, Vec<Start>)>,
}

impl Results {
    pub fn add(&mut self, case: &Case, target: Target, round: usize, measured: Measured) {
        self.rounds.push((case.name, target, round, measured));
    }

    pub fn starts(&mut self, name: &str, starts: Vec<Start>) {
        if !starts.is_empty() {
            self.starts.push((name.to_owned(), starts));
        }
    }

    fn of(&self, case: &Case, target: Target) -> Vec<(usize, Measured)> {
        let here = |(name, of, _, _): &&(&str, Target, usize, Measured)| *name == case.name && *of == target;
        self.rounds.iter().filter(here).map(|(_, _, round, measured)| (*round, *measured)).collect()
    }

    /// The ratios of a figure of `target` to the same of `base`, round by round.
    fn ratios(&self, case: &Case, target: Target, base: Target, figure: fn(&Measured) -> f64) -> Vec<f64> {
        let base = self.of(case, base);
        let ratio = |(round, measured): (usize, Measured)| {
            let (_, beside) = base.iter().find(|(of, _)| *of == round)?;
            Some(figure(&measured) / figure(beside))
        };
        self.of(case, target).into_iter().filter_map(ratio).collect()
    }

    /// All results as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = machine();
        for case in &CASES {
            self.case(case, &mut text).unwrap();
        }
        text += "\n### Start\n\n| server | start to ready, ms | resident, idle, MB |\n| --- | --- | --- |\n";
        for (name, starts) in &self.starts {
            let ready = spread(starts.iter().map(|start| start.after.as_secs_f64() * 1e3).collect(), 0);
            let resident = spread(starts.iter().map(|start| start.resident as f64 / 1e6).collect(), 1);
            writeln!(text, "| {name} | {ready} | {resident} |").unwrap();
        }
        text
    }

    fn case(&self, case: &Case, text: &mut String) -> fmt::Result {
        if self.rounds.iter().all(|(name, ..)| *name != case.name) {
            return Ok(());
        }
        let large = case.len >= 1 << 20;
        let (rate, cpu) = if large { ("MB/s", "CPU s/GiB") } else { ("requests/s", "CPU µs/request") };
        writeln!(text, "\n### {}\n", case.name)?;
        writeln!(
            text,
            "| server | {rate} | {cpu} | p50, µs | p99, µs | rate ÷ nginx | CPU ÷ nginx | rate ÷ Lua + Redis | foreign CPU |"
        )?;
        writeln!(text, "| --- | --- | --- | --- | --- | --- | --- | --- | --- |")?;
        let figure: fn(&Measured) -> f64 = if large { |m| m.megabytes } else { |m| m.rate };
        let cost: fn(&Measured) -> f64 = if large { |m| m.cpu_gib } else { |m| m.cpu_request };
        for target in Target::ALL {
            let all = self.of(case, target);
            if all.is_empty() {
                continue;
            }
            let column = |figure: fn(&Measured) -> f64, digits| {
                spread(all.iter().map(|(_, measured)| figure(measured)).collect(), digits)
            };
            let ratio = |base, figure| spread(self.ratios(case, target, base, figure), 2);
            writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} % |",
                target.name(),
                column(figure, 0),
                column(cost, if large { 3 } else { 1 }),
                column(|m| m.p50, 0),
                column(|m| m.p99, 0),
                ratio(Target::SecureLink, figure),
                ratio(Target::SecureLink, cost),
                ratio(Target::LuaRedis, figure),
                column(|m| m.foreign * 100.0, 0),
            )?;
        }
        Ok(())
    }
}

/// The median, with the minimum and the maximum in brackets.
fn spread(mut figures: Vec<f64>, digits: usize) -> String {
    figures.sort_by(f64::total_cmp);
    match figures.as_slice() {
        [] => "–".to_owned(),
        [one] => format!("{one:.digits$}"),
        [least, .., most] => {
            let median = figures[figures.len() / 2];
            format!("{median:.digits$} [{least:.digits$}..{most:.digits$}]")
        }
    }
}

/// The machine and the programs of this run.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let said = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok()?;
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).lines().next().map(str::to_owned)
    };
    let cpu = read("/proc/cpuinfo");
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let memory = read("/proc/meminfo");
    let memory = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)).unwrap_or("0");
    format!(
        "Machine: {} processors ({}), {:.0} GB of memory, Linux {}. The load generator runs beside the server.\n\
         Oncelink {}, log level `warn`; {}; {}; rustypaste {}.\n\
         Medians [least..most] of the rounds; a ratio is taken within its round. Each request has a fresh token.\n",
        std::thread::available_parallelism().map_or(0, usize::from),
        cpu.trim_start_matches([' ', '\t', ':']),
        memory.parse::<f64>().unwrap_or(0.0) / 1e6,
        read("/proc/sys/kernel/osrelease").trim(),
        env!("CARGO_PKG_VERSION"),
        said("nginx", "-v").unwrap_or_else(|| "no nginx".to_owned()),
        said("redis-server", "--version").unwrap_or_else(|| "no Redis".to_owned()),
        rustypaste_version(),
    )
}

fn rustypaste_version() -> String {
    let list = format!("{}/{}/.crates.toml", env!("CARGO_MANIFEST_DIR"), crate::peers::RUSTYPASTE_ROOT);
    let list = std::fs::read_to_string(list).unwrap_or_default();
    let version = list.split("rustypaste ").nth(1).and_then(|rest| rest.split(' ').next());
    version.unwrap_or("is missing").to_owned()
}
