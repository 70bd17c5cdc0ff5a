//! Sends what waits in the queue, as a stream: each mail for itself, urgent ones first, so that no mail
//! waits for another one's recipient. No request waits for it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lettre::Message;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::clock::{Clock, Timestamp};
use crate::web::db::QueryError;
use crate::web::identity::Email;
use crate::web::mail::breaker::Breaker;
use crate::web::mail::letters::Letter;
use crate::web::mail::message::{Envelope, MailHeaders};
use crate::web::mail::queue::{Queue, Queued, Selection};
use crate::web::mail::transport::{SendError, Transport};
use crate::web::mail::verdict::Fault;

/// How often the queue is looked at where nobody calls: another process may have added to it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How often it is looked at while mails are under way.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often it is tried to record that a mail has left, a second apart.
const RECORD_TRIES: usize = 30;

/// Mails under way at once; the rest is kept for urgent ones.
const UNDER_WAY: usize = 6;
/// Of these, mails that nobody is waiting for …
const BULK: usize = 4;
/// … and those to one domain.
const BULK_PER_DOMAIN: usize = 3;

/// A mail is reserved for this long, and the reservation is renewed while its attempt goes on: a mail
/// that a killed process had is due again soon, and one that a server thinks about for long stays ours.
const RESERVED: Duration = Duration::from_secs(60);
const RENEW_EVERY: Duration = Duration::from_secs(15);

/// A stop waits this long for what is under way.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// How long to wait after each failed attempt, in seconds; the last one repeats.
const WAITS: [u64; 7] = [10, 30, 60, 5 * 60, 15 * 60, 60 * 60, 3 * 60 * 60];

/// A mail that the server refuses so often is given up.
const REFUSALS: u32 = 3;

/// A mail that could not be sent for this long is given up.
const GIVE_UP: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Composing a mail failed.
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
    /// What its header says beside the usual.
    pub headers: MailHeaders,
}

impl Addressed {
    /// With the usual header.
    pub fn new(to: Email, letter: Letter) -> Addressed {
        Addressed { to, letter, headers: MailHeaders::default() }
    }
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

    /// The mail server took the mail: what it brings counts from now on.
    ///
    /// # Errors
    /// When that can't be recorded; the mail has left all the same.
    async fn accepted(&self, mail: &Queued, now: Timestamp) -> Result<(), ComposeError>;
}

/// Sends what waits. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    queue: Queue,
    compose: Arc<dyn Compose>,
    envelope: Envelope,
    transport: Transport,
    clock: Clock,
    /// The least time between the beginnings of two attempts; zero for no limit.
    pace: Duration,
    breaker: Arc<Breaker>,
    stopping: Arc<watch::Sender<bool>>,
    /// Held while [`Sender::run`] runs.
    running: Arc<Mutex<()>>,
}

/// An attempt that is under way.
struct UnderWay {
    recipient: String,
    domain: String,
    is_urgent: bool,
}

impl Sender {
    /// Sends mails of `queue` as `compose` writes them; at most `per_second` a second, unless that is 0.
    pub fn new(
        queue: Queue,
        compose: Arc<dyn Compose>,
        envelope: Envelope,
        transport: Transport,
        clock: Clock,
        per_second: u32,
    ) -> Sender {
        let pace = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        Sender {
            queue,
            compose,
            envelope,
            transport,
            clock,
            pace,
            breaker: Arc::default(),
            stopping: Arc::new(watch::Sender::new(false)),
            running: Arc::default(),
        }
    }

    /// Sends until [`Sender::finish`] is called. If it is dropped instead, what was under way is due again
    /// when its reservation ends.
    pub async fn run(&self) {
        let _running = self.running.lock().await;
        let mut stopping = self.stopping.subscribe();
        while !*stopping.borrow_and_update() {
            if let Err(error) = self.send_due(Some(&mut stopping)).await {
                let cause = crate::telemetry::chain(&error);
                tracing::warn!(cause, "cannot look into the mail queue");
            }
            self.transport.close_idle();
            let rest = self.until_next().await;
            tokio::select! {
                () = self.queue.woken() => {}
                () = tokio::time::sleep(rest) => {}
                _ = stopping.changed() => {}
            }
        }
    }

    /// Takes nothing new, and waits a while for what is under way. What is not done then is given back.
    pub async fn finish(&self) {
        self.stopping.send_replace(true);
        let limit = STOP_LIMIT + Duration::from_secs(1);
        let _done_or_not = tokio::time::timeout(limit, self.running.lock()).await;
    }

