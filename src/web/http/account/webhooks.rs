//! A person's webhooks: `/account/webhooks`.

use std::collections::BTreeSet;

use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use crate::secret::Secret;
use crate::web::audit::Actor;
use crate::web::http::account::webhooks_page::{
    EventChoice, WebhookForm, WebhookPage, WebhookRow, WebhookSecretPage, WebhooksPage,
};
use crate::web::http::client::ClientAddress;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, EmptyForm, SignedIn};
use crate::web::http::fields::sentence;
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::respond::{
    AppData, html, html_with_flash, redirect_with_flash, see_other, unprocessable,
};
use crate::web::webhooks::event::EventKind;
use crate::web::webhooks::messages::LISTED_MAX;
use crate::web::webhooks::terms::NewWebhook;
use crate::web::webhooks::webhook::Webhook;
use crate::web::webhooks::{CreateOutcome, WEBHOOKS_MAX};

const PAGE: &str = "/account/webhooks";

/// `GET /account/webhooks`
pub(crate) async fn list(
    app: AppData,
    request: HttpRequest,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let mut page = page_of(&app, &who, WebhookForm::default()).await?;
    html_with_flash(&app, &request, |flash| {
        page.chrome.flash = flash;
        page
    })
}

async fn page_of(app: &AppData, who: &SignedIn, form: WebhookForm) -> Result<WebhooksPage, WebError> {
    let webhooks = app.services.webhooks.of(&who.account().id).await?;
    let choice = |kind: EventKind| EventChoice {
        word: kind.as_str(),
        meaning: kind.meaning(),
        is_chosen: form.events.as_ref().is_none_or(|events| events.contains(&kind)),
    };
    Ok(WebhooksPage {
        chrome: who.form_chrome("Webhooks", Section::Account),
        has_room: i64::try_from(webhooks.len()).unwrap_or(i64::MAX) < WEBHOOKS_MAX,
        rows: webhooks.iter().map(WebhookRow::of).collect(),
        events: EventKind::offered(who.account().admin).map(choice).collect(),
        form,
    })
}

/// `POST /account/webhooks`: makes a webhook, whose secret only the answer shows.
pub(crate) async fn create(
    app: AppData,
    address: ClientAddress,
    form: CsrfForm<Vec<(String, String)>>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, sent } = form;
    let form = read_form(fields)?;
    let services = &app.services;
    let chosen = form.events.clone().unwrap_or_default();
    let new = match NewWebhook::check(&form.url, &chosen, who.account().admin, services.webhooks.rule()) {
        Ok(new) => new,
        Err(errors) => {
            let form = WebhookForm {
                url_error: errors.url.map(|error| sentence(&error)),
                events_error: errors.no_event.then(|| "Choose at least one.".to_owned()),
                ..form
            };
            return unprocessable(&page_of(&app, &who, form).await?);
        }
    };
    let once = app.sent_forms.begin(sent).await?;
    // A reloaded answer must not make a second one, and can't show the secret of the first.
    if once.before().is_some() {
        return redirect_with_flash(&app, PAGE, FlashMessage::WebhookSecretShown);
    }
    let (actor, now) = (Actor::account(who.account(), address.0), services.clock.now());
    match services.webhooks.create(who.account(), &new, once.record(""), &actor, now).await? {
        CreateOutcome::Made(id, secret) => {
            tracing::info!(account = %who.account().id, webhook = %id, host = new.host(), "webhook made");
            show_secret(&who, id.as_str(), &secret, false)
        }
        CreateOutcome::Before => redirect_with_flash(&app, PAGE, FlashMessage::WebhookSecretShown),
        CreateOutcome::TooMany => {
            let error = format!("You have {WEBHOOKS_MAX} webhooks. Delete one to make another.");
            let form = WebhookForm { url_error: Some(error), ..form };
            unprocessable(&page_of(&app, &who, form).await?)
        }
    }
}

/// Reads the fields: `url` once, and `event` any number of times.
fn read_form(fields: Vec<(String, String)>) -> Result<WebhookForm, WebError> {
    let (mut url, mut events) = (None, BTreeSet::new());
    for (name, value) in fields {
        match name.as_str() {
            "url" if url.is_none() => url = Some(value),
            "event" => {
                let kind = value.parse().map_err(|_| WebError::Invalid("there is no such event"))?;
                if !events.insert(kind) {
                    return Err(WebError::Invalid("the form has an event twice"));
                }
            }
            _ => return Err(WebError::Invalid("the form has a repeated or unexpected field")),
        }
    }
    let url = url.ok_or(WebError::Invalid("the form has a missing field"))?;
    Ok(WebhookForm { url, events: Some(events), ..WebhookForm::default() })
}

fn show_secret(
    who: &SignedIn,
    id: &str,
    secret: &Secret,
    is_replaced: bool,
) -> Result<HttpResponse, WebError> {
    html(&WebhookSecretPage {
        chrome: who.chrome("Secret of the webhook", Section::Account),
        id: id.to_owned(),
        secret: secret.reveal().to_owned(),
        is_replaced,
    })
}

