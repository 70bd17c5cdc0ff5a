//! The servers and the background tasks, which run until they are stopped.

use std::future::Future;
use std::io;

use actix_server::{Server, ServerHandle};
use tokio::task::JoinHandle;

use crate::health::Health;
use crate::server::stop_responder::StopResponder;
use crate::tasks::{RestartDelay, Task};

/// Servers and tasks. Dropping this stops all of them.
#[derive(Default)]
pub(super) struct TaskSet {
    health: Health,
    servers: Vec<JoinHandle<io::Result<()>>>,
    handles: Vec<ServerHandle>,
    responders: Vec<StopResponder>,
    tasks: Vec<Task>,
}

impl TaskSet {
    pub(super) const fn health(&self) -> &Health {
        &self.health
    }

    /// Reports tasks that end to `health` from now on.
    pub(super) fn report_to(&mut self, health: Health) {
        self.health = health;
    }

    /// Runs a server. Its `responders` reply to new connections while it stops.
    pub(super) fn server(&mut self, server: Server, responders: Vec<StopResponder>) {
        self.responders.extend(responders);
        self.handles.push(server.handle());
        self.servers.push(tokio::spawn(server));
    }

    /// Runs a background task that should never end, and restarts it if it does.
    pub(super) fn task<F, Fut>(&mut self, name: &'static str, make: F)
    where
        F: Fn() -> Fut + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        self.tasks.push(Task::local(&self.health, RestartDelay::default(), name, make));
    }

    /// Waits until a server ends unexpectedly.
    pub(super) async fn failed(&mut self) -> io::Result<()> {
        let (ended, at, _) = futures_util::future::select_all(&mut self.servers).await;
        drop(self.servers.swap_remove(at));
        ended.map_err(io::Error::other)?
    }

    /// Refuses new connections, and waits for running transfers, up to the time limit.
    pub(super) async fn stop_servers(&self) {
        futures_util::future::join_all(self.handles.iter().map(|handle| handle.stop(true))).await;
    }

    /// Tells new clients that the services are stopping. Never returns.
    pub(super) async fn answer_while_stopping(&self) {
        futures_util::future::join_all(self.responders.iter().map(StopResponder::respond)).await;
        std::future::pending().await
    }

    pub(super) fn stop_tasks(&self) {
        for task in &self.tasks {
            task.end();
        }
    }
}

impl Drop for TaskSet {
    fn drop(&mut self) {
        self.stop_tasks();
        for handle in &self.handles {
            // The command is sent at once; its result isn't awaited.
            drop(handle.stop(false));
        }
    }
}
