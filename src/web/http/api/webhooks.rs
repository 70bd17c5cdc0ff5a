//! `/webhooks`: the account's webhooks, their secrets and their messages.

use std::collections::BTreeSet;

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::web::http::api::body::ProgramBody;
use crate::web::http::api::list::{List, PageQuery, cursor};
use crate::web::http::api::parameters::{Parameters, wrong};
use crate::web::http::api::respond::{created, json};
use crate::web::http::api::time::Time;
use crate::web::http::api_error::{ApiError, FieldProblem};
use crate::web::http::error::WebError;
use crate::web::http::fields::sentence;
use crate::web::http::program::{Program, WebhooksScope};
use crate::web::http::respond::AppData;
use crate::web::webhooks::event::EventKind;
use crate::web::webhooks::messages::{LISTED_MAX, ListedAttempt, ListedMessage};
use crate::web::webhooks::terms::{NewWebhook, NewWebhookErrors};
use crate::web::webhooks::webhook::Webhook;
use crate::web::webhooks::{CreateOutcome, WEBHOOKS_MAX};

/// Cursors of the list of messages.
const MESSAGES: &str = "webhook-messages";

/// Messages tell of everything in an account.
const LIMITED: ApiError = ApiError::Conflict {
    slug: "key-limited-to-shares",
    detail: "A key that is limited to shares can’t manage webhooks, because they are told about all shares.",
};

/// A webhook, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookView {
    /// Its id.
    #[schema(example = "Fk3X9vYbQ0mU5n1rT7cWzA")]
    id: String,
    /// The address that messages are sent to.
    #[schema(example = "https://hooks.example.org/oncelink")]
    url: String,
    /// What it is told.
    #[schema(example = json!(["link.ended"]))]
    events: Vec<&'static str>,
    /// `on`, `paused` or `disabled`.
    #[schema(example = "on")]
    state: &'static str,
    /// Number of messages that wait.
    waiting: u64,
    /// Number of messages that could not be kept, because too many waited.
    missed: u64,
    /// Since when every attempt has failed; `null` if the last one succeeded.
    failing_since: Option<Time>,
    /// When it was made.
    created_at: Time,
}

impl WebhookView {
    fn of(webhook: Webhook) -> WebhookView {
        WebhookView {
            id: webhook.id.to_string(),
            events: webhook.events.iter().map(|kind| kind.as_str()).collect(),
            state: webhook.state.as_str(),
            waiting: webhook.waiting,
            missed: webhook.missed,
            failing_since: webhook.failing_since.map(Time),
            created_at: webhook.created_at.into(),
            url: webhook.url,
        }
    }
}

/// A webhook with its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookWithSecretView {
    #[serde(flatten)]
    webhook: WebhookView,
    /// The secret that signs messages. No other answer shows it.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=")]
    secret: String,
}

/// A message, without its content.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookMessageView {
    /// Its `webhook-id`.
    id: String,
    /// Its place in the order.
    sequence: i64,
    /// What it tells.
    #[schema(example = "link.ended")]
    event: String,
    /// `waiting`, `delivered` or `failed`.
    #[schema(example = "delivered")]
    state: &'static str,
    /// When it happened.
    created_at: Time,
    /// The attempts to send it, oldest first.
    attempts: Vec<WebhookAttemptView>,
}

/// An attempt to send a message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookAttemptView {
    /// When it began.
    at: Time,
    /// The status of the response; `null` if there was none.
    #[schema(example = 204)]
    status: Option<u16>,
    /// Why there was none.
    #[schema(example = "no response in time")]
    problem: Option<String>,
    /// How long it took, in milliseconds.
    duration: u64,
}

impl From<ListedMessage> for WebhookMessageView {
    fn from(message: ListedMessage) -> WebhookMessageView {
        let attempt = |attempt: ListedAttempt| WebhookAttemptView {
            at: attempt.at.into(),
            status: attempt.status,
            problem: Some(attempt.problem).filter(|problem| !problem.is_empty()),
            duration: attempt.millis,
        };
        WebhookMessageView {
            id: message.id.to_string(),
            sequence: message.sequence,
            event: message.event,
            state: message.state.as_str(),
            created_at: message.queued_at.into(),
            attempts: message.attempts.into_iter().map(attempt).collect(),
        }
    }
}

/// A new webhook.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhookBody {
    /// The address that messages are sent to: `https`, and reachable from the internet.
    #[schema(example = "https://hooks.example.org/oncelink")]
    url: String,
    /// What it is told.
    #[schema(example = json!(["link.ended", "delivery.completed"]))]
    events: Vec<String>,
}

impl NewWebhookBody {
    fn events(&self) -> Result<BTreeSet<EventKind>, ApiError> {
        let known = |word: &String| word.parse::<EventKind>().ok().filter(|kind| *kind != EventKind::Test);
        let events: Option<BTreeSet<EventKind>> = self.events.iter().map(known).collect();
        events.ok_or_else(|| invalid("events", "There is no such event."))
    }
}

