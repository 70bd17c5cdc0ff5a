//! Sends the mails in the queue as a continuous stream. Each mail is sent independently, urgent ones first,
//! so that no mail waits for another one's recipient. No request waits for a mail to be sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::clock::{Clock, Timestamp};
use crate::reloadable::Reloadable;
use crate::web::db::QueryError;
use crate::web::mail::attempt::Attempts;
use crate::web::mail::compose::Compose;
use crate::web::mail::queue::{DueSelection, MailQueue, QueuedMail};
use crate::web::mail::way::MailWay;

/// How often the queue is checked when nobody wakes the sender: another process may have added to it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Minimum time between checks of the queue while mails are being sent, unless the sender is woken.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Maximum number of mails that are sent at the same time. The places above [`BULK`] are kept for urgent
/// mails.
const UNDER_WAY: usize = 6;
/// Maximum number of non-urgent mails among them …
const BULK: usize = 4;
/// … and of non-urgent mails to one domain.
const BULK_PER_DOMAIN: usize = 3;

/// How long a mail is reserved. The reservation is renewed while an attempt is running, so the mail of a
/// process that was killed is due again soon, and a mail that a slow server is still processing stays
/// reserved.
const RESERVED: Duration = Duration::from_secs(60);
const RENEW_EVERY: Duration = Duration::from_secs(15);

/// How long a shutdown waits for running attempts.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// Sends queued mails. Cheap to clone.
#[derive(Clone)]
pub struct MailSender {
    attempts: Attempts,
    stopping: Arc<watch::Sender<bool>>,
    /// Held while [`MailSender::run`] runs.
    running: Arc<Mutex<()>>,
}

/// A running attempt.
struct RunningAttempt {
    recipient: String,
    domain: String,
    is_urgent: bool,
}

impl MailSender {
    /// Creates a sender for the mails in `queue`, which `compose` writes.
    pub fn new(queue: MailQueue, compose: Arc<dyn Compose>, way: MailWay, clock: Clock) -> MailSender {
        MailSender {
            attempts: Attempts { queue, compose, way: Reloadable::new(way), clock, breaker: Arc::default() },
            stopping: Arc::new(watch::Sender::new(false)),
            running: Arc::default(),
        }
    }

    /// Sends mails in this way from now on. Running attempts end as they began.
    pub fn set_way(&self, way: MailWay) {
        self.attempts.way.replace(way);
        // A server that didn't work may be another one now.
        self.attempts.queue.wake();
    }

    /// Sends mails until [`MailSender::finish`] is called. If the future is dropped instead, mails with
    /// running attempts are due again when their reservations end.
    pub async fn run(&self) {
        let _running = self.running.lock().await;
        let mut stopping = self.stopping.subscribe();
        while !*stopping.borrow_and_update() {
            if let Err(error) = self.send_due(Some(&mut stopping)).await {
                let cause = crate::telemetry::chain(&error);
                tracing::warn!(cause, "cannot read the mail queue");
            }
            self.attempts.way.current().transport.close_idle();
            let rest = self.until_next().await;
            tokio::select! {
                () = self.attempts.queue.woken() => {}
                () = tokio::time::sleep(rest) => {}
                _ = stopping.changed() => {}
            }
        }
    }

    /// Stops taking mails and waits a while for running attempts. Attempts that don't finish in time are
    /// aborted and their mails given back to the queue.
    pub async fn finish(&self) {
        self.stopping.send_replace(true);
        let limit = STOP_LIMIT + Duration::from_secs(1);
        let _done_or_not = tokio::time::timeout(limit, self.running.lock()).await;
    }