    /// Tries what is due, once, and returns how many mails that were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn round(&self) -> Result<usize, QueryError> {
        self.send_due(None).await
    }

    /// Looks whether mail is stuck, and keeps what it saw for the pages.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn look_for_stuck(&self) -> Result<(), QueryError> {
        self.queue.look_for_stuck(Some(self.breaker.is_open()), self.clock.now()).await
    }

    async fn until_next(&self) -> Duration {
        if self.breaker.is_open() {
            return Duration::from_secs(1);
        }
        match self.queue.next_due().await {
            Ok(Some(next)) => next.since(self.clock.now()).clamp(Duration::from_millis(200), LOOK_EVERY),
            Ok(None) | Err(_) => LOOK_EVERY,
        }
    }

    /// Sends until nothing is due, with new mails taken as soon as others are done.
    async fn send_due(&self, mut stopping: Option<&mut watch::Receiver<bool>>) -> Result<usize, QueryError> {
        // Tasks of their own: an attempt that waits here with a database connection would block the next.
        let mut attempts = JoinSet::new();
        let mut under_way: Vec<UnderWay> = Vec::new();
        let (mut count, mut is_stopping, mut failure) = (0, false, None);
        let mut next_start = Instant::now();
        loop {
            while !is_stopping && attempts.len() < UNDER_WAY {
                if self.pace > Duration::ZERO && next_start > Instant::now() {
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
                next_start = next_start.max(Instant::now()) + self.pace;
                count += 1;
                let domain = mail.domain();
                let recipient = mail.recipient.as_str().to_owned();
                under_way.push(UnderWay { recipient, domain, is_urgent: mail.kind.is_urgent() });
                let sender = self.clone();
                attempts.spawn(async move { sender.carry(mail).await });
            }
            if attempts.is_empty() && (is_stopping || next_start <= Instant::now()) {
                return failure.map_or(Ok(count), Err);
            }
            // What was put off may be due again before anything that is under way ends.
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
                    let done = |other: &UnderWay| other.recipient == recipient && other.is_urgent == is_urgent;
                    if let Some(place) = under_way.iter().position(done) {
                        under_way.swap_remove(place);
                    }
                    // Those that are under way are not cut off: the server may have them already.
                    if let Err(error) = outcome {
                        (failure, is_stopping) = (Some(error), true);
                    }
                }
                () = tokio::time::sleep(look_again), if !is_stopping => {}
                () = tokio::time::sleep_until(next_start), if !is_stopping && next_start > Instant::now() => {}
                () = self.queue.woken(), if !is_stopping => {}
                () = stop => is_stopping = true,
            }
        }
    }

    /// The next mail to try, urgent ones first; `None` when none is due, or none may be tried now.
    async fn take_one(&self, under_way: &[UnderWay]) -> Result<Option<Queued>, QueryError> {
        let now = self.clock.now();
        if self.queue.was_asked_to_try_now() {
            self.breaker.end_pause(now);
        }
        if !self.breaker.admits(now) {
            return Ok(None);
        }
        let taken = self.select(under_way, now).await;
        if !matches!(taken, Ok(Some(_))) {
            self.breaker.undecided();
        }
        taken
    }

    async fn select(&self, under_way: &[UnderWay], now: Timestamp) -> Result<Option<Queued>, QueryError> {
        let reserved_until = now.plus(RESERVED);
        let recipients = |is_urgent: bool| {
            let same = under_way.iter().filter(move |one| one.is_urgent == is_urgent);
            same.map(|one| one.recipient.clone()).collect::<Vec<_>>()
        };
        let urgent = Selection {
            is_urgent: true,
            busy_recipients: recipients(true),
            busy_domains: Vec::new(),
            limit: 1,
        };
        if let Some(mail) = self.queue.take(&urgent, reserved_until, now).await?.pop() {
            return Ok(Some(mail));
        }
        let bulk: Vec<&UnderWay> = under_way.iter().filter(|one| !one.is_urgent).collect();
        if bulk.len() >= BULK {
            return Ok(None);
        }
        let has_its_share = |one: &&&UnderWay| {
            bulk.iter().filter(|other| other.domain == one.domain).count() >= BULK_PER_DOMAIN
        };
        let busy_domains = bulk.iter().filter(has_its_share).map(|one| one.domain.clone()).collect();
        let rest = Selection { is_urgent: false, busy_recipients: recipients(false), busy_domains, limit: 1 };
        Ok(self.queue.take(&rest, reserved_until, now).await?.pop())
    }

    /// One attempt, with its reservation renewed while it goes on, and given back if it can't end in time.
    async fn carry(&self, mail: Queued) -> (String, bool, Result<(), QueryError>) {
        let (recipient, is_urgent) = (mail.recipient.as_str().to_owned(), mail.kind.is_urgent());
        let outcome = tokio::select! {
            outcome = self.deliver(mail.clone()) => outcome,
            () = self.lose(&mail) => {
                self.breaker.undecided();
                tracing::warn!(mail = mail.id, "an attempt lost its mail, and was given up");
                Ok(())
            }
            () = self.out_of_time() => {
                self.breaker.undecided();
                self.queue.give_back(&mail).await
            }
        };
        (recipient, is_urgent, outcome)
    }

    /// Ends when the mail's reservation could not be renewed in time.
    async fn lose(&self, mail: &Queued) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            match self.queue.renew(mail, self.clock.now().plus(RESERVED)).await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) => return,
                Err(_) if renewed.elapsed() + RENEW_EVERY >= RESERVED => return,
                Err(_) => {}
            }
        }
    }

    /// Ends when a stop has waited long enough.
    async fn out_of_time(&self) {
        let mut stopping = self.stopping.subscribe();
        if stopping.wait_for(|stop| *stop).await.is_err() {
            return std::future::pending().await;
        }
        tokio::time::sleep(STOP_LIMIT).await;
    }

    async fn deliver(&self, mail: Queued) -> Result<(), QueryError> {
        let message = match self.message(&mail).await {
            Ok(Some(message)) => message,
            Ok(None) => {
                self.breaker.undecided();
                tracing::info!(jti = %mail.jti, kind = mail.kind.word(), "a mail has nothing to say any more");
                return self.queue.forget(&mail.id).await;
            }
            Err((fault, problem)) => {
                self.breaker.undecided();
                return self.did_not_leave(mail, fault, &problem).await;
            }
        };
        let file_name = outbox_name(&mail);
        match self.transport.send(&file_name, &message).await {
            Ok(answer) => {
                let now = self.clock.now();
                let (kind, domain) = (mail.kind.word(), mail.domain());
                tracing::info!(jti = %mail.jti, kind, domain, answer, "mail sent");
                self.record(&mail, &answer, now).await?;
                if let Err(error) = self.compose.accepted(&mail, now).await {
                    let cause = crate::telemetry::chain(&error);
                    tracing::warn!(jti = %mail.jti, cause, "cannot start the time of what a mail brings");
                }
                self.server_works().await
            }
            Err(error) => self.failed(mail, &error).await,
        }
    }

    /// Records that a mail has left. What is not recorded would be sent again, so this is tried for a while.
    async fn record(&self, mail: &Queued, answer: &str, now: Timestamp) -> Result<(), QueryError> {
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

    async fn failed(&self, mail: Queued, error: &SendError) -> Result<(), QueryError> {
        let problem = error.problem();
        if error.is_about_the_server() {
            let was_open = self.breaker.is_open();
            let next_at = self.breaker.failed(error.fault(), self.clock.now());
            if !was_open {
                tracing::error!("mails wait for the mail server: {problem}");
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

    /// The mail to send; `None` where there is nothing to say any more.
    async fn message(&self, mail: &Queued) -> Result<Option<Message>, (Fault, String)> {
        let now = self.clock.now();
        let addressed = self.compose.compose(mail, now).await.map_err(|error| {
            tracing::warn!(jti = %mail.jti, cause = crate::telemetry::chain(&error), "cannot write a letter");
            (Fault::Later, "the letter could not be written".to_owned())
        })?;
        let Some(Addressed { to, letter, headers }) = addressed else { return Ok(None) };
        // What can't be put together now will not be later.
        let rendered =
            letter.render(&self.envelope.host, now).map_err(|error| (Fault::Mailbox, error.to_string()))?;
        let message = self.envelope.message(&mail.id, to.as_str(), rendered, &headers, now);
        message.map(Some).map_err(|error| (Fault::Mailbox, error.to_string()))
    }

    async fn did_not_leave(&self, mut mail: Queued, fault: Fault, problem: &str) -> Result<(), QueryError> {
        let now = self.clock.now();
        if fault == Fault::Refused {
            mail.refusals = mail.refusals.saturating_add(1);
        }
        let is_over =
            fault == Fault::Mailbox || mail.refusals >= REFUSALS || now >= mail.queued_at.plus(GIVE_UP);
        if is_over {
            return self.give_up(&mail, fault, problem).await;
        }
        let wait = usize::try_from(mail.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let wait = WAITS.get(wait).or(WAITS.last()).copied().unwrap_or(60);
        let (kind, domain) = (mail.kind.word(), mail.domain());
        tracing::warn!(jti = %mail.jti, kind, domain, wait, "a mail could not be sent: {problem}");
        self.queue.again(&mail, fault, problem, now.plus(Duration::from_secs(wait))).await
    }

    async fn give_up(&self, mail: &Queued, fault: Fault, problem: &str) -> Result<(), QueryError> {
        let (kind, domain) = (mail.kind.word(), mail.domain());
        tracing::error!(jti = %mail.jti, kind, domain, "a mail was given up: {problem}");
        self.queue.failed(mail, fault, problem, self.clock.now()).await
    }
}

/// A file name that sorts by time and tells what the mail is.
fn outbox_name(mail: &Queued) -> String {
    let at: String = mail.queued_at.to_string().chars().filter(|c| *c != ':').collect();
    let safe = |c: char| if c.is_alphanumeric() || "@.-_+".contains(c) { c } else { '_' };
    let recipient: String = mail.recipient.as_str().chars().map(safe).take(40).collect();
    format!("{at}-{}-{recipient}-{}", mail.kind.word(), mail.id)
}
