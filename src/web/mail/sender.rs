//! Sends what waits in the queue, again and again until it is sent or given up. No request waits for it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;

use crate::clock::{Clock, Timestamp};
use crate::web::account::Email;
use crate::web::db::QueryError;
use crate::web::mail::letters::Letter;
use crate::web::mail::message::Envelope;
use crate::web::mail::queue::{Queue, Queued};
use crate::web::mail::transport::Transport;

/// How often the queue is looked at where nobody calls: another process may have added to it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How many mails are taken at once, and how many of them are under way at once.
const TAKEN: u32 = 16;
const UNDER_WAY: usize = 4;

/// A mail that was taken is nobody else's for so long; longer than any mail server may take.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// How long to wait after each failed attempt; the last one repeats.
const WAITS: [u64; 7] = [10, 30, 60, 5 * 60, 15 * 60, 60 * 60, 3 * 60 * 60];

/// A mail that could not be sent for so long is given up.
const GIVE_UP: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// It could not be said what a mail says.
#[derive(Debug, thiserror::Error)]
#[error("cannot write a letter")]
pub struct ComposeError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl ComposeError {
    /// For that cause.
    pub fn new(cause: impl std::error::Error + Send + Sync + 'static) -> ComposeError {
        ComposeError(cause.into())
    }
}

/// A letter and its recipient.
#[derive(Clone, Debug)]
pub struct Addressed {
    /// To whom it goes.
    pub to: Email,
    /// What it says.
    pub letter: Letter,
}

/// Says what queued mails say, and to whom.
#[async_trait]
pub trait Compose: Send + Sync {
    /// The letter, at the moment of its sending; `None` when there is nothing to say any more.
    ///
    /// What concerns an account goes to the address that the account has, not to the spelling that
    /// somebody typed: spellings that count as one account may be different mailboxes.
    ///
    /// # Errors
    /// When that can't be found out now; the mail is tried again.
    async fn compose(&self, mail: &Queued, now: Timestamp) -> Result<Option<Addressed>, ComposeError>;
}

/// Sends what waits. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    /// What waits.
    pub queue: Queue,
    /// What it says.
    pub compose: Arc<dyn Compose>,
    /// How it looks.
    pub envelope: Envelope,
    /// How it leaves.
    pub transport: Transport,
    /// The present moment.
    pub clock: Clock,
}

impl Sender {
    /// Sends for ever. Ends when it is dropped; what was under way then is tried again later.
    pub async fn run(&self) {
        loop {
            match self.round().await {
                Ok(taken) if taken == TAKEN as usize => {}
                Ok(_) => {
                    let _woken_or_not = tokio::time::timeout(LOOK_EVERY, self.queue.woken()).await;
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot look into the mail queue"
                    );
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Tries what is due, once, and answers how many mails that were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn round(&self) -> Result<usize, QueryError> {
        let taken = self.queue.take(TAKEN, PATIENCE, self.clock.now()).await?;
        let count = taken.len();
        let mut outcomes = futures_util::stream::iter(taken.into_iter().map(|mail| self.deliver(mail)))
            .buffer_unordered(UNDER_WAY);
        while let Some(outcome) = outcomes.next().await {
            outcome?;
        }
        Ok(count)
    }

    async fn deliver(&self, mail: Queued) -> Result<(), QueryError> {
        let now = self.clock.now();
        let Addressed { to, letter } = match self.compose.compose(&mail, now).await {
            Ok(Some(addressed)) => addressed,
            Ok(None) => {
                tracing::debug!(mail = mail.id, kind = mail.kind.word(), "nothing to send any more");
                return self.queue.forget(&mail.id).await;
            }
            Err(error) => {
                tracing::warn!(
                    mail = mail.id,
                    cause = crate::telemetry::chain(&error),
                    "cannot write a letter"
                );
                return self.again(&mail, "the letter could not be written", now).await;
            }
        };
        let message = letter.render(&self.envelope.host).map_err(|error| error.to_string());
        let message = message.and_then(|rendered| {
            let made = self.envelope.message(&mail.id, to.as_str(), rendered, now);
            made.map_err(|error| error.to_string())
        });
        let message = match message {
            Ok(message) => message,
            // It will not become better.
            Err(problem) => return self.give_up(&mail, &problem, now).await,
        };
        match self.transport.send(&mail.id, message).await {
            Ok(()) => {
                tracing::debug!(mail = mail.id, kind = mail.kind.word(), "mail sent");
                self.queue.sent(&mail.id, self.clock.now()).await
            }
            Err(error) if error.is_final() => self.give_up(&mail, &error.problem(), now).await,
            Err(error) => self.again(&mail, &error.problem(), now).await,
        }
    }

    async fn again(&self, mail: &Queued, problem: &str, now: Timestamp) -> Result<(), QueryError> {
        if now >= mail.queued_at.plus(GIVE_UP) {
            return self.give_up(mail, problem, now).await;
        }
        let wait = usize::try_from(mail.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let wait = WAITS.get(wait).or(WAITS.last()).copied().unwrap_or(60);
        tracing::warn!(mail = mail.id, kind = mail.kind.word(), wait, "a mail could not be sent: {problem}");
        self.queue.again(&mail.id, problem, now.plus(Duration::from_secs(wait))).await
    }

    async fn give_up(&self, mail: &Queued, problem: &str, now: Timestamp) -> Result<(), QueryError> {
        tracing::error!(mail = mail.id, kind = mail.kind.word(), "a mail was given up: {problem}");
        self.queue.failed(&mail.id, problem, now).await
    }
}
