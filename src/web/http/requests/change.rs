//! Changes of a file request by its owner: new terms, and stopping it for good.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::Deserialize;

use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, EmptyForm, LARGEST_FORM};
use crate::web::http::flash::FlashMessage;
use crate::web::http::request_making::{RequestChange, change_request, stop_request};
use crate::web::http::requests::one_request::page_of;
use crate::web::http::requests::own_request::{own_request, redirect_to_request};
use crate::web::http::respond::{AppData, allow_script, unprocessable};
use crate::web::identity::client_info::ClientInfo;
use crate::web::links::change::{EditBase, EditOutcome};
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
    let actor = Actor::account(who.account(), place.address);
    let base = (&request, EditBase::Any);
    match change_request(&app, (who.account(), &actor), base, &typed, remove).await? {
        RequestChange::Done(outcome) => {
            let changed = outcome == EditOutcome::Changed;
            redirect_to_request(&app, &request, changed.then_some(FlashMessage::RequestChanged))
        }
        RequestChange::Invalid(errors) => {
            let page = page_of(&app, &who, request, typed, *errors).await?;
            Ok(allow_script(&app, unprocessable(&page)?))
        }
    }
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
    stop_request(&app, &request, &actor).await?;
    redirect_to_request(&app, &request, Some(FlashMessage::RequestStopped))
}
