//! Signals: those that stop this process, the one that reloads the settings, and those that must not kill it.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The handled signals. Once created, none of them terminates the process directly.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user_1: Signal,
    user_2: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// SIGINT or SIGTERM.
    Stop,
    /// SIGHUP.
    Reload,
}

impl Signals {
    /// Starts listening.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn listen() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for a signal that asks for something. SIGUSR1 and SIGUSR2 don't.
    pub(super) async fn next(&mut self) -> Request {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Request::Stop,
                _ = self.interrupt.recv() => return Request::Stop,
                _ = self.hang_up.recv() => return Request::Reload,
                _ = self.user_1.recv() => {}
                _ = self.user_2.recv() => {}
            }
        }
    }

    /// Waits for SIGINT or SIGTERM.
    pub(super) async fn stop(&mut self) {
        while self.next().await != Request::Stop {
            tracing::info!("SIGHUP ignored while starting or stopping");
        }
    }
}
