//! The sheet for sharing a link, which the start page shows beside an upload: a part of a page, for its script.
//! Without the script, the link's own page has all of it.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::Deserialize;

use crate::web::arrivals::ArrivalState;
use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, LARGEST_FORM, SignedIn};
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::link_making::too_many_mails;
use crate::web::http::links::afterwards::are_own;
use crate::web::http::links::one_link::{ChangeLinkForm, ChangeOutcome, change_terms, typed_of};
use crate::web::http::links::own_link::own_link;
use crate::web::http::links::owners_view::state_of;
use crate::web::http::links::share_sheet_page::ShareSheet;
use crate::web::http::paths::encoded_path;
use crate::web::http::qr;
use crate::web::http::respond::{AppData, html, see_other, unprocessable};
use crate::web::identity::client_info::ClientInfo;
use crate::web::links::roster::{AddRecipientsOutcome, NewRecipients};
use crate::web::links::terms::{LinkForm, LinkFormErrors};
use crate::web::links::{Link, recipients};
use crate::web::mail::MailKind;

/// `GET /links/{id}/sheet`
pub(crate) async fn show(app: AppData, id: Path<String>, who: SignedIn) -> Result<HttpResponse, WebError> {
    let link = own_link(&app, &who, &id).await?;
    let typed = typed_of(&link);
    html(&sheet_of(&app, &who, link, typed, LinkFormErrors::default()).await?)
}

/// `POST /links/{id}/sheet`: gives the link new terms, like `POST /links/{id}`.
pub(crate) async fn change(
    app: AppData,
    id: Path<String>,
    place: ClientInfo,
    form: CsrfForm<ChangeLinkForm, LARGEST_FORM>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let link = own_link(&app, &who, &id).await?;
    match change_terms(&app, &who, &place, &link, fields).await? {
        ChangeOutcome::Saved(_) => Ok(see_other(&format!("/links/{}/sheet", link.id))),
        ChangeOutcome::Invalid(typed, errors) => {
            unprocessable(&sheet_of(&app, &who, link, *typed, *errors).await?)
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailForm {
    recipients: String,
}

/// `POST /links/{id}/mail`: mails the link to people, who get addresses of their own.
pub(crate) async fn mail(
    app: AppData,
    id: Path<String>,
    place: ClientInfo,
    form: CsrfForm<MailForm, LARGEST_FORM>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, sent } = form;
    let link = own_link(&app, &who, &id).await?;
    let address = format!("/links/{}/sheet", link.id);
    let once = app.sent_forms.begin(sent).await?;
    if once.before().is_some() {
        return Ok(see_other(&address));
    }
    let (services, now) = (&app.services, app.services.clock.now());
    let emails = match recipients::parse(&fields.recipients) {
        Ok(emails) if emails.is_empty() => Err(vec!["Enter at least one email address.".to_owned()]),
        emails => emails,
    };
    let outcome = match emails {
        Err(errors) => Err(errors),
        Ok(emails) => {
            app.throttle.link(&who.account().id, now)?;
            match app.throttle.link_mails(&who.account().id, &emails, now) {
                Err(full) => Err(too_many_mails(&full)),
                Ok(()) => {
                    let actor = Actor::account(who.account(), place.address);
                    let record = once.record(FlashMessage::MailQueued.as_str());
                    let new = NewRecipients { emails: &emails, mail: true, form: record };
                    Ok(services.links.add_recipients(&link, &new, &actor, now).await?)
                }
            }
        }
    };
    let sentence = match outcome {
        Ok(
            AddRecipientsOutcome::Added(_) | AddRecipientsOutcome::NobodyNew | AddRecipientsOutcome::Before,
        ) => {
            return Ok(see_other(&address));
        }
        Ok(AddRecipientsOutcome::NotAllowed) => return Err(WebError::NotSignedIn),
        Ok(AddRecipientsOutcome::TooManyOnLink) => {
            vec!["A link can have at most 1,000 recipients.".to_owned()]
        }
        Ok(AddRecipientsOutcome::TooManyToday) => {
            vec!["You can name at most 2,000 recipients within a day. Try again tomorrow.".to_owned()]
        }
        Ok(AddRecipientsOutcome::Revoked) => vec!["This link is no longer available.".to_owned()],
        Err(errors) => errors,
    };
    let typed = LinkForm { recipients: fields.recipients, ..typed_of(&link) };
    let errors = LinkFormErrors { recipients: sentence, ..LinkFormErrors::default() };
    unprocessable(&sheet_of(&app, &who, link, typed, errors).await?)
}

async fn sheet_of(
    app: &AppData,
    who: &SignedIn,
    link: Link,
    typed: LinkForm,
    errors: LinkFormErrors,
) -> Result<ShareSheet, WebError> {
    let recipients = app.services.links.recipients(&link).await?;
    let anyone = recipients.iter().find(|one| one.email.is_none());
    let address = anyone.map(|anyone| app.services.links.address(&app.public_url, anyone));
    let waits = link.arrival.is_some_and(|arrival| arrival.state == ArrivalState::Uploading);
    // A single file gets its path when it has arrived.
    let folder = link.files.first().or(who.home.as_ref()).filter(|_| waits);
    Ok(ShareSheet {
        chrome: who.form_chrome("", Section::Files),
        id: link.id.to_string(),
        state: state_of(app, who, &link, &recipients),
        waits,
        arrival: link.arrival,
        folder: folder.map(encoded_path).unwrap_or_default(),
        qr: address.as_deref().and_then(qr::of),
        people: recipients.iter().filter_map(|one| Some(one.email.as_ref()?.as_str().to_owned())).collect(),
        recipient: anyone.map(|anyone| anyone.id.to_string()),
        address,
        uses: link.uses_per_recipient,
        ends_at: link.ends_at,
        has_password: link.password.is_some(),
        limits: *app.services.links.limits.current(),
        notices_off: app.services.notices.are_off(&who.account().id, MailKind::Taken).await?,
        are_own: are_own(who, &link.files),
        title: link.title,
        typed,
        errors,
    })
}
