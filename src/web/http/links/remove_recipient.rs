//! Removing a recipient from a link: a page that asks, and its form.

use actix_web::HttpResponse;
use actix_web::web::Path;

use crate::id::RecipientId;
use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, EmptyForm, SignedIn};
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::links::own_link::{own_link, redirect_to_link};
use crate::web::http::links::remove_recipient_page::RemoveRecipientPage;
use crate::web::http::respond::{AppData, html};
use crate::web::identity::client_info::ClientInfo;
use crate::web::links::roster::RemoveRecipientOutcome;
use crate::web::links::{Link, Recipient};

/// `GET /links/{id}/recipients/{recipient}`
pub(crate) async fn page(
    app: AppData,
    ids: Path<(String, String)>,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let (link, recipient) = own_recipient(&app, &who, &ids).await?;
    if recipient.removed_at.is_some() || link.revoked_at.is_some() {
        return redirect_to_link(&app, &link, None);
    }
    html(&RemoveRecipientPage {
        chrome: who.chrome("Remove a recipient", Section::Links),
        id: link.id.to_string(),
        recipient: recipient.id.to_string(),
        title: link.title,
        email: recipient.email.map(|email| email.as_str().to_owned()),
    })
}

/// `POST /links/{id}/recipients/{recipient}`
pub(crate) async fn remove(
    app: AppData,
    ids: Path<(String, String)>,
    place: ClientInfo,
    form: CsrfForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields: EmptyForm {}, .. } = form;
    let (link, recipient) = own_recipient(&app, &who, &ids).await?;
    let (services, now) = (&app.services, app.services.clock.now());
    app.throttle.link(&who.account().id, now)?;
    let actor = Actor::account(who.account(), place.address);
    match services.links.remove_recipient(&link, &recipient, &actor, now).await? {
        RemoveRecipientOutcome::Removed => {
            let heard = services.revoke_now().await;
            tracing::info!(account = %who.account().id, link = %link.id, recipient = %recipient.id, "recipient removed");
            let message =
                if heard { FlashMessage::RecipientRemoved } else { FlashMessage::LinkClosedUndelivered };
            redirect_to_link(&app, &link, Some(message))
        }
        RemoveRecipientOutcome::Last => redirect_to_link(&app, &link, Some(FlashMessage::LastRecipient)),
        RemoveRecipientOutcome::NotAllowed => Err(WebError::NotSignedIn),
    }
}

/// Returns the recipient and their link, if it is this person's.
async fn own_recipient(
    app: &AppData,
    who: &SignedIn,
    (id, recipient): &(String, String),
) -> Result<(Link, Recipient), WebError> {
    let link = own_link(app, who, id).await?;
    let found = app.services.links.by_recipient(&RecipientId::from_store(recipient)).await?;
    let (_, recipient) = found.filter(|(other, _)| other.id == link.id).ok_or(WebError::NotFound)?;
    Ok((link, recipient))
}
