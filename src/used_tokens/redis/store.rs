//! The store in its Redis: how it is opened, and how single commands are sent.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{Cmd, FromRedisValue, Pipeline, RedisError, from_redis_value};

use crate::clock::{Clock, Timestamp};
use crate::secret::{Secret, random_bytes};
use crate::used_tokens::StoreError;
use crate::used_tokens::claim_queue::ClaimQueue;
use crate::used_tokens::known::{KnownStore, StoreState};
use crate::used_tokens::redis::durability::{Durability, JudgeError, NotDurable};
use crate::used_tokens::redis::link::RedisLink;
use crate::used_tokens::redis::{address, group, scripts};

/// How often a start checks whether the append-only file is complete, ten times a second.
const REWRITE_ATTEMPTS: usize = 100;

/// Used tokens in Redis.
pub struct RedisUsedTokens {
    pub(super) link: RedisLink,
    pub(super) queue: ClaimQueue,
    pub(super) known: KnownStore,
    pub(super) opened_mark: Timestamp,
    pub(super) closed: AtomicBool,
}

impl RedisUsedTokens {
    /// Opens the store, and raises `clock` to its latest recorded time. The fence of a new store is
    /// `nothing_issued_before`, or the current time.
    ///
    /// # Errors
    /// If the server doesn't answer, or may not keep what it confirms.
    pub async fn connect(
        address: &str,
        clock: &Clock,
        nothing_issued_before: Option<Timestamp>,
    ) -> Result<RedisUsedTokens, StoreError> {
        let client = address::client(address).map_err(backend("connect"))?;
        let durability = Arc::<Durability>::default();
        let link = RedisLink::new(client.clone(), durability.clone());
        check_patiently(&link).await.map_err(backend("connect"))?;
        let random = random_bytes::<8>().map_err(backend("open"))?;
        let new = StoreState {
            id: format!("redis-{:016x}", u64::from_be_bytes(random)),
            fence: nothing_issued_before.unwrap_or_else(|| clock.now()),
            mark: clock.now(),
            epoch: 0,
            position: 0,
            branch: branch_name()?,
        };
        link.write(scripts::open(&new)).await.map_err(backend("open"))?;
        let state = read_state(&link).await.map_err(backend("open"))?;
        let state = state.ok_or("it was emptied at the same moment").map_err(backend("open"))?;
        let opened_mark = state.mark;
        clock.raise_to(opened_mark);
        let known = KnownStore::new(state);
        let queue = ClaimQueue::start(group::writers(&client, &durability), known.moved());
        Ok(RedisUsedTokens { link, queue, known, opened_mark, closed: AtomicBool::new(false) })
    }

    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// Runs a script that writes; when this returns, what it wrote is durable.
    pub(super) async fn write<T: FromRedisValue>(
        &self,
        action: &'static str,
        command: Cmd,
    ) -> Result<T, StoreError> {
        let answer = self.link.write(command).await.map_err(backend(action))?;
        from_redis_value(answer).map_err(backend(action))
    }

    /// Runs one command that only reads.
    pub(super) async fn read<T: FromRedisValue>(
        &self,
        action: &'static str,
        command: &Pipeline,
    ) -> Result<T, StoreError> {
        let mut answers = self.link.run(command).await.map_err(backend(action))?;
        from_redis_value(answers.pop().unwrap_or_default()).map_err(backend(action))
    }
}

/// Checks that Redis keeps what it confirms. A server that was just started may be rewriting its append-only
/// file, which doesn't take long.
async fn check_patiently(link: &RedisLink) -> Result<(), JudgeError> {
    let mut pauses = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..REWRITE_ATTEMPTS {
        pauses.tick().await;
        match link.check().await {
            Err(JudgeError::NotDurable(NotDurable::Incomplete)) => {}
            checked => return checked,
        }
    }
    link.check().await
}

/// Reads the state of the store; `None` if there is none.
pub(super) async fn read_state(link: &RedisLink) -> Result<Option<StoreState>, RedisError> {
    let answers = link.run(&scripts::read_state()).await?;
    let [state, branch] = <[_; 2]>::try_from(answers).map_err(|_| wrong_state())?;
    let state: Vec<Option<String>> = from_redis_value(state)?;
    let branch: Vec<String> = from_redis_value(branch)?;
    let [id, fence, mark, epoch, position] = <[_; 5]>::try_from(state).map_err(|_| wrong_state())?;
    let Some(id) = id else { return Ok(None) };
    let number = |text: Option<String>| text.and_then(|text| text.parse().ok()).ok_or_else(wrong_state);
    let time = |text| number(text).map(|seconds: i64| Timestamp::from_secs(seconds.unsigned_abs()));
    Ok(Some(StoreState {
        id,
        fence: time(fence)?,
        mark: time(mark)?,
        epoch: number(epoch)?,
        position: number(position)?,
        branch: branch.into_iter().next().unwrap_or_default(),
    }))
}

/// Returns a name for a branch.
pub(super) fn branch_name() -> Result<String, StoreError> {
    Secret::random::<12>().map(|name| name.reveal().to_owned()).map_err(backend("open"))
}

/// Returns a function that converts an error of `action` to an error of the store.
pub(super) fn backend<E>(action: &'static str) -> impl Fn(E) -> StoreError
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    move |source| StoreError::Backend { action, source: source.into() }
}

fn wrong_state() -> RedisError {
    (redis::ErrorKind::UnexpectedReturnType, "the state of the used-token store is damaged").into()
}
