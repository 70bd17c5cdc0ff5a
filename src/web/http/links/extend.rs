//! `POST /links/{id}/extend`: a later end, or more downloads, with one press.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::Deserialize;

use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::CsrfForm;
use crate::web::http::flash::FlashMessage;
use crate::web::http::links::own_link::{own_link, redirect_to_link};
use crate::web::http::respond::{AppData, redirect_again};
use crate::web::identity::client_info::ClientInfo;
use crate::web::links::extend::{ExtendOutcome, LinkExtension};
use crate::web::shares::error::StorageError;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns what a button of the form adds.
fn extension_of(word: &str) -> Option<LinkExtension> {
    Some(match word {
        "1-day" => LinkExtension::Time(DAY),
        "7-days" => LinkExtension::Time(DAY * 7),
        "30-days" => LinkExtension::Time(DAY * 30),
        "1-download" => LinkExtension::Downloads(1),
        "5-downloads" => LinkExtension::Downloads(5),
        _ => return None,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtendForm {
    add: String,
}

/// `POST /links/{id}/extend`
pub(crate) async fn extend(
    app: AppData,
    id: Path<String>,
    place: ClientInfo,
    form: CsrfForm<ExtendForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, sent } = form;
    let link = own_link(&app, &who, &id).await?;
    let once = app.sent_forms.begin(sent).await?;
    if let Some(before) = once.before() {
        return redirect_again(&app, before);
    }
    let extension = extension_of(&fields.add).ok_or(WebError::Invalid("a link can't be extended by that"))?;
    let now = app.services.clock.now();
    app.throttle.link(&who.account().id, now)?;
    let actor = Actor::account(who.account(), place.address);
    let form = once.record(FlashMessage::LinkExtended.as_str());
    match app.services.links.extend(&link, extension, form, &actor, now).await? {
        ExtendOutcome::Extended => redirect_to_link(&app, &link, Some(FlashMessage::LinkExtended)),
        ExtendOutcome::AtLimit => redirect_to_link(&app, &link, Some(FlashMessage::LinkAtLimit)),
        ExtendOutcome::NotPossible if link.revoked_at.is_some() => {
            redirect_to_link(&app, &link, Some(FlashMessage::LinkIsRevoked))
        }
        // It has no such limit any more.
        ExtendOutcome::NotPossible => redirect_to_link(&app, &link, None),
        // Another process has done it since we looked.
        ExtendOutcome::Before => match app.sent_forms.begin(once.into_form()).await?.before() {
            Some(before) => redirect_again(&app, before),
            None => Err(StorageError::Busy.into()),
        },
        ExtendOutcome::NotAllowed => Err(WebError::NotSignedIn),
    }
}
