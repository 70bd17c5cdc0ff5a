//! Changes of a file request by its owner: new terms, and stopping it for good.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::Deserialize;

use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, EmptyForm, LARGEST_FORM};
use crate::web::http::flash::FlashMessage;
use crate::web::http::requests::one_request::page_of;
use crate::web::http::requests::own_request::{own_request, redirect_to_request};
use crate::web::http::respond::{AppData, allow_script, unprocessable};
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::passwords::Asker;
use crate::web::requests::change::RequestPasswordChange;
use crate::web::requests::terms::RequestForm;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeRequestForm {
    title: String,
    note: String,
    max_bytes: String,
    max_files: String,
    ends: String,
    #[serde(default)]
    ends_zone: String,
    password: String,
    remove_password: Option<String>,
    notify: Option<String>,
}

/// `POST /requests/{id}`
pub(crate) async fn change(
    app: AppData,
    id: Path<String>,
    place: ClientInfo,
    form: CsrfForm<ChangeRequestForm, LARGEST_FORM>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let request = own_request(&app, &who, &id).await?;
    let services = &app.services;
    let now = services.clock.now();
    app.throttle.link(&who.account().id, now)?;
    let remove = fields.remove_password.is_some();
    let typed = RequestForm {
        title: fields.title,
        note: fields.note,
        max_bytes: fields.max_bytes,
        max_files: fields.max_files,
        ends: fields.ends,
        ends_zone: fields.ends_zone,
        password: fields.password,
        notify: fields.notify.is_some(),
    };
    let mut terms = match services.requests.check(&typed, now) {
        Ok(terms) => terms,
        Err(errors) => {
            let page = page_of(&app, &who, request, typed, *errors).await?;
            return Ok(allow_script(&app, unprocessable(&page)?));
        }
    };
    if terms.title.is_empty() {
        terms.title.clone_from(&request.title);
    }
    let password = match terms.password.clone() {
        Some(password) => RequestPasswordChange::Set(
            services.passwords.hash(Asker::Account(who.account().id.clone()), password).await?,
        ),
        None if remove => RequestPasswordChange::Remove,
        None => RequestPasswordChange::Keep,
    };
    let actor = Actor::account(who.account(), place.address);
    let changed = services.requests.edit(&request, &terms, password, &actor, now).await?;
    redirect_to_request(&app, &request, changed.then_some(FlashMessage::RequestChanged))
}

/// `POST /requests/{id}/stop`: takes no more files, for good. What has arrived stays.
pub(crate) async fn stop(
    app: AppData,
    id: Path<String>,
    place: ClientInfo,
    form: CsrfForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields: EmptyForm {}, .. } = form;
    let request = own_request(&app, &who, &id).await?;
    let actor = Actor::account(who.account(), place.address);
    let now = app.services.clock.now();
    app.services.requests.stop(&request, &actor, now).await?;
    // Whatever can't be removed now expires.
    if let Err(error) = app.uploads.abandon_those_of(&request.id).await {
        let cause = crate::telemetry::chain(&error);
        tracing::warn!(request = %request.id, cause, "cannot remove what guests were sending");
    }
    tracing::info!(account = %who.account().id, request = %request.id, "file request stopped");
    redirect_to_request(&app, &request, Some(FlashMessage::RequestStopped))
}
