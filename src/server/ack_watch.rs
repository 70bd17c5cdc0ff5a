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

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode};
use rustix::net::{RecvFlags, recv};
use socket2::SockRef;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep};

use crate::download::{OrphanedStreams, Undelivered, WriteTracker};
use crate::server::client_stream::{ClientStream, SocketKind};

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
    pub(super) fn query_now(&mut self, cx: &mut Context<'_>, line: &WriteTracker, socket: &ClientStream) {
        if line.awaits_acknowledgement() {
            line.acknowledged(outstanding(socket));
            self.step = None;
        }
        self.poll(cx, line, socket);
    }

    /// Queries when it is time, as long as `line` waits for an acknowledgment.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, line: &WriteTracker, socket: &ClientStream) {
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
pub(super) fn watch_closed(line: &WriteTracker, socket: &ClientStream) {
    let Some(mut orphans) = line.close() else { return };
    let Ok(handle) = socket.as_fd().try_clone_to_owned() else {
        // No descriptor is left for watching it, so it is judged by its current state.
        let outstanding = outstanding(socket);
        if !orphans.acknowledged(outstanding) {
            orphans.broke(undelivered(socket));
        }
        return;
    };
    // Does what closing the last descriptor would have done.
    let _gone_already = SockRef::from(&handle).shutdown(std::net::Shutdown::Write);
    let watched = Watched { socket: handle, kind: socket.kind(), orphans: Some(orphans) };
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
    kind: SocketKind,
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
        outstanding_of(&self.socket, self.kind).map(|count| count.saturating_sub(1))
    }

    fn undelivered(&self) -> Option<Undelivered> {
        undelivered_of(&self.socket, self.kind).map(|left| Undelivered {
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

/// Returns the number of bytes in a socket that its peer hasn't acknowledged, including unsent ones; `None` if the
/// socket can't be queried.
///
/// In a Unix socket, it is what the peer hasn't read, with the kernel's overhead: never too little, and 0 if it has read
/// everything.
pub(super) fn outstanding(socket: &ClientStream) -> Option<u64> {
    outstanding_of(socket, socket.kind())
}

fn outstanding_of(socket: impl AsFd + Copy, kind: SocketKind) -> Option<u64> {
    /// `SIOCOUTQ` of tcp(7), which has the same value as `TIOCOUTQ`.
    const SIOCOUTQ: Opcode = libc::TIOCOUTQ as Opcode;
    let count = ask::<SIOCOUTQ>(socket).ok().and_then(|count| u64::try_from(count).ok())?;
    // A Unix socket whose peer closes it without reading everything is emptied, after it got an error.
    let is_emptied = count == 0 && kind == SocketKind::Unix && has_error(socket);
    (!is_emptied).then_some(count)
}

/// Returns whether a socket has an error, without clearing it.
fn has_error(socket: impl AsFd) -> bool {
    let mut asked = [PollFd::new(&socket, PollFlags::empty())];
    let answered = poll(&mut asked, Some(&Timespec::default()));
    answered.is_err() || asked.iter().any(|asked| asked.revents().contains(PollFlags::ERR))
}

/// Returns the data in the kernel for a broken socket; `None` if the socket can't be queried, like a Unix socket.
pub(super) fn undelivered(socket: &ClientStream) -> Option<Undelivered> {
    undelivered_of(socket, socket.kind())
}

fn undelivered_of(socket: impl AsFd + Copy, kind: SocketKind) -> Option<Undelivered> {
    /// `SIOCOUTQNSD` of linux/sockios.h: unsent bytes.
    const SIOCOUTQNSD: Opcode = 0x894b;
    let unsent = ask::<SIOCOUTQNSD>(socket).ok().and_then(|count| u64::try_from(count).ok())?;
    Some(Undelivered { outstanding: outstanding_of(socket, kind)?, unsent })
}

#[expect(unsafe_code, reason = "no crate has a safe wrapper of SIOCOUTQ; this is the only unsafe code")]
fn ask<const OPCODE: Opcode>(socket: impl AsFd) -> io::Result<c_int> {
    // SAFETY: both opcodes above take a pointer to a C int and write exactly that. They change nothing else,
    // and fail on a descriptor that isn't a socket.
    let count = unsafe { rustix::ioctl::ioctl(socket, Getter::<OPCODE, c_int>::new()) }?;
    Ok(count)
}
