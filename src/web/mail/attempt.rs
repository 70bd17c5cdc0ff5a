//! One attempt to send a mail: writes the mail, hands it to the mail server and records the result.

use std::sync::Arc;
use std::time::Duration;

use lettre::Message;

use crate::clock::{Clock, Timestamp};
use crate::reloadable::Reloadable;
use crate::web::db::QueryError;
use crate::web::mail::circuit_breaker::{CircuitBreaker, nth_wait};
use crate::web::mail::compose::{AddressedLetter, Compose};
use crate::web::mail::message::MessageComposer;
use crate::web::mail::queue::{MailQueue, QueuedMail};
use crate::web::mail::transport::SendError;
use crate::web::mail::verdict::MailFault;
use crate::web::mail::way::MailWay;

/// How many times recording that a mail was sent is tried, one second apart.
const RECORD_TRIES: usize = 30;

/// How long to wait after each failed attempt, in seconds; the last value repeats.
const WAITS: [u64; 7] = [10, 30, 60, 5 * 60, 15 * 60, 60 * 60, 3 * 60 * 60];

/// After this many refusals by the server, a mail is given up.
const REFUSALS: u32 = 3;

/// A mail that could not be sent for this long is given up.
const GIVE_UP: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Makes attempts to send mails. Clones share their state.
#[derive(Clone)]
pub(super) struct Attempts {
    pub(super) queue: MailQueue,
    pub(super) compose: Arc<dyn Compose>,
    pub(super) way: Reloadable<MailWay>,
    pub(super) clock: Clock,
    pub(super) breaker: Arc<CircuitBreaker>,
}

impl Attempts {
    /// Sends a mail that was taken from the queue, and records the result.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn deliver(&self, mail: QueuedMail) -> Result<(), QueryError> {
        let way = self.way.current();
        let message = match self.message(&mail, &way.envelope).await {
            Ok(Some(message)) => message,
            Ok(None) => {
                self.breaker.undecided();
                tracing::info!(jti = %mail.jti, kind = mail.kind.as_str(), "dropped an email that is no longer needed");
                return self.queue.forget(&mail.id).await;
            }
            Err((fault, problem)) => {
                self.breaker.undecided();
                return self.did_not_leave(mail, fault, &problem).await;
            }
        };
        let file_name = outbox_name(&mail);
        match way.transport.send(&file_name, &message).await {
            Ok(answer) => {
                let now = self.clock.now();
                let (kind, domain) = (mail.kind.as_str(), mail.domain());
                tracing::info!(jti = %mail.jti, kind, domain, answer, "mail sent");
                self.record(&mail, &answer, now).await?;
                if let Err(error) = self.compose.accepted(&mail, now).await {
                    let cause = crate::telemetry::chain(&error);
                    tracing::warn!(jti = %mail.jti, cause, "cannot start the lifetime of the link or code in an email");
                }
                self.server_works().await
            }
            Err(error) => self.failed(mail, &error).await,
        }
    }

    /// Records that a mail was sent. Without the record it would be sent again, so this is retried for a
    /// while.
    async fn record(&self, mail: &QueuedMail, answer: &str, now: Timestamp) -> Result<(), QueryError> {
        for _ in 1..RECORD_TRIES {
            match self.queue.sent(mail, answer, now).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    let cause = crate::telemetry::chain(&error);
                    tracing::warn!(jti = %mail.jti, cause, "cannot record that a mail was sent; trying again");
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.queue.sent(mail, answer, now).await
    }

    async fn server_works(&self) -> Result<(), QueryError> {
        if self.breaker.succeeded() {
            let due = self.queue.release(self.clock.now()).await?;
            tracing::info!(due, "the mail server works again");
        }
        Ok(())
    }

    async fn failed(&self, mail: QueuedMail, error: &SendError) -> Result<(), QueryError> {
        let problem = error.problem();
        if error.is_about_the_server() {
            let was_open = self.breaker.is_open();
            let next_at = self.breaker.failed(error.fault(), self.clock.now());
            if !was_open {
                tracing::error!("the mail server is failing; emails are waiting: {problem}");
            }
            let is_too_old = self.clock.now() >= mail.queued_at.plus(GIVE_UP);
            return match is_too_old {
                true => self.give_up(&mail, error.fault(), &problem).await,
                false => self.queue.again(&mail, error.fault(), &problem, next_at).await,
            };
        }
        self.server_works().await?;
        self.did_not_leave(mail, error.fault(), &problem).await
    }

    /// Returns the message to send; `None` if there is nothing to say any more.
    async fn message(
        &self,
        mail: &QueuedMail,
        envelope: &MessageComposer,
    ) -> Result<Option<Message>, (MailFault, String)> {
        let now = self.clock.now();
        let addressed = self.compose.compose(mail, now).await.map_err(|error| {
            tracing::warn!(jti = %mail.jti, cause = crate::telemetry::chain(&error), "cannot compose the email");
            (MailFault::Later, "the email could not be composed".to_owned())
        })?;
        let Some(AddressedLetter { to, letter, headers }) = addressed else { return Ok(None) };
        // Errors from here on are permanent: a later attempt would fail in the same way.
        let rendered = letter
            .render(&envelope.host, &envelope.brand, now)
            .map_err(|error| (MailFault::Mailbox, error.to_string()))?;
        let message = envelope.message(mail.id.as_str(), to.as_str(), rendered, &headers, now);
        message.map(Some).map_err(|error| (MailFault::Mailbox, error.to_string()))
    }

    async fn did_not_leave(
        &self,
        mut mail: QueuedMail,
        fault: MailFault,
        problem: &str,
    ) -> Result<(), QueryError> {
        let now = self.clock.now();
        if fault == MailFault::Refused {
            mail.refusals = mail.refusals.saturating_add(1);
        }
        let is_over =
            fault == MailFault::Mailbox || mail.refusals >= REFUSALS || now >= mail.queued_at.plus(GIVE_UP);
        if is_over {
            return self.give_up(&mail, fault, problem).await;
        }
        let failures = usize::try_from(mail.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let wait = nth_wait(&WAITS, failures);
        let (kind, domain) = (mail.kind.as_str(), mail.domain());
        tracing::warn!(jti = %mail.jti, kind, domain, wait = wait.as_secs(), "a mail could not be sent: {problem}");
        self.queue.again(&mail, fault, problem, now.plus(wait)).await
    }

    async fn give_up(&self, mail: &QueuedMail, fault: MailFault, problem: &str) -> Result<(), QueryError> {
        let (kind, domain) = (mail.kind.as_str(), mail.domain());
        tracing::error!(jti = %mail.jti, kind, domain, "gave up sending an email: {problem}");
        self.queue.failed(mail, fault, problem, self.clock.now()).await
    }
}

/// Returns a file name that sorts by time and describes the mail.
fn outbox_name(mail: &QueuedMail) -> String {
    let at: String = mail.queued_at.to_string().chars().filter(|c| *c != ':').collect();
    let safe = |c: char| if c.is_alphanumeric() || "@.-_+".contains(c) { c } else { '_' };
    let recipient: String = mail.recipient.as_str().chars().map(safe).take(40).collect();
    format!("{at}-{}-{recipient}-{}", mail.kind.as_str(), mail.id)
}
