//! The deadlines of each phase of a connection.

use std::time::Duration;

/// The deadlines of a connection. Operators can't set them: they follow from how HTTP clients behave,
/// and a wrong value exposes the service to floods. Tests shorten them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Time for a request head to arrive after its first byte, and for the first head after the connection
    /// was opened.
    pub head: Duration,
    /// How long an idle connection is kept.
    pub idle: Duration,
    /// How long to wait for the rest of a request body after the response was sent.
    pub drain: Duration,
    /// The period over which the speed of readers and senders is measured …
    pub window: Duration,
    /// … and the minimum number of bytes within it.
    pub least_per_window: u64,
    /// A new connection doesn't displace one from its own address that moved a byte this recently.
    pub settled: Duration,
    /// Whether the kernel sends files by itself where it can (`sendfile`). Not a deadline, but as little a
    /// setting as those; tests turn it off.
    pub sendfile: bool,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            drain: Duration::from_secs(5),
            window: Duration::from_secs(60),
            least_per_window: 60 * 1024,
            settled: Duration::from_secs(1),
            sendfile: true,
        }
    }
}