async fn find(app: &AppData, who: &SignedIn, id: &str) -> Result<Webhook, WebError> {
    app.services.webhooks.find(&who.account().id, id).await?.ok_or(WebError::NotFound)
}

fn page_path(webhook: &Webhook) -> String {
    format!("{PAGE}/{}", webhook.id)
}

#[derive(Deserialize)]
pub(crate) struct MessagesQuery {
    before: Option<i64>,
}

/// `GET /account/webhooks/{id}`
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    who: SignedIn,
    id: web::Path<String>,
    query: Query<MessagesQuery>,
) -> Result<HttpResponse, WebError> {
    let webhook = find(&app, &who, &id).await?;
    let (messages, more) = app.services.webhooks.messages(&webhook.id, query.before, LISTED_MAX).await?;
    let mut page = WebhookPage {
        chrome: who.chrome("Webhook", Section::Account),
        row: WebhookRow::of(&webhook),
        former_until: webhook.former_until.filter(|until| *until > app.services.clock.now()),
        messages,
        older: more.map(|before| format!("{}?before={before}", page_path(&webhook))),
        is_first: query.before.is_none(),
    };
    html_with_flash(&app, &request, |flash| {
        page.chrome.flash = flash;
        page
    })
}

/// `POST /account/webhooks/{id}/pause`
pub(crate) async fn pause(
    app: AppData,
    address: ClientAddress,
    id: web::Path<String>,
    form: CsrfForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    set_paused(app, address, &id, form, true).await
}

/// `POST /account/webhooks/{id}/resume`
pub(crate) async fn resume(
    app: AppData,
    address: ClientAddress,
    id: web::Path<String>,
    form: CsrfForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    set_paused(app, address, &id, form, false).await
}

async fn set_paused(
    app: AppData,
    address: ClientAddress,
    id: &str,
    form: CsrfForm<EmptyForm>,
    paused: bool,
) -> Result<HttpResponse, WebError> {
    let EmptyForm {} = form.fields;
    let webhook = find(&app, &form.who, id).await?;
    let (actor, now) = (Actor::account(form.who.account(), address.0), app.services.clock.now());
    // False if it already is as wanted, for example because the form was sent twice.
    let _changed_or_not = app.services.webhooks.set_paused(&webhook, paused, &actor, now).await?;
    let message = if paused { FlashMessage::WebhookPaused } else { FlashMessage::WebhookResumed };
    redirect_with_flash(&app, &page_path(&webhook), message)
}

/// `POST /account/webhooks/{id}/rotate`: gives it another secret, which only the answer shows.
pub(crate) async fn rotate(
    app: AppData,
    address: ClientAddress,
    id: web::Path<String>,
    form: CsrfForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields: EmptyForm {}, sent } = form;
    let webhook = find(&app, &who, &id).await?;
    let once = app.sent_forms.begin(sent).await?;
    // A reloaded answer must not replace the secret that was just saved somewhere.
    if once.before().is_some() {
        return redirect_with_flash(&app, &page_path(&webhook), FlashMessage::WebhookSecretShown);
    }
    let (actor, now) = (Actor::account(who.account(), address.0), app.services.clock.now());
    let secret = app.services.webhooks.rotate(&webhook, &actor, now).await?.ok_or(WebError::NotFound)?;
    once.done(&page_path(&webhook), "", now).await?;
    show_secret(&who, webhook.id.as_str(), &secret, true)
}

/// `POST /account/webhooks/{id}/test`
pub(crate) async fn test(
    app: AppData,
    id: web::Path<String>,
    form: CsrfForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let EmptyForm {} = form.fields;
    let webhook = find(&app, &form.who, &id).await?;
    let queued = app.services.webhooks.test(&webhook, app.services.clock.now()).await?;
    let message = if queued { FlashMessage::WebhookTested } else { FlashMessage::WebhookFull };
    redirect_with_flash(&app, &page_path(&webhook), message)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResendForm {
    message: String,
}

/// `POST /account/webhooks/{id}/resend`
pub(crate) async fn resend(
    app: AppData,
    id: web::Path<String>,
    form: CsrfForm<ResendForm>,
) -> Result<HttpResponse, WebError> {
    let webhook = find(&app, &form.who, &id).await?;
    let now = app.services.clock.now();
    match app.services.webhooks.resend(&webhook, &form.fields.message, now).await? {
        true => redirect_with_flash(&app, &page_path(&webhook), FlashMessage::WebhookResent),
        // It waits already, or is gone.
        false => Ok(see_other(&page_path(&webhook))),
    }
}

/// `POST /account/webhooks/{id}/delete`
pub(crate) async fn delete(
    app: AppData,
    address: ClientAddress,
    id: web::Path<String>,
    form: CsrfForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let EmptyForm {} = form.fields;
    let webhook = find(&app, &form.who, &id).await?;
    let (actor, now) = (Actor::account(form.who.account(), address.0), app.services.clock.now());
    app.services.webhooks.delete(&webhook, &actor, now).await?;
    redirect_with_flash(&app, PAGE, FlashMessage::WebhookDeleted)
}
