//! Mailing a new action link to the owner of one that can't be used any more.

use actix_web::HttpResponse;
use actix_web::web::Path;

use crate::web::http::account::action_link::{ActionLinkStatus, done_page, status_of};
use crate::web::http::error::WebError;
use crate::web::http::extract::{EmptyForm, StrangerForm};
use crate::web::http::respond::{AppData, see_other};
use crate::web::identity::client_info::ClientInfo;
use crate::web::mail::request_origin::RequestOrigin;
use crate::web::membership::action_links::ActionPurpose;
use crate::web::throttle::MailCause;

/// `POST /{folder}/{token}/renew`: mails a new link to the mailbox that got the old one.
pub(crate) async fn renew(
    app: AppData,
    place: ClientInfo,
    path: Path<(String, String)>,
    form: StrangerForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let EmptyForm {} = form.fields;
    let (folder, unverified) = path.into_inner();
    let now = app.services.clock.now();
    app.throttle.request(place.address, now)?;
    let (link, status) = status_of(&app, &folder, &unverified).await?;
    let account = match status {
        ActionLinkStatus::Done(action) => return done_page(action),
        ActionLinkStatus::FirstAdministrator | ActionLinkStatus::Unusable(_, None) => {
            return Err(WebError::NotFound);
        }
        ActionLinkStatus::Usable(account, _) | ActionLinkStatus::Unusable(_, Some(account)) => account,
    };
    let service = &app.services.self_service;
    let wanted = match link.purpose {
        ActionPurpose::ConfirmAddress => service.requested_address(&account.id).await?,
        _ => Some(account.email.clone()),
    };
    if let Some(email) = wanted.filter(|email| app.throttle.mail(MailCause::Renew, email.key(), now)) {
        match link.purpose {
            ActionPurpose::ConfirmAddress => service.confirm_again(&account.id, &email, now).await?,
            _ => service.forgot(&email, RequestOrigin::new(&place, now), now).await?,
        }
    }
    Ok(see_other("/mail-sent?for=link"))
}
