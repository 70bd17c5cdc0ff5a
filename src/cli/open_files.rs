//! How many files and connections this process may have open at once.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Settings;

/// What a process has open beside connections and their files: listeners, stores, the log.
const OWN: u64 = 256;

/// Raises the limit as far as the system lets us, and says when that is not enough for the
/// connections that the settings allow.
pub(super) fn raise_limit(settings: &Settings) {
    let limit = getrlimit(Resource::Nofile);
    // Without a hard limit the soft one may be anything; this is the kernel's own default ceiling.
    let most = limit.maximum.unwrap_or(1 << 20);
    if limit.current.is_some_and(|current| current < most) {
        // A refusal leaves the limit as it is, which the warning below then measures.
        let _refused = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum });
    }
    if let Some((allowed, needed)) = shortage(settings) {
        tracing::warn!(
            allowed,
            needed,
            "this process may open fewer files than its connections can need: raise the limit \
             (`ulimit -n`, `LimitNOFILE=`) or lower `max_connections`"
        );
    }
}

/// How many files this process may have open at most and how many it can need, where the first is less.
pub(super) fn shortage(settings: &Settings) -> Option<(u64, u64)> {
    let limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.or(limit.current).unwrap_or(u64::MAX);
    let needed = needed(settings);
    (allowed < needed).then_some((allowed, needed))
}

/// Each connection is a descriptor, and each transfer has its file.
fn needed(settings: &Settings) -> u64 {
    let connections = settings.web.max_connections.saturating_add(settings.download.max_connections);
    u64::try_from(connections).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(OWN)
}
