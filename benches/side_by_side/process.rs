//! Server processes: starting and stopping them, and their use of resources.

use std::collections::HashMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Linux reports processor time to programs in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// A running server, with all processes that it starts. It ends when dropped.
pub struct Server {
    children: Vec<Child>,
    /// The address on which it listens.
    pub address: SocketAddr,
    /// From its start to its first successful response.
    pub ready_after: Duration,
}

/// A port that is free now.
pub fn free_port() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

impl Server {
    /// Starts `command` and waits until `ready` returns true.
    pub fn start(mut command: Command, address: SocketAddr, ready: impl Fn() -> bool) -> Server {
        let begin = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let mut server = Server { children: vec![child], address, ready_after: Duration::ZERO };
        while !ready() {
            assert!(server.children[0].try_wait().unwrap().is_none(), "{command:?} ended at once");
            assert!(begin.elapsed() < Duration::from_secs(20), "{command:?} does not respond");
            std::thread::sleep(Duration::from_micros(500));
        }
        server.ready_after = begin.elapsed();
        server
    }

    /// Counts the processes of `other` as this server's.
    pub fn with(mut self, mut other: Server) -> Server {
        self.children.append(&mut other.children);
        self.ready_after += other.ready_after;
        self
    }

    /// The ids of all its processes.
    pub fn pids(&self) -> Vec<u32> {
        let mut parents: HashMap<u32, Vec<u32>> = HashMap::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok())
                && let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok())
            {
                parents.entry(parent).or_default().push(pid);
            }
        }
        let mut all: Vec<u32> = self.children.iter().map(Child::id).collect();
        let mut at = 0;
        while at < all.len() {
            all.extend(parents.get(&all[at]).into_iter().flatten());
            at += 1;
        }
        all
    }

    /// Resident memory of all its processes, in bytes. Pages that they share count for each.
    pub fn resident(&self) -> u64 {
        let kib = |pid: u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        };
        self.pids().into_iter().filter_map(kib).sum::<u64>() * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in &mut self.children {
            // The standard library can only kill; a store and a journal need a graceful stop.
            let _asked = Command::new("kill").arg(child.id().to_string()).status();
        }
        for child in &mut self.children {
            let begin = Instant::now();
            while child.try_wait().is_ok_and(|ended| ended.is_none()) {
                if begin.elapsed() > Duration::from_secs(5) {
                    let _killed = child.kill();
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

/// The fields of `/proc/<pid>/stat` after the name, the state first.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

/// Processor time of a process in ticks.
fn ticks(pid: u32) -> u64 {
    let field = |fields: &[String], at: usize| fields.get(at).and_then(|text| text.parse().ok()).unwrap_or(0);
    stat(pid).map_or(0, |fields| field(&fields, 11) + field(&fields, 12))
}

/// The processor time used up to a moment.
#[derive(Clone, Copy)]
pub struct Cpu {
    server: u64,
    own: u64,
    machine: u64,
    at: Instant,
}

/// Processor time between two moments.
#[derive(Clone, Copy)]
pub struct Used {
    /// By the server's processes.
    pub server: Duration,
    /// The share of all processors that neither the server nor this program used, from 0 to 1.
    pub foreign: f64,
}

impl Cpu {
    /// Reads the counters now.
    pub fn now(server: &[u32]) -> Cpu {
        let machine = fs::read_to_string("/proc/stat").unwrap();
        // user, nice, system; idle and iowait are left out; irq, softirq, steal.
        let all: Vec<u64> =
            machine.lines().next().unwrap().split_whitespace().skip(1).map(|n| n.parse().unwrap()).collect();
        let machine = all[..3].iter().chain(&all[5..8]).sum();
        Cpu {
            server: server.iter().map(|pid| ticks(*pid)).sum(),
            own: ticks(std::process::id()),
            machine,
            at: Instant::now(),
        }
    }

    /// The processor time used from `self` to `later`.
    pub fn until(self, later: Cpu) -> Used {
        let server = later.server - self.server;
        let known = server + later.own - self.own;
        let foreign = TICK.as_secs_f64() * (later.machine - self.machine).saturating_sub(known) as f64;
        let processors = std::thread::available_parallelism().unwrap().get() as f64;
        Used {
            server: TICK * u32::try_from(server).unwrap(),
            foreign: foreign / (later.at - self.at).as_secs_f64() / processors,
        }
    }
}
