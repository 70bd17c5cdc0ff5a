//! Sending a link to one of its recipients: again, or for the first time.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::Deserialize;

use crate::id::RecipientId;
use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::CsrfForm;
use crate::web::http::flash::FlashMessage;
use crate::web::http::links::own_link::{own_link, redirect_to_link};
use crate::web::http::respond::{AppData, redirect_again};
use crate::web::identity::client_info::ClientInfo;
use crate::web::links::Links;
use crate::web::links::mailing::ResendOutcome;
use crate::web::shares::error::StorageError;
use crate::web::throttle::MailsRefused;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendAgainForm {
    recipient: RecipientId,
}

/// `POST /links/{id}/send`: mails the link to a recipient whom no mail has reached, or none recently.
pub(crate) async fn send_again(
    app: AppData,
    id: Path<String>,
    place: ClientInfo,
    form: CsrfForm<SendAgainForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, sent } = form;
    let link = own_link(&app, &who, &id).await?;
    let once = app.sent_forms.begin(sent).await?;
    if let Some(before) = once.before() {
        return redirect_again(&app, before);
    }
    let (links, now) = (&app.services.links, app.services.clock.now());
    let found = links.by_recipient(&fields.recipient).await?;
    let (_, recipient) = found.filter(|(other, _)| other.id == link.id).ok_or(WebError::NotFound)?;
    let mailing = links.mailings(&link).await?.remove(&recipient.id);
    let is_first = mailing.is_none();
    let is_needed = Links::may_be_sent(&link, &recipient, mailing.as_ref(), now);
    let readable = |file| app.rights.readable(who.account(), file).is_some();
    let (Some(email), true) = (&recipient.email, is_needed && link.files.iter().cloned().any(readable))
    else {
        return redirect_to_link(&app, &link, Some(FlashMessage::MailOnItsWay));
    };
    let message = if is_first { FlashMessage::LinkMailed } else { FlashMessage::MailQueued };
    app.throttle.link(&who.account().id, now)?;
    match app.throttle.link_mails(&who.account().id, std::slice::from_ref(email), now) {
        Ok(()) => {}
        Err(MailsRefused::Mailboxes(_)) => {
            return redirect_to_link(&app, &link, Some(FlashMessage::MailboxFull));
        }
        Err(MailsRefused::Day(_)) => return redirect_to_link(&app, &link, Some(FlashMessage::MailsUsedUp)),
    }
    let actor = Actor::account(who.account(), place.address);
    match links.send_again(&link, &recipient, once.record(message.as_str()), &actor, now).await? {
        ResendOutcome::Queued => {
            tracing::info!(account = %who.account().id, link = %link.id, "link sent again");
            redirect_to_link(&app, &link, Some(message))
        }
        ResendOutcome::NotNeeded => redirect_to_link(&app, &link, Some(FlashMessage::MailOnItsWay)),
        // Another process has done it since we looked.
        ResendOutcome::Before => match app.sent_forms.begin(once.into_form()).await?.before() {
            Some(before) => redirect_again(&app, before),
            None => Err(StorageError::Busy.into()),
        },
        ResendOutcome::NotAllowed => Err(WebError::NotSignedIn),
    }
}
