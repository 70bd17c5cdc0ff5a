//! What action links have in common: what one is good for now, and a new one for who asks.

use actix_web::http::StatusCode;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::web::http::account::action_link_page::{Done, LinkDone, LinkOver, Over, RenewForm};
use crate::web::http::error::WebError;
use crate::web::http::extract::StrangerForm;
use crate::web::http::respond::{App, see_other, with_form};
use crate::web::http::state::State;
use crate::web::identity::place::Place;
use crate::web::identity::{Account, AccountId, Email, Stage};
use crate::web::mail::asked::Asked;
use crate::web::membership::action_links::{Presented, Purpose, fits};
use crate::web::throttle::Cause;

/// What a link is good for now.
pub(crate) enum Standing {
    /// It can act on this account; with the address that it confirms, if it does.
    Good(Box<Account>, Option<Email>),
    /// It makes the first administrator.
    FirstAdministrator,
    /// It has done its work, or that was done in another way that serves its owner as well.
    Done(Done),
    /// It can't be used; a new one may be sent to that account's owner.
    Over(Over, Option<Box<Account>>),
}

/// What a link of the kind that `folder` holds is good for. Changes nothing.
pub(crate) async fn look_at(
    app: &State,
    folder: &str,
    unverified: &str,
) -> Result<(Presented, Standing), WebError> {
    let administration = &app.administration;
    let link = administration.actions.verify(unverified, administration.clock.now()).await?;
    if link.purpose.folder() != folder {
        return Err(WebError::NotFound);
    }
    let standing = standing(app, &link).await?;
    Ok((link, standing))
}

async fn standing(app: &State, link: &Presented) -> Result<Standing, WebError> {
    let administration = &app.administration;
    let done = match link.purpose {
        Purpose::FirstAdministrator | Purpose::Activate => Done::Activated,
        Purpose::Invite | Purpose::Reset => Done::PasswordChosen,
        Purpose::ConfirmAddress => Done::AddressChanged,
    };
    if administration.actions.is_spent(&link.action).await? {
        return Ok(Standing::Done(done));
    }
    if link.purpose == Purpose::FirstAdministrator {
        return Ok(match (administration.accounts.has_administrator().await?, link.ended) {
            (true, _) => Standing::Done(done),
            (false, true) => Standing::Over(Over::Expired, None),
            (false, false) => Standing::FirstAdministrator,
        });
    }
    let account = administration.accounts.by_id(&AccountId::from_store(&link.action.subject)).await?;
    let Some(account) = account.filter(|account| !account.disabled).map(Box::new) else {
        return Ok(Standing::Over(Over::Changed, None));
    };
    let is_first = matches!(link.purpose, Purpose::Activate | Purpose::Invite);
    if is_first && account.stage() == Stage::Active {
        return Ok(Standing::Done(done));
    }
    let requested = match link.purpose {
        Purpose::ConfirmAddress => administration.self_service.requested_address(&account.id).await?,
        _ => None,
    };
    let extra = requested.as_ref().map_or("", Email::key);
    Ok(if link.ended {
        Standing::Over(Over::Expired, Some(account))
    } else if !administration.actions.is_newest(link).await? {
        Standing::Over(Over::Replaced, Some(account))
    } else if !fits(&link.action, &account, extra) {
        Standing::Over(Over::Changed, Some(account))
    } else {
        Standing::Good(account, requested)
    })
}

/// The page for a link that can't be used any more.
pub(crate) fn over(
    request: &HttpRequest,
    app: &State,
    folder: &str,
    unverified: &str,
    why: Over,
    account: Option<Box<Account>>,
) -> Result<HttpResponse, WebError> {
    with_form(request, &app.cookies, StatusCode::GONE, |csrf| {
        let renew = account.map(|_| RenewForm { action: format!("/{folder}/{unverified}/renew"), csrf });
        LinkOver::new(why, renew)
    })
}

/// The page for a link that has done its work.
pub(crate) fn done(what: Done) -> Result<HttpResponse, WebError> {
    crate::web::http::respond::html(&LinkDone::new(what))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// `POST /{folder}/{token}/renew`: a new link for whoever has the old one, to the same mailbox.
pub(crate) async fn renew(
    app: App,
    place: Place,
    path: Path<(String, String)>,
    form: StrangerForm<Nothing>,
) -> Result<HttpResponse, WebError> {
    let Nothing {} = form.fields;
    let (folder, unverified) = path.into_inner();
    let now = app.administration.clock.now();
    app.throttle.request(place.address, now)?;
    let (link, standing) = look_at(&app, &folder, &unverified).await?;
    let account = match standing {
        Standing::Done(what) => return done(what),
        Standing::FirstAdministrator | Standing::Over(_, None) => return Err(WebError::NotFound),
        Standing::Good(account, _) | Standing::Over(_, Some(account)) => account,
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
