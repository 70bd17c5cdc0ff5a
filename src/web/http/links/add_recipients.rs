//! Adding recipients to an existing link: the page at `GET /links/{id}/recipients`, and its form.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::Deserialize;

use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, LARGEST_FORM, SignedIn};
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::link_making::too_many_mails;
use crate::web::http::links::add_recipients_page::AddRecipientsPage;
use crate::web::http::links::own_link::{own_link, redirect_to_link};
use crate::web::http::respond::{AppData, html, redirect_again, unprocessable};
use crate::web::identity::Email;
use crate::web::identity::client_info::ClientInfo;
use crate::web::links::roster::{AddRecipientsOutcome, NewRecipients};
use crate::web::links::{Link, LinkStatus, recipients};
use crate::web::shares::error::StorageError;

/// `GET /links/{id}/recipients`
pub(crate) async fn page(app: AppData, id: Path<String>, who: SignedIn) -> Result<HttpResponse, WebError> {
    let link = own_link(&app, &who, &id).await?;
    if link.revoked_at.is_some() {
        return redirect_to_link(&app, &link, Some(FlashMessage::LinkIsRevoked));
    }
    html(&page_of(&app, &who, &link, String::new(), true, Vec::new()))
}

fn page_of(
    app: &AppData,
    who: &SignedIn,
    link: &Link,
    typed: String,
    mail: bool,
    errors: Vec<String>,
) -> AddRecipientsPage {
    AddRecipientsPage {
        chrome: who.form_chrome("Add recipients", Section::Links),
        id: link.id.to_string(),
        title: link.title.clone(),
        is_usable: link.status(app.services.clock.now()) == LinkStatus::Open,
        typed,
        mail,
        errors,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddRecipientsForm {
    recipients: String,
    mail: Option<String>,
}

/// `POST /links/{id}/recipients`
pub(crate) async fn add(
    app: AppData,
    id: Path<String>,
    place: ClientInfo,
    form: CsrfForm<AddRecipientsForm, LARGEST_FORM>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, sent } = form;
    let link = own_link(&app, &who, &id).await?;
    let once = app.sent_forms.begin(sent).await?;
    if let Some(before) = once.before() {
        return redirect_again(&app, before);
    }
    let AddRecipientsForm { recipients: typed, mail } = fields;
    let mail = mail.is_some();
    let rerender = |errors| unprocessable(&page_of(&app, &who, &link, typed.clone(), mail, errors));
    let emails: Vec<Email> = match recipients::parse(&typed) {
        Ok(emails) if emails.is_empty() => {
            return rerender(vec!["Enter at least one email address.".to_owned()]);
        }
        Ok(emails) => emails,
        Err(errors) => return rerender(errors),
    };
    let (services, now) = (&app.services, app.services.clock.now());
    app.throttle.link(&who.account().id, now)?;
    if mail && let Err(full) = app.throttle.link_mails(&who.account().id, &emails, now) {
        return rerender(too_many_mails(&full));
    }
    let actor = Actor::account(who.account(), place.address);
    let new =
        NewRecipients { emails: &emails, mail, form: once.record(FlashMessage::RecipientsAdded.as_str()) };
    match services.links.add_recipients(&link, &new, &actor, now).await? {
        AddRecipientsOutcome::Added(count) => {
            tracing::info!(account = %who.account().id, link = %link.id, count, "recipients added to a link");
            redirect_to_link(&app, &link, Some(FlashMessage::RecipientsAdded))
        }
        AddRecipientsOutcome::NobodyNew => rerender(vec!["All of them already have this link.".to_owned()]),
        AddRecipientsOutcome::TooManyToday => rerender(vec![
            "You can name at most 2,000 recipients within a day. Nobody was added: try again tomorrow."
                .to_owned(),
        ]),
        AddRecipientsOutcome::TooManyOnLink => {
            rerender(vec!["A link can have at most 1,000 recipients. Nobody was added.".to_owned()])
        }
        AddRecipientsOutcome::Revoked => redirect_to_link(&app, &link, Some(FlashMessage::LinkIsRevoked)),
        // Another process has done it since we looked.
        AddRecipientsOutcome::Before => match app.sent_forms.begin(once.into_form()).await?.before() {
            Some(before) => redirect_again(&app, before),
            None => Err(StorageError::Busy.into()),
        },
        AddRecipientsOutcome::NotAllowed => Err(WebError::NotSignedIn),
    }
}
