//! Sends messages: to each webhook one at a time, to several webhooks at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::http_client::HttpError;
use crate::http_client::outside::OutsideClient;
use crate::telemetry::chain;
use crate::web::db::QueryError;
use crate::web::identity::AccountId;
use crate::web::webhooks::queue::{DueWebhook, TakenMessage};
use crate::web::webhooks::settle::{Attempt, Verdict};
use crate::web::webhooks::signature;
use crate::web::webhooks::store::{WebhookError, Webhooks};
use crate::web::webhooks::webhook::WebhookId;

/// How often the queue is checked: other transactions, also in other processes, add to it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Maximum number of webhooks to which messages are sent at the same time, and of one account among them.
const AT_ONCE: usize = 32;
const AT_ONCE_PER_ACCOUNT: usize = 4;

/// Maximum number of messages that are sent to a webhook before others have their turn.
const PER_TURN: usize = 20;

/// Maximum time for resolving the name and connecting, and for the whole attempt.
const CONNECT: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(15);

/// What we call ourselves.
const USER_AGENT: &str = concat!("oncelink/", env!("CARGO_PKG_VERSION"));

/// Told of each attempt, for the metrics.
pub type AttemptCounter = Arc<dyn Fn(bool) + Send + Sync>;

/// Sends messages. Cheap to clone.
#[derive(Clone)]
pub struct WebhookSender {
    webhooks: Webhooks,
    client: OutsideClient,
    clock: Clock,
    count: AttemptCounter,
}

/// The webhooks to which messages are being sent, each with its account.
#[derive(Default)]
struct Lanes {
    tasks: JoinSet<WebhookId>,
    busy: HashMap<WebhookId, AccountId>,
}

impl Lanes {
    fn has_place_for(&self, due: &DueWebhook) -> bool {
        let of_account = self.busy.values().filter(|account| **account == due.account).count();
        self.busy.len() < AT_ONCE && of_account < AT_ONCE_PER_ACCOUNT && !self.busy.contains_key(&due.id)
    }
}

impl WebhookSender {
    /// Creates a sender.
    ///
    /// # Errors
    /// If this machine's certificates for https can't be read.
    pub fn new(webhooks: Webhooks, clock: Clock, count: AttemptCounter) -> Result<WebhookSender, HttpError> {
        let client = OutsideClient::new(webhooks.rule(), CONNECT)?;
        Ok(WebhookSender { webhooks, client, clock, count })
    }

    /// Sends messages until the future is dropped. What is being sent then is sent again later.
    pub async fn run(&self) {
        let mut lanes = Lanes::default();
        let mut is_failing = false;
        loop {
            match self.start(&mut lanes).await {
                Err(error) if !is_failing => {
                    is_failing = true;
                    tracing::warn!(cause = chain(&error), "cannot read the messages for webhooks");
                }
                Err(_) => {}
                Ok(_) => is_failing = false,
            }
            tokio::select! {
                Some(ended) = lanes.tasks.join_next() => lanes.ended(ended),
                () = self.webhooks.woken() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Sends everything that is due now, once, and returns how many turns that took.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn round(&self) -> Result<usize, QueryError> {
        let mut lanes = Lanes::default();
        let mut turns = 0;
        loop {
            turns += self.start(&mut lanes).await?;
            match lanes.tasks.join_next().await {
                Some(ended) => lanes.ended(ended),
                None => return Ok(turns),
            }
        }
    }

    /// Begins to send to the webhooks to which something can be sent, and returns to how many.
    async fn start(&self, lanes: &mut Lanes) -> Result<usize, QueryError> {
        let mut started = 0;
        if lanes.busy.len() >= AT_ONCE {
            return Ok(0);
        }
        for due in self.webhooks.due(self.clock.now()).await? {
            if lanes.has_place_for(&due) {
                lanes.busy.insert(due.id.clone(), due.account.clone());
                let sender = self.clone();
                lanes.tasks.spawn(async move {
                    if let Err(error) = sender.turn(&due.id).await {
                        let cause = chain(&error);
                        tracing::warn!(webhook = %due.id, cause, "cannot send a message to a webhook");
                    }
                    due.id
                });
                started += 1;
            }
        }
        Ok(started)
    }

    /// Sends messages to a webhook, in order, as long as it accepts them.
    async fn turn(&self, webhook: &WebhookId) -> Result<(), WebhookError> {
        for _ in 0..PER_TURN {
            let now = self.clock.now();
            let Some(taken) = self.webhooks.take(webhook, now).await? else { return Ok(()) };
            let attempt = self.attempt(&taken).await;
            (self.count)(attempt.verdict() == Verdict::Accepted);
            if !self.webhooks.settle(&taken, &attempt, self.clock.now()).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn attempt(&self, taken: &TakenMessage) -> Attempt {
        let (at, began) = (self.clock.now(), Instant::now());
        let seconds = at.secs().to_string();
        let signature = signature::header(&taken.secrets, taken.id.as_str(), at, &taken.body);
        let headers = [
            ("content-type", "application/json"),
            ("user-agent", USER_AGENT),
            ("webhook-id", taken.id.as_str()),
            ("webhook-timestamp", seconds.as_str()),
            ("webhook-signature", signature.as_str()),
        ];
        let result = self.client.post(&taken.url, &headers, taken.body.clone(), began + ATTEMPT).await;
        let status = result.as_ref().ok().map(|response| response.status);
        tracing::debug!(webhook = %taken.webhook, message = %taken.id, event = taken.event, status, "sent a message");
        if let Err(error) = &result {
            tracing::debug!(webhook = %taken.webhook, cause = chain(error), "a webhook does not respond");
        }
        Attempt { at, took: began.elapsed(), result }
    }
}

impl Lanes {
    fn ended(&mut self, ended: Result<WebhookId, tokio::task::JoinError>) {
        match ended {
            Ok(webhook) => {
                self.busy.remove(&webhook);
            }
            Err(error) => {
                // It is not known whose turn it was; the reservations keep order.
                tracing::error!(cause = chain(&error), "sending to a webhook ended without a result");
                self.busy.clear();
            }
        }
    }
}
