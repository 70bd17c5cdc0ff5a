//! The limits on what is sent, and on how long requests wait.

use std::time::Duration;

/// How many bytes may be sent again to a client without the resume key. Enough for data in buffers when a
/// connection broke.
pub(super) const RESEND_ALLOWANCE: u64 = 8 * 1024 * 1024;
/// With the resume key, this many times the file's size may be sent, plus [`RESEND_ALLOWANCE`].
pub(super) const KEYED_FACTOR: u64 = 3;
/// Maximum number of parallel connections for one jti.
pub(super) const MAX_STREAMS: usize = 16;
/// How long a request waits for an earlier one of the same jti to end, and a stream for its client to hang up
/// at bytes that another stream has sent.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// How long a request after the last byte waits for a sign that the connection broke: a client that hangs up
/// and returns at once is often faster than that sign.
pub(super) const GRACE: Duration = Duration::from_millis(50);
/// How long after the last byte it may turn out that some bytes weren't read.
pub(super) const UNREAD_PATIENCE: Duration = Duration::from_secs(60);
/// Two segments of the maximum size on a loopback network. A kernel acknowledges two at a time, so a program
/// may have read this much before any of it was acknowledged.
pub(crate) const TWO_SEGMENTS: u64 = 128 * 1024;
/// If a stream reaches bytes that were already sent, up to this many are sent again without a pause.
pub(super) const SMALL_OVERLAP: u64 = 64 * 1024;
