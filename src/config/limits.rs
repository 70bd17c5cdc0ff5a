//! How long a connection may take for each of its phases.

use std::time::Duration;

/// The deadlines of a connection. Not settable by operators: they follow from how HTTP clients
/// behave, and a wrong value opens the service to floods. Tests shorten them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// A request's head must have arrived this long after its first byte, and the first head this
    /// long after the connection was made.
    pub head: Duration,
    /// An idle connection is kept this long.
    pub idle: Duration,
    /// What is left of a body after its answer is waited for this long.
    pub drain: Duration,
    /// The time over which the speed of a reader and of a sender is measured …
    pub window: Duration,
    /// … and the bytes that must have moved within it.
    pub least_per_window: u64,
    /// A newcomer doesn't push out a connection of its own address that moved a byte this recently.
    pub settled: Duration,
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
        }
    }
}
