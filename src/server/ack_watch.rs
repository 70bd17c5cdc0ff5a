//! Finds out when sent data has arrived: queries the socket for the number of unacknowledged bytes, at once
//! and then at growing intervals, as long as someone waits for the result.
//!
//! Never relies on the end of a kept-alive connection, and never delays a connection.

use std::ffi::c_int;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;
use std::time::Duration;

use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode};
use rustix::net::{RecvFlags, recv};
use socket2::SockRef;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep};

use crate::download::{OrphanedStreams, Undelivered, WriteTracker};

/// The wait between two queries doubles from the first to the second.
const FIRST_STEP: Duration = Duration::from_millis(2);
const LONGEST_STEP: Duration = Duration::from_millis(250);
/// How long a closed connection is watched after everything has arrived, for a reset that shows that the data
/// wasn't read. As long as an idle connection is kept.
const WATCH_READ: Duration = Duration::from_secs(30);
/// A peer that acknowledges nothing for this long is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Maximum number of closed connections that are watched; others are judged by their current state.
const MOST_WATCHED: usize = 1024;

static WATCHED: AtomicUsize = AtomicUsize::new(0);

/// Watches an open connection. Polled by its task.
#[derive(Default)]
pub(super) struct AckWatch {
    timer: Option<Pin<Box<Sleep>>>,
    /// The wait before the next query; `None` while nobody waits for one.
    step: Option<Duration>,
}

impl AckWatch {
    /// Queries now, and restarts with short intervals.
    pub(super) fn query_now(&mut self, cx: &mut Context<'_>, line: &WriteTracker, socket: impl AsFd + Copy) {
        if line.awaits_acknowledgement() {
            line.acknowledged(outstanding(socket));
            self.step = None;
        }
        self.poll(cx, line, socket);
    }

    /// Queries when it is time, as long as `line` waits for an acknowledgment.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, line: &WriteTracker, socket: impl AsFd + Copy) {
        while line.awaits_acknowledgement() {
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(FIRST_STEP)));
            let step = match self.step {
                None => FIRST_STEP,
                Some(_) if timer.as_mut().poll(cx).is_pending() => return,
                Some(step) => {
                    line.acknowledged(outstanding(socket));
                    (step * 2).min(LONGEST_STEP)
                }
            };
            self.step = Some(step);
            timer.as_mut().reset(Instant::now() + step);
        }
        self.step = None;
    }
}

/// Keeps watching a connection that is closed on this side, if its outcome is still open.
pub(super) fn watch_closed(line: &WriteTracker, socket: impl AsFd) {
    let Some(mut orphans) = line.close() else { return };
    let Ok(socket) = socket.as_fd().try_clone_to_owned() else {
        // No descriptor is left for watching it, so it is judged by its current state.
        let outstanding = outstanding(&socket);
        if !orphans.acknowledged(outstanding) {
            orphans.broke(undelivered(&socket));
        }
        return;
    };
    // Does what closing the last descriptor would have done.
    let _gone_already = SockRef::from(&socket).shutdown(std::net::Shutdown::Write);
    let watched = Watched { socket, orphans: Some(orphans) };
    let places_left = WATCHED.fetch_add(1, Ordering::Relaxed) < MOST_WATCHED;
    if let (true, Ok(runtime)) = (places_left, Handle::try_current()) {
        runtime.spawn(watched.watch());
    }
}

/// Discards the data in the kernel when the socket is closed: it counts as not sent.
pub(super) fn discard(socket: impl AsFd) {
    let _gone_already = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
}

/// A closed connection. It is judged by its current state when this is dropped.
struct Watched {
    socket: OwnedFd,
    orphans: Option<OrphanedStreams>,
}

enum End {
    Open,
    Orderly,
    Broken,
}

impl Watched {
    async fn watch(mut self) {
        let (mut step, mut left, mut since) = (FIRST_STEP, None, Instant::now());
        loop {
            let outstanding = self.outstanding();
            let all = self.orphans.as_mut().is_none_or(|orphans| orphans.acknowledged(outstanding));
            let patience = if all { WATCH_READ } else { SILENCE };
            match end_of(&self.socket) {
                End::Open => {}
                End::Orderly if all => return,
                End::Orderly => {}
                End::Broken => return self.broke(),
            }
            if left != outstanding {
                (left, since) = (outstanding, Instant::now());
            } else if since.elapsed() > patience {
                return;
            }
            tokio::time::sleep(step).await;
            step = (step * 2).min(LONGEST_STEP);
        }
    }

    /// The end of the stream counts as one byte until it is acknowledged.
    fn outstanding(&self) -> Option<u64> {
        outstanding(&self.socket).map(|count| count.saturating_sub(1))
    }

    fn undelivered(&self) -> Option<Undelivered> {
        undelivered(&self.socket).map(|left| Undelivered {
            outstanding: left.outstanding.saturating_sub(1),
            unsent: left.unsent.saturating_sub(1),
        })
    }

    fn broke(mut self) {
        let left = self.undelivered();
        if let Some(orphans) = self.orphans.take() {
            orphans.broke(left);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        WATCHED.fetch_sub(1, Ordering::Relaxed);
        if let Some(mut orphans) = self.orphans.take()
            && !orphans.acknowledged(self.outstanding())
        {
            let left = self.undelivered();
            discard(&self.socket);
            orphans.broke(left);
        }
    }
}

/// Returns how the peer ended a connection, without consuming data.
fn end_of(socket: &OwnedFd) -> End {
    if !matches!(SockRef::from(socket).take_error(), Ok(None)) {
        return End::Broken;
    }
    match recv(socket, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, 0)) => End::Orderly,
        Ok(_) | Err(Errno::WOULDBLOCK | Errno::INTR) => End::Open,
        Err(_) => End::Broken,
    }
}

/// Returns the number of bytes in a TCP socket that its peer hasn't acknowledged, including unsent ones;
/// `None` if the socket can't be queried.
pub(super) fn outstanding(socket: impl AsFd) -> Option<u64> {
    /// `SIOCOUTQ` of tcp(7), which has the same value as `TIOCOUTQ`.
    const SIOCOUTQ: Opcode = libc::TIOCOUTQ as Opcode;
    ask::<SIOCOUTQ>(socket).ok().and_then(|count| u64::try_from(count).ok())
}

/// Returns the data in the kernel for a broken socket; `None` if the socket can't be queried.
pub(super) fn undelivered(socket: impl AsFd + Copy) -> Option<Undelivered> {
    /// `SIOCOUTQNSD` of linux/sockios.h: unsent bytes.
    const SIOCOUTQNSD: Opcode = 0x894b;
    let unsent = ask::<SIOCOUTQNSD>(socket).ok().and_then(|count| u64::try_from(count).ok())?;
    Some(Undelivered { outstanding: outstanding(socket)?, unsent })
}

#[expect(unsafe_code, reason = "no crate has a safe wrapper of SIOCOUTQ; this is the only unsafe code")]
fn ask<const OPCODE: Opcode>(socket: impl AsFd) -> io::Result<c_int> {
    // SAFETY: both opcodes above take a pointer to a C int and write exactly that. They change nothing else,
    // and fail on a descriptor that isn't a socket.
    let count = unsafe { rustix::ioctl::ioctl(socket, Getter::<OPCODE, c_int>::new()) }?;
    Ok(count)
}
