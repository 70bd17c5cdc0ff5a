//! Finds out when what was sent has arrived: the socket is asked how many bytes its peer has not
//! acknowledged, at once and then in growing steps, for as long as somebody waits for the answer.
//!
//! Never judges by when a kept-alive connection ends, and never lets a connection wait for it.

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

use crate::download::{Line, Orphans, Undelivered};

/// The wait between two looks doubles from the one to the other.
const FIRST_STEP: Duration = Duration::from_millis(2);
const LONGEST_STEP: Duration = Duration::from_millis(250);
/// How long a closed connection is watched when all has arrived, for a reset that says that nobody
/// read it. As long as an idle connection is kept.
const WATCH_READ: Duration = Duration::from_secs(30);
/// A peer that acknowledges nothing for this long is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Most closed connections that are watched at once; further ones are judged as they stand.
const MOST_WATCHED: usize = 1024;

static WATCHED: AtomicUsize = AtomicUsize::new(0);

/// Watches an open connection. Polled with it, on its task.
#[derive(Default)]
pub(super) struct Arrival {
    timer: Option<Pin<Box<Sleep>>>,
    /// The wait before the next look; `None` while nobody waits for one.
    step: Option<Duration>,
}

impl Arrival {
    /// Looks now, and from now on again soon.
    pub(super) fn look(&mut self, cx: &mut Context<'_>, line: &Line, socket: impl AsFd + Copy) {
        if line.awaits_acknowledgement() {
            line.acknowledged(outstanding(socket));
            self.step = None;
        }
        self.poll(cx, line, socket);
    }

    /// Looks whenever it is time, as long as `line` awaits an acknowledgement.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, line: &Line, socket: impl AsFd + Copy) {
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

/// Goes on watching a connection that is being closed on this side, if anything is to be learnt.
pub(super) fn watch_closed(line: &Line, socket: impl AsFd) {
    let Some(mut orphans) = line.leave() else { return };
    let Ok(socket) = socket.as_fd().try_clone_to_owned() else {
        // No descriptor is left to watch it by: judged as it stands.
        let outstanding = outstanding(&socket);
        if !orphans.acknowledged(outstanding) {
            orphans.broke(undelivered(&socket));
        }
        return;
    };
    // What closing it would have done, had nobody else held it.
    let _gone_already = SockRef::from(&socket).shutdown(std::net::Shutdown::Write);
    let watched = Watched { socket, orphans: Some(orphans) };
    let places_left = WATCHED.fetch_add(1, Ordering::Relaxed) < MOST_WATCHED;
    if let (true, Ok(runtime)) = (places_left, Handle::try_current()) {
        runtime.spawn(watched.watch());
    }
}

/// Discards what the kernel still holds when the socket is closed: it counts as not sent.
pub(super) fn discard(socket: impl AsFd) {
    let _gone_already = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
}

/// A closed connection. Judged as it stands when it is dropped.
struct Watched {
    socket: OwnedFd,
    orphans: Option<Orphans>,
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

    /// The end of the stream, which was written after its bytes, counts as one of them until it is
    /// acknowledged.
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

/// How the peer has ended a connection, without taking anything from it.
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

/// How many of the bytes that were written to a TCP socket its peer has not acknowledged, unsent
/// ones included; `None` for a socket that can't be asked.
pub(super) fn outstanding(socket: impl AsFd) -> Option<u64> {
    /// `SIOCOUTQ` of tcp(7), which is the same number as `TIOCOUTQ`.
    const SIOCOUTQ: Opcode = libc::TIOCOUTQ as Opcode;
    ask::<SIOCOUTQ>(socket).ok().and_then(|count| u64::try_from(count).ok())
}

/// What lies in the kernel of a socket that broke; `None` for one that can't be asked.
pub(super) fn undelivered(socket: impl AsFd + Copy) -> Option<Undelivered> {
    /// `SIOCOUTQNSD` of linux/sockios.h: what was not sent yet.
    const SIOCOUTQNSD: Opcode = 0x894b;
    let unsent = ask::<SIOCOUTQNSD>(socket).ok().and_then(|count| u64::try_from(count).ok())?;
    Some(Undelivered { outstanding: outstanding(socket)?, unsent })
}

#[expect(unsafe_code, reason = "no crate has a safe wrapper of SIOCOUTQ; this is the only unsafe code")]
fn ask<const OPCODE: Opcode>(socket: impl AsFd) -> io::Result<c_int> {
    // SAFETY: both opcodes above take a pointer to a C int and write exactly that; they change nothing
    // else, and on a descriptor that is no socket they fail.
    let count = unsafe { rustix::ioctl::ioctl(socket, Getter::<OPCODE, c_int>::new()) }?;
    Ok(count)
}