    /// Tries to send every mail that is due, and returns how many attempts were made.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn round(&self) -> Result<usize, QueryError> {
        self.send_due(None).await
    }

    /// Checks whether mail is stuck, and keeps the result for the pages.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn refresh_stuck(&self) -> Result<(), QueryError> {
        self.attempts
            .queue
            .refresh_stuck(Some(self.attempts.breaker.is_open()), self.attempts.clock.now())
            .await
    }

    async fn until_next(&self) -> Duration {
        if self.attempts.breaker.is_open() {
            return Duration::from_secs(1);
        }
        match self.attempts.queue.next_due().await {
            Ok(Some(next)) => {
                next.since(self.attempts.clock.now()).clamp(Duration::from_millis(200), LOOK_EVERY)
            }
            Ok(None) | Err(_) => LOOK_EVERY,
        }
    }

    /// Sends until nothing is due, taking new mails as soon as others are done.
    async fn send_due(&self, mut stopping: Option<&mut watch::Receiver<bool>>) -> Result<usize, QueryError> {
        // Separate tasks: an attempt that waited here while holding a database connection would block the
        // next one.
        let mut attempts = JoinSet::new();
        let mut under_way: Vec<RunningAttempt> = Vec::new();
        let (mut count, mut is_stopping, mut failure) = (0, false, None);
        let mut next_start = Instant::now();
        loop {
            while !is_stopping && attempts.len() < UNDER_WAY {
                let pace = self.attempts.way.current().pace;
                if pace > Duration::ZERO && next_start > Instant::now() {
                    break;
                }
                let mail = match self.take_one(&under_way).await {
                    Ok(Some(mail)) => mail,
                    Ok(None) => break,
                    Err(error) => {
                        (failure, is_stopping) = (Some(error), true);
                        break;
                    }
                };
                next_start = next_start.max(Instant::now()) + pace;
                count += 1;
                let domain = mail.domain();
                let recipient = mail.recipient.as_str().to_owned();
                under_way.push(RunningAttempt { recipient, domain, is_urgent: mail.kind.is_urgent() });
                let sender = self.clone();
                attempts.spawn(async move { sender.attempt(mail).await });
            }
            if attempts.is_empty() && (is_stopping || next_start <= Instant::now()) {
                return failure.map_or(Ok(count), Err);
            }
            // A postponed mail may be due again before any of the running attempts ends.
            let look_again = self.until_next().await.max(LOOK_AGAIN);
            let stop = async {
                match &mut stopping {
                    Some(stopping) if !is_stopping => {
                        let _told_or_gone = stopping.wait_for(|stop| *stop).await;
                    }
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(ended) = attempts.join_next() => {
                    let Ok((recipient, is_urgent, outcome)) = ended else {
                        tracing::error!("an attempt to send a mail ended without a result");
                        is_stopping = true;
                        continue;
                    };
                    let done = |other: &RunningAttempt| other.recipient == recipient && other.is_urgent == is_urgent;
                    if let Some(place) = under_way.iter().position(done) {
                        under_way.swap_remove(place);
                    }
                    // Running attempts are not aborted, because the server may already have their mails.
                    if let Err(error) = outcome {
                        (failure, is_stopping) = (Some(error), true);
                    }
                }
                () = tokio::time::sleep(look_again), if !is_stopping => {}
                () = tokio::time::sleep_until(next_start), if !is_stopping && next_start > Instant::now() => {}
                () = self.attempts.queue.woken(), if !is_stopping => {}
                () = stop => is_stopping = true,
            }
        }
    }

    /// Returns the next mail to send, urgent ones first; `None` if none is due or none may be sent now.
    async fn take_one(&self, under_way: &[RunningAttempt]) -> Result<Option<QueuedMail>, QueryError> {
        let now = self.attempts.clock.now();
        if self.attempts.queue.was_asked_to_try_now() {
            self.attempts.breaker.end_pause(now);
        }
        if !self.attempts.breaker.admits(now) {
            return Ok(None);
        }
        let taken = self.select(under_way, now).await;
        if !matches!(taken, Ok(Some(_))) {
            self.attempts.breaker.undecided();
        }
        taken
    }

    async fn select(
        &self,
        under_way: &[RunningAttempt],
        now: Timestamp,
    ) -> Result<Option<QueuedMail>, QueryError> {
        let reserved_until = now.plus(RESERVED);
        let recipients = |is_urgent: bool| {
            let same = under_way.iter().filter(move |one| one.is_urgent == is_urgent);
            same.map(|one| one.recipient.clone()).collect::<Vec<_>>()
        };
        let urgent = DueSelection {
            is_urgent: true,
            busy_recipients: recipients(true),
            busy_domains: Vec::new(),
            limit: 1,
        };
        if let Some(mail) = self.attempts.queue.take(&urgent, reserved_until, now).await?.pop() {
            return Ok(Some(mail));
        }
        let bulk: Vec<&RunningAttempt> = under_way.iter().filter(|one| !one.is_urgent).collect();
        if bulk.len() >= BULK {
            return Ok(None);
        }
        let has_its_share = |one: &&&RunningAttempt| {
            bulk.iter().filter(|other| other.domain == one.domain).count() >= BULK_PER_DOMAIN
        };
        let busy_domains = bulk.iter().filter(has_its_share).map(|one| one.domain.clone()).collect();
        let rest =
            DueSelection { is_urgent: false, busy_recipients: recipients(false), busy_domains, limit: 1 };
        Ok(self.attempts.queue.take(&rest, reserved_until, now).await?.pop())
    }

    /// Makes one attempt, renewing its reservation while it runs. Gives the mail back if the attempt can't
    /// finish before a shutdown.
    async fn attempt(&self, mail: QueuedMail) -> (String, bool, Result<(), QueryError>) {
        let (recipient, is_urgent) = (mail.recipient.as_str().to_owned(), mail.kind.is_urgent());
        let outcome = tokio::select! {
            outcome = self.attempts.deliver(mail.clone()) => outcome,
            () = self.until_reservation_lost(&mail) => {
                self.attempts.breaker.undecided();
                tracing::warn!(mail = %mail.id, "an attempt lost its reservation and was aborted");
                Ok(())
            }
            () = self.out_of_time() => {
                self.attempts.breaker.undecided();
                self.attempts.queue.give_back(&mail).await
            }
        };
        (recipient, is_urgent, outcome)
    }

    /// Completes when the mail's reservation could not be renewed in time.
    async fn until_reservation_lost(&self, mail: &QueuedMail) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            match self.attempts.queue.renew(mail, self.attempts.clock.now().plus(RESERVED)).await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) => return,
                Err(_) if renewed.elapsed() + RENEW_EVERY >= RESERVED => return,
                Err(_) => {}
            }
        }
    }

    /// Completes when a shutdown has waited long enough.
    async fn out_of_time(&self) {
        let mut stopping = self.stopping.subscribe();
        if stopping.wait_for(|stop| *stop).await.is_err() {
            return std::future::pending().await;
        }
        tokio::time::sleep(STOP_LIMIT).await;
    }
}
