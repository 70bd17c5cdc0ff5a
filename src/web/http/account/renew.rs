//! Mailing a new action link to the owner of one that can't be used any more.

use actix_web::HttpResponse;
use actix_web::web::Path;

use crate::web::http::account::action_link::{ActionLinkStatus, done_page, status_of};
use crate::web::http::error::WebError;
use crate::web::http::extract::{EmptyForm, StrangerForm};
use crate::web::http::respond::{App, see_other};
use crate::web::identity::place::Place;
use crate::web::mail::asked::Asked;
use crate::web::membership::action_links::Purpose;
use crate::web::throttle::Cause;

/// `POST /{folder}/{token}/renew`: mails a new link to the mailbox that got the old one.
pub(crate) async fn renew(
    app: App,
    place: Place,
    path: Path<(String, String)>,
    form: StrangerForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let EmptyForm {} = form.fields;
    let (folder, unverified) = path.into_inner();
    let now = app.administration.clock.now();
    app.throttle.request(place.address, now)?;
    let (link, status) = status_of(&app, &folder, &unverified).await?;
    let account = match status {
        ActionLinkStatus::Done(action) => return done_page(action),
        ActionLinkStatus::FirstAdministrator | ActionLinkStatus::Unusable(_, None) => {
            return Err(WebError::NotFound);
        }
        ActionLinkStatus::Usable(account, _) | ActionLinkStatus::Unusable(_, Some(account)) => account,
    };
    let service = &app.administration.self_service;
    let wanted = match link.purpose {
        Purpose::ConfirmAddress => service.requested_address(&account.id).await?,
        _ => Some(account.email.clone()),
    };
    if let Some(email) = wanted.filter(|email| app.throttle.mail(Cause::Renew, email.key(), now)) {
        match link.purpose {
            Purpose::ConfirmAddress => service.confirm_again(&account.id, &email, now).await?,
            _ => service.forgot(&email, Asked::new(&place, now), now).await?,
        }
    }
    Ok(see_other("/mail-sent?for=link"))
}
