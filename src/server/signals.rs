//! Signals: those that stop this process, and those that must not kill it.

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

    /// Waits for SIGINT or SIGTERM.
    pub(super) async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {
                    tracing::warn!("SIGHUP ignored; restart to apply changed settings");
                }
                _ = self.user_1.recv() => tracing::info!("SIGUSR1 ignored"),
                _ = self.user_2.recv() => tracing::info!("SIGUSR2 ignored"),
            }
        }
    }
}
