//! A connection to Redis that is made again when it breaks.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, RedisError, Value, pipe};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::used_tokens::redis::durability::{Durability, JudgeError, ask_persistence, ask_settings};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long Redis may take to answer. What happened to a write is unknown afterwards.
const ANSWER: Duration = Duration::from_secs(10);

/// After a failure to connect, further attempts fail for this long without trying.
const PAUSE: Duration = Duration::from_millis(100);

/// For how long settings that were found right are trusted before a write. They are read with the write, too;
/// this decides only whether a write that comes too late is likely.
const TRUSTED: Duration = Duration::from_millis(20);

/// A connection to Redis, shared by any number of callers.
pub(super) struct RedisLink {
    client: Client,
    /// The runtime in which connections live: that of a worker may end before this does.
    runtime: Handle,
    kept: Mutex<Kept>,
    checked_at: std::sync::Mutex<Option<Instant>>,
    durability: Arc<Durability>,
}

enum Kept {
    Nothing,
    Open { connection: MultiplexedConnection, generation: u64 },
    Failed { at: Instant, error: RedisError },
}

impl RedisLink {
    /// Creates a link that connects at its first use, in the current runtime.
    pub(super) fn new(client: Client, durability: Arc<Durability>) -> RedisLink {
        RedisLink {
            client,
            runtime: Handle::current(),
            kept: Mutex::new(Kept::Nothing),
            checked_at: std::sync::Mutex::default(),
            durability,
        }
    }

    /// Runs commands that may be repeated: if the connection breaks, they are sent once more on a new one.
    pub(super) async fn run(&self, commands: &Pipeline) -> Result<Vec<Value>, RedisError> {
        match self.run_once(commands).await {
            Err(error) if error.is_connection_dropped() && !error.is_connection_refusal() => {
                self.run_once(commands).await
            }
            answer => answer,
        }
    }

    /// Runs a command that writes. When this returns, what was written is durable.
    ///
    /// # Errors
    /// If that isn't certain.
    pub(super) async fn write(&self, command: Cmd) -> Result<Value, JudgeError> {
        self.check().await?;
        let mut commands = pipe();
        commands.atomic();
        ask_settings(&mut commands);
        commands.add_command(command);
        let answers = self.run_once(&commands).await?;
        self.durability.judge_settings(answers)?.pop().ok_or_else(|| no_answer().into())
    }

    /// Checks that Redis would keep what it confirms, unless that was just done.
    ///
    /// # Errors
    /// If it isn't certain.
    pub(super) async fn check(&self) -> Result<(), JudgeError> {
        let checked_at = *self.checked_at.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.durability.is_unsure() && checked_at.is_some_and(|at| at.elapsed() < TRUSTED) {
            return Ok(());
        }
        let mut questions = pipe();
        ask_settings(&mut questions);
        ask_persistence(&mut questions);
        let asked_at = Instant::now();
        let answers = self.run(&questions).await?;
        let persistence = self.durability.judge_settings(answers)?.pop().ok_or_else(no_answer)?;
        self.durability.judge_persistence(persistence)?;
        *self.checked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked_at);
        Ok(())
    }

    /// Closes the connection when nobody uses it any more.
    pub(super) async fn close(&self) {
        *self.kept.lock().await = Kept::Nothing;
    }

    async fn run_once(&self, commands: &Pipeline) -> Result<Vec<Value>, RedisError> {
        let (mut connection, used) = self.connection().await?;
        let answer = commands.query_async(&mut connection).await;
        if answer
            .as_ref()
            .is_err_and(|error: &RedisError| error.is_io_error() || error.is_unrecoverable_error())
        {
            let mut kept = self.kept.lock().await;
            if matches!(*kept, Kept::Open { generation, .. } if generation == used) {
                *kept = Kept::Nothing;
            }
        }
        answer
    }

    async fn connection(&self) -> Result<(MultiplexedConnection, u64), RedisError> {
        let mut kept = self.kept.lock().await;
        match &*kept {
            Kept::Open { connection, generation } => return Ok((connection.clone(), *generation)),
            Kept::Failed { at, error } if at.elapsed() < PAUSE => return Err(error.clone()),
            Kept::Failed { .. } | Kept::Nothing => {}
        }
        let client = self.client.clone();
        let connecting = async move {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT))
                .set_response_timeout(Some(ANSWER));
            client.get_multiplexed_async_connection_with_config(&config).await
        };
        let connected = self.runtime.spawn(connecting).await;
        match connected.map_err(|gone| RedisError::from(io::Error::other(gone))).flatten() {
            Ok(connection) => {
                let generation = next_generation();
                *kept = Kept::Open { connection: connection.clone(), generation };
                Ok((connection, generation))
            }
            Err(error) => {
                *kept = Kept::Failed { at: Instant::now(), error: error.clone() };
                Err(error)
            }
        }
    }
}

/// Numbers connections, so that an error ends the one that it concerns and not its successor.
fn next_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn no_answer() -> RedisError {
    (redis::ErrorKind::UnexpectedReturnType, "Redis sent no answer to a command").into()
}
