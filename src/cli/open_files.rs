//! The limit on files and connections that this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Settings;

/// Descriptors for other purposes than connections and their files: listeners, stores, the log.
const OWN: u64 = 256;

/// Raises the limit as far as the system allows, and warns if that isn't enough for the configured number of
/// connections.
pub(super) fn raise_limit(settings: &Settings) {
    let limit = getrlimit(Resource::Nofile);
    // Without a hard limit the soft one can be anything; this is the kernel's default maximum.
    let most = limit.maximum.unwrap_or(1 << 20);
    if limit.current.is_some_and(|current| current < most) {
        // If this fails, the limit stays as it is, and the warning below reports it.
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

/// Returns how many files this process may open and how many it can need, if the limit is too low.
pub(super) fn shortage(settings: &Settings) -> Option<(u64, u64)> {
    let limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.or(limit.current).unwrap_or(u64::MAX);
    let needed = needed(settings);
    (allowed < needed).then_some((allowed, needed))
}

/// Each connection needs a descriptor, and each transfer one more for its file.
fn needed(settings: &Settings) -> u64 {
    let connections = settings.web.max_connections.saturating_add(settings.download.max_connections);
    u64::try_from(connections).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(OWN)
}
