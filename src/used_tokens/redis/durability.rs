//! Whether Redis keeps what it confirms. An operator may change its settings while it runs, so they are read
//! in the same transaction as each write, and shortly before it, so that the write hardly ever comes too late.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::{InfoDict, Pipeline, RedisError, Value, from_redis_value};

/// The settings that must have these values. The last one keeps Redis syncing while it rewrites its
/// append-only file.
const REQUIRED: [(&str, &str); 4] = [
    ("appendonly", "yes"),
    ("appendfsync", "always"),
    ("maxmemory-policy", "noeviction"),
    ("no-appendfsync-on-rewrite", "no"),
];

/// Redis may not keep what it confirms.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotDurable {
    /// Its settings don't ensure it.
    #[error(
        "Redis may lose what it confirms: {0}; set `appendonly yes`, `appendfsync always`, \
         `maxmemory-policy noeviction` and `no-appendfsync-on-rewrite no` in its configuration"
    )]
    Configuration(String),
    /// Its file isn't complete yet after `appendonly` was turned on.
    #[error("Redis may lose what it confirms until its append-only file is complete")]
    Incomplete,
}

/// What is known about a server. Shared by the connections to it.
#[derive(Debug)]
pub(super) struct Durability {
    /// Whether `appendonly` may have been off before. Its file is complete only after the next rewrite then.
    unsure: AtomicBool,
}

impl Default for Durability {
    fn default() -> Durability {
        Durability { unsure: AtomicBool::new(true) }
    }
}

impl Durability {
    /// Returns whether a write would have to be preceded by a check.
    pub(super) fn is_unsure(&self) -> bool {
        self.unsure.load(Ordering::Acquire)
    }

    /// Judges the answers to [`ask_settings`]; the remaining answers are returned.
    pub(super) fn judge_settings(&self, mut answers: Vec<Value>) -> Result<Vec<Value>, JudgeError> {
        let others = answers.split_off(answers.len().min(REQUIRED.len()));
        let mut wrong = Vec::new();
        for ((name, required), answer) in REQUIRED.iter().zip(answers) {
            let found: HashMap<String, String> = from_redis_value(answer).map_err(RedisError::from)?;
            match found.get(*name) {
                Some(value) if value == required => {}
                Some(value) => wrong.push(format!("`{name}` is `{value}`")),
                None => wrong.push(format!("`{name}` is unknown")),
            }
        }
        if wrong.is_empty() {
            return Ok(others);
        }
        self.unsure.store(true, Ordering::Release);
        Err(NotDurable::Configuration(wrong.join(", ")).into())
    }

    /// Judges the answer to [`ask_persistence`], after the settings were found right.
    pub(super) fn judge_persistence(&self, answer: Value) -> Result<(), JudgeError> {
        let info: InfoDict = from_redis_value(answer).map_err(RedisError::from)?;
        let is = |key: &str, value: &str| info.get::<String>(key).is_some_and(|found| found == value);
        let is_written = is("aof_enabled", "1") && is("aof_last_write_status", "ok");
        let is_complete = is("aof_rewrite_in_progress", "0")
            && is("aof_rewrite_scheduled", "0")
            && is("aof_last_bgrewrite_status", "ok");
        if !is_written || (self.is_unsure() && !is_complete) {
            return Err(NotDurable::Incomplete.into());
        }
        self.unsure.store(false, Ordering::Release);
        Ok(())
    }
}

/// A write is not certain to be durable.
#[derive(Debug, thiserror::Error)]
pub(super) enum JudgeError {
    #[error(transparent)]
    NotDurable(#[from] NotDurable),
    #[error(transparent)]
    Redis(#[from] RedisError),
}

/// Adds questions for the settings.
pub(super) fn ask_settings(pipeline: &mut Pipeline) {
    for (name, _) in REQUIRED {
        pipeline.cmd("CONFIG").arg("GET").arg(name);
    }
}

/// Adds a question for the state of the append-only file.
pub(super) fn ask_persistence(pipeline: &mut Pipeline) {
    pipeline.cmd("INFO").arg("persistence");
}
