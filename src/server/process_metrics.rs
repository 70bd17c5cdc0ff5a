//! What the kernel knows about this process, under the names that Prometheus gives it.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use crate::clock::Timestamp;
use crate::connection::Connections;

/// Positions of fields in `/proc/self/stat` after the name in parentheses (proc_pid_stat(5)).
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const THREADS: usize = 17;
const RESIDENT_PAGES: usize = 21;

/// The metrics of this process.
#[derive(Default)]
pub(super) struct ProcessMetrics {
    cpu_seconds: Counter<f64, AtomicU64>,
    resident: Gauge,
    threads: Gauge,
    open_files: Gauge,
    most_files: Gauge,
    started_at: Gauge,
    connections: Gauge,
    held: Gauge,
    build: Family<[(&'static str, &'static str); 1], Gauge>,
}

impl ProcessMetrics {
    /// Registers the metrics of a process that began at `began`.
    pub(super) fn register(registry: &mut Registry, began: Timestamp) -> ProcessMetrics {
        let metrics = ProcessMetrics::default();
        metrics.started_at.set(to_gauge(began.secs()));
        let cpu = "User and system time that the process has used";
        registry.register("process_cpu_seconds", cpu, metrics.cpu_seconds.clone());
        registry.register("process_resident_memory_bytes", "Resident memory", metrics.resident.clone());
        registry.register("process_threads", "Threads", metrics.threads.clone());
        registry.register("process_open_fds", "Open file descriptors", metrics.open_files.clone());
        let most = "Most file descriptors that may be open";
        registry.register("process_max_fds", most, metrics.most_files.clone());
        let ours = registry.sub_registry_with_prefix("oncelink");
        ours.register("connections", "Open connections of all listeners", metrics.connections.clone());
        let held =
            "Memory that is held for clients: request bodies, large heads, pages that wait for slow readers";
        ours.register("held_memory_bytes", held, metrics.held.clone());
        ours.register("build_info", "The version that runs", metrics.build.clone());
        metrics.build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        let began = "When the process began to serve";
        registry.register("process_start_time_seconds", began, metrics.started_at.clone());
        metrics
    }

    /// Reads them from the kernel. Blocks a little. What can't be read keeps its value.
    pub(super) fn update(&self, connections: &Connections) {
        let (open, held) = connections.figures();
        self.connections.set(to_gauge(open as u64));
        self.held.set(to_gauge(held as u64));
        if let Ok(stat) = fs::read_to_string("/proc/self/stat")
            && let Some((_, fields)) = stat.rsplit_once(") ")
        {
            let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
            let field = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            let ticks = field(USER_TICKS).saturating_add(field(SYSTEM_TICKS));
            let seconds = ticks as f64 / clock_ticks_per_second() as f64;
            // The kernel keeps the sum, so it is not increased but replaced.
            self.cpu_seconds.inner().store(seconds.to_bits(), Ordering::Relaxed);
            self.threads.set(to_gauge(field(THREADS)));
            self.resident.set(to_gauge(field(RESIDENT_PAGES).saturating_mul(page_size() as u64)));
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            self.open_files.set(to_gauge(open.count() as u64));
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            self.most_files.set(to_gauge(most));
        }
    }
}

fn to_gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
