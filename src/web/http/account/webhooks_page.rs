//! The pages of a person's webhooks.

use std::collections::BTreeSet;

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::web::http::layout::{Chrome, Section};
use crate::web::webhooks::event::EventKind;
use crate::web::webhooks::messages::{ListedAttempt, ListedMessage};
use crate::web::webhooks::webhook::{MessageId, MessageState, Webhook, WebhookState};

/// A webhook.
#[derive(Clone, Debug)]
pub struct WebhookRow {
    /// Its id.
    pub id: String,
    /// Its address.
    pub url: String,
    /// Whether messages are sent.
    pub state: WebhookState,
    /// What it is told.
    pub events: Vec<&'static str>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Number of messages that wait.
    pub waiting: u64,
    /// Number of messages that were not recorded because too many waited.
    pub missed: u64,
    /// Since when it fails, and when the next attempt is made.
    pub failing: Option<(Timestamp, Timestamp)>,
}

impl WebhookRow {
    pub(crate) fn of(webhook: &Webhook) -> WebhookRow {
        WebhookRow {
            id: webhook.id.as_str().to_owned(),
            url: webhook.url.clone(),
            state: webhook.state,
            events: webhook.events.iter().map(|kind| kind.as_str()).collect(),
            created_at: webhook.created_at,
            waiting: webhook.waiting,
            missed: webhook.missed,
            failing: webhook.failing_since.map(|since| (since, webhook.next_at)),
        }
    }

    fn is_on(&self) -> bool {
        self.state == WebhookState::On
    }

    fn tag(&self) -> &'static str {
        match (self.state, self.failing) {
            (WebhookState::Paused, _) => "paused",
            (WebhookState::Disabled, _) => "turned off",
            (WebhookState::On, Some(_)) => "failing",
            (WebhookState::On, None) => "on",
        }
    }

    fn is_off(&self) -> bool {
        !self.is_on() || self.failing.is_some()
    }

    fn missed(&self) -> String {
        human::counted(self.missed, "message")
    }

    fn waits(&self) -> String {
        match self.waiting {
            0 => "No message is waiting".to_owned(),
            1 => "1 message is waiting".to_owned(),
            count => format!("{} are waiting", human::counted(count, "message")),
        }
    }
}

/// An event to choose.
#[derive(Clone, Debug)]
pub struct EventChoice {
    /// Its name.
    pub word: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Whether it is chosen.
    pub is_chosen: bool,
}

/// What was typed, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct WebhookForm {
    /// The address.
    pub url: String,
    /// The chosen events; `None` before anything was typed.
    pub events: Option<BTreeSet<EventKind>>,
    /// An error about the address.
    pub url_error: Option<String>,
    /// An error about the events.
    pub events_error: Option<String>,
}

impl WebhookForm {
    fn is_wrong(&self) -> bool {
        self.url_error.is_some() || self.events_error.is_some()
    }
}

/// `GET /account/webhooks`; posts `url` and `event`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/webhooks/list.html")]
pub struct WebhooksPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The webhooks, oldest first.
    pub rows: Vec<WebhookRow>,
    /// The events that can be chosen.
    pub events: Vec<EventChoice>,
    /// What was typed.
    pub form: WebhookForm,
    /// Whether another one can be made.
    pub has_room: bool,
}

/// The answer that shows a secret.
#[derive(Clone, Debug, Template)]
#[template(path = "web/webhooks/secret.html")]
pub struct WebhookSecretPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The webhook's id.
    pub id: String,
    /// The secret.
    pub secret: String,
    /// Whether it replaces another one.
    pub is_replaced: bool,
}

/// `GET /account/webhooks/{id}`
#[derive(Clone, Debug, Template)]
#[template(path = "web/webhooks/one.html")]
pub struct WebhookPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The webhook.
    pub row: WebhookRow,
    /// Until when the secret before the present one is valid.
    pub former_until: Option<Timestamp>,
    /// The messages, newest first.
    pub messages: Vec<ListedMessage>,
    /// The address of older messages.
    pub older: Option<String>,
    /// Whether these are the newest ones.
    pub is_first: bool,
}

fn state_word(state: MessageState) -> &'static str {
    match state {
        MessageState::Waiting => "waiting",
        MessageState::Delivered => "delivered",
        MessageState::Failed => "given up",
    }
}

fn result(attempt: &ListedAttempt) -> String {
    let what = attempt.status.map_or_else(|| attempt.problem.clone(), |status| format!("status {status}"));
    format!("{what}, {} ms", human::grouped(attempt.millis))
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let moment = Timestamp::from_secs(1_790_000_000);
    let chrome = Chrome::sample("Webhooks", Section::Account);
    let row = WebhookRow {
        id: "abc".to_owned(),
        url: "https://hooks.example/\"<script>?x=1".to_owned(),
        state: WebhookState::On,
        events: EventKind::offered(true).map(EventKind::as_str).collect(),
        created_at: moment,
        waiting: 1,
        missed: 0,
        failing: None,
    };
    let failing = WebhookRow { failing: Some((moment, moment)), waiting: 10_000, missed: 12, ..row.clone() };
    let off = WebhookRow { state: WebhookState::Disabled, waiting: 0, ..row.clone() };
    let choice =
        |kind: EventKind| EventChoice { word: kind.as_str(), meaning: kind.meaning(), is_chosen: true };
    let list = WebhooksPage {
        chrome: chrome.clone(),
        rows: vec![row.clone(), failing.clone(), off.clone()],
        events: EventKind::offered(true).map(choice).collect(),
        form: WebhookForm::default(),
        has_room: true,
    };
    let wrong = WebhookForm {
        url: "http://\"<script>".to_owned(),
        url_error: Some("The address must begin with https://.".to_owned()),
        events_error: Some("Choose at least one.".to_owned()),
        ..WebhookForm::default()
    };
    let attempt = |status, problem: &str| ListedAttempt {
        at: moment,
        status,
        problem: problem.to_owned(),
        millis: 1_234,
    };
    let message = |state, attempts| ListedMessage {
        id: MessageId::from_store("m"),
        sequence: 7,
        event: "link.viewed".to_owned(),
        state,
        queued_at: moment,
        attempts,
    };
    let one = WebhookPage {
        chrome: Chrome::sample("Webhook", Section::Account),
        row: failing,
        former_until: Some(moment),
        messages: vec![
            message(
                MessageState::Waiting,
                vec![attempt(Some(503), ""), attempt(None, "no response in time")],
            ),
            message(MessageState::Delivered, vec![attempt(Some(204), "")]),
            message(MessageState::Failed, Vec::new()),
        ],
        older: Some("/account/webhooks/abc?before=1".to_owned()),
        is_first: false,
    };
    let secret = WebhookSecretPage {
        chrome: Chrome::sample("Secret of the webhook", Section::Account),
        id: "abc".to_owned(),
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=".to_owned(),
        is_replaced: false,
    };
    let empty = WebhooksPage { rows: Vec::new(), ..list.clone() };
    let quiet = WebhookPage {
        row: off,
        messages: Vec::new(),
        older: None,
        is_first: true,
        former_until: None,
        ..one.clone()
    };
    Ok(vec![
        ("webhooks", list.render()?),
        ("webhooks-none", empty.render()?),
        ("webhooks-errors", WebhooksPage { form: wrong, ..empty }.render()?),
        ("webhooks-full", WebhooksPage { has_room: false, ..list }.render()?),
        ("webhook", one.render()?),
        ("webhook-off", quiet.render()?),
        ("webhook-secret", secret.render()?),
        ("webhook-secret-again", WebhookSecretPage { is_replaced: true, ..secret }.render()?),
    ])
}