fn invalid(member: &str, detail: &str) -> ApiError {
    ApiError::InvalidFields(vec![FieldProblem::member(member, detail)])
}

fn refusal(errors: NewWebhookErrors) -> ApiError {
    let url = errors.url.map(|error| FieldProblem::member("url", sentence(&error)));
    let events =
        errors.no_event.then(|| FieldProblem::member("events", "Send at least one event that you may have."));
    ApiError::InvalidFields(url.into_iter().chain(events).collect())
}

/// Checks that the key may manage webhooks.
fn admitted(program: &Program<WebhooksScope>) -> Result<(), ApiError> {
    if program.key().shares().is_some() { Err(LIMITED) } else { Ok(()) }
}

async fn find(app: &AppData, program: &Program<WebhooksScope>, id: &str) -> Result<Webhook, WebError> {
    admitted(program)?;
    app.services.webhooks.find(&program.account().id, id).await?.ok_or(WebError::NotFound)
}

async fn answer(app: &AppData, program: &Program<WebhooksScope>, id: &str) -> Result<HttpResponse, WebError> {
    json(&WebhookView::of(find(app, program, id).await?))
}

/// Returns a webhook with the secret that it has now.
async fn with_secret(
    app: &AppData,
    program: &Program<WebhooksScope>,
    id: &str,
) -> Result<WebhookWithSecretView, WebError> {
    let webhook = find(app, program, id).await?;
    let secret = app.services.webhooks.secret(&webhook.id).await?.ok_or(WebError::NotFound)?;
    Ok(WebhookWithSecretView { webhook: WebhookView::of(webhook), secret: secret.reveal().to_owned() })
}

/// List the webhooks
#[utoipa::path(get, path = "/webhooks", tag = "webhooks", operation_id = "listWebhooks",
    responses((status = 200, body = List<WebhookView>)), security(("key" = ["webhooks"])))]
pub(crate) async fn list(app: AppData, program: Program<WebhooksScope>) -> Result<HttpResponse, WebError> {
    admitted(&program)?;
    let webhooks = app.services.webhooks.of(&program.account().id).await?;
    json(&List { items: webhooks.into_iter().map(WebhookView::of).collect(), next: None })
}

/// Make a webhook
#[utoipa::path(post, path = "/webhooks", tag = "webhooks", operation_id = "makeWebhook", request_body = NewWebhookBody,
    responses((status = 201, body = WebhookWithSecretView)), security(("key" = ["webhooks"])))]
pub(crate) async fn make(
    app: AppData,
    body: ProgramBody<WebhooksScope, NewWebhookBody>,
) -> Result<HttpResponse, WebError> {
    let ProgramBody { program, fields, key } = body;
    admitted(&program)?;
    let (webhooks, now) = (&app.services.webhooks, app.services.clock.now());
    let once = app.request_keys.begin(key, now).await?;
    let id = match once.before().and_then(|before| before.rsplit('/').next()) {
        Some(id) => id.to_owned(),
        None => {
            let account = program.account();
            let new = NewWebhook::check(&fields.url, &fields.events()?, account.admin, webhooks.rule());
            let new = new.map_err(refusal)?;
            match webhooks.create(account, &new, once.record(), &program.actor(), now).await? {
                CreateOutcome::Made(id, _) => {
                    tracing::info!(account = %account.id, webhook = %id, host = new.host(), "webhook made by API");
                    id.to_string()
                }
                // Another process is faster; its answer can be had in a moment.
                CreateOutcome::Before => return Err(ApiError::IdempotencyKeyRunning.into()),
                CreateOutcome::TooMany => {
                    let detail = format!("An account has at most {WEBHOOKS_MAX} webhooks. Delete one first.");
                    return Err(ApiError::LimitReached { slug: "too-many-webhooks", detail }.into());
                }
            }
        }
    };
    created(&with_secret(&app, &program, &id).await?, &format!("/webhooks/{id}"), None)
}

/// Read a webhook
#[utoipa::path(get, path = "/webhooks/{id}", tag = "webhooks", operation_id = "readWebhook",
    params(("id" = String, Path, description = "The webhook's id")),
    responses((status = 200, body = WebhookView)), security(("key" = ["webhooks"])))]
pub(crate) async fn read(
    app: AppData,
    program: Program<WebhooksScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    answer(&app, &program, &id).await
}

/// Delete a webhook
///
/// Messages that wait are not sent.
#[utoipa::path(delete, path = "/webhooks/{id}", tag = "webhooks", operation_id = "deleteWebhook",
    params(("id" = String, Path, description = "The webhook's id")),
    responses((status = 204)), security(("key" = ["webhooks"])))]
pub(crate) async fn delete(
    app: AppData,
    program: Program<WebhooksScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    let webhook = find(&app, &program, &id).await?;
    let now = app.services.clock.now();
    match app.services.webhooks.delete(&webhook, &program.actor(), now).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(WebError::NotFound),
    }
}

/// Pause a webhook
///
/// Messages wait until it is resumed, for thirty days at most.
#[utoipa::path(post, path = "/webhooks/{id}/pause", tag = "webhooks", operation_id = "pauseWebhook",
    params(("id" = String, Path, description = "The webhook's id")),
    responses((status = 200, body = WebhookView)), security(("key" = ["webhooks"])))]
pub(crate) async fn pause(
    app: AppData,
    program: Program<WebhooksScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    set_paused(app, program, &id, true).await
}

/// Resume a webhook
///
/// Also one that was disabled because it failed for three days.
#[utoipa::path(post, path = "/webhooks/{id}/resume", tag = "webhooks", operation_id = "resumeWebhook",
    params(("id" = String, Path, description = "The webhook's id")),
    responses((status = 200, body = WebhookView)), security(("key" = ["webhooks"])))]
pub(crate) async fn resume(
    app: AppData,
    program: Program<WebhooksScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    set_paused(app, program, &id, false).await
}

async fn set_paused(
    app: AppData,
    program: Program<WebhooksScope>,
    id: &str,
    paused: bool,
) -> Result<HttpResponse, WebError> {
    let webhook = find(&app, &program, id).await?;
    let now = app.services.clock.now();
    // False if it already is as wanted.
    let _changed_or_not = app.services.webhooks.set_paused(&webhook, paused, &program.actor(), now).await?;
    answer(&app, &program, id).await
}

/// Replace the secret of a webhook
///
/// For 24 hours, messages are signed with the previous secret as well.
#[utoipa::path(post, path = "/webhooks/{id}/rotate", tag = "webhooks", operation_id = "rotateWebhookSecret",
    params(("id" = String, Path, description = "The webhook's id")),
    responses((status = 200, body = WebhookWithSecretView)), security(("key" = ["webhooks"])))]
pub(crate) async fn rotate(
    app: AppData,
    program: Program<WebhooksScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    let webhook = find(&app, &program, &id).await?;
    let now = app.services.clock.now();
    app.services.webhooks.rotate(&webhook, &program.actor(), now).await?.ok_or(WebError::NotFound)?;
    json(&with_secret(&app, &program, &id).await?)
}

/// Send a test to a webhook
///
/// It is sent after the messages that already wait; see what came of it in the list of messages.
#[utoipa::path(post, path = "/webhooks/{id}/test", tag = "webhooks", operation_id = "testWebhook",
    params(("id" = String, Path, description = "The webhook's id")),
    responses((status = 200, body = WebhookView)), security(("key" = ["webhooks"])))]
pub(crate) async fn test(
    app: AppData,
    program: Program<WebhooksScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    let webhook = find(&app, &program, &id).await?;
    if !app.services.webhooks.test(&webhook, app.services.clock.now()).await? {
        let detail = "Too many messages wait for this webhook.".to_owned();
        return Err(ApiError::LimitReached { slug: "too-many-messages", detail }.into());
    }
    answer(&app, &program, &id).await
}

/// List the messages of a webhook
///
/// The newest first, each with the attempts to send it, and without its content.
#[utoipa::path(get, path = "/webhooks/{id}/messages", tag = "webhooks", operation_id = "listWebhookMessages",
    params(
        ("id" = String, Path, description = "The webhook's id"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Maximum number of items; at most 25 are sent", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, body = List<WebhookMessageView>)), security(("key" = ["webhooks"])))]
pub(crate) async fn messages(
    app: AppData,
    program: Program<WebhooksScope>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    let page = PageQuery::of(&Parameters::of(&request, &["cursor", "limit"])?, MESSAGES)?;
    let before = page.after.as_deref().map(str::parse::<i64>).transpose();
    let before =
        before.map_err(|_| wrong("cursor", "Send the value of “next” from the page before, unchanged."))?;
    let webhook = find(&app, &program, &id).await?;
    let most = LISTED_MAX.min(usize::try_from(page.limit).unwrap_or(LISTED_MAX));
    let (found, next) = app.services.webhooks.messages(&webhook.id, before, most).await?;
    let items = found.into_iter().map(WebhookMessageView::from).collect();
    json(&List { items, next: next.map(|next| cursor(MESSAGES, &next.to_string())) })
}

/// Send a message again
///
/// One that was delivered or given up. It keeps its id.
#[utoipa::path(post, path = "/webhooks/{id}/messages/{message}/resend", tag = "webhooks",
    operation_id = "resendWebhookMessage",
    params(
        ("id" = String, Path, description = "The webhook's id"),
        ("message" = String, Path, description = "The message's id"),
    ),
    responses((status = 200, body = WebhookView)), security(("key" = ["webhooks"])))]
pub(crate) async fn resend(
    app: AppData,
    program: Program<WebhooksScope>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, WebError> {
    let (id, message) = path.into_inner();
    let webhook = find(&app, &program, &id).await?;
    match app.services.webhooks.resend(&webhook, &message, app.services.clock.now()).await? {
        true => answer(&app, &program, &id).await,
        false => Err(WebError::NotFound),
    }
}
