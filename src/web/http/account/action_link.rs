//! What the pages of action links share: whether a link can be used, and the pages for one that can't.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use tokio::sync::MutexGuard;

use crate::web::http::account::action_link_page::{
    ActionDonePage, CompletedAction, RenewForm, UnusableLinkPage, UnusableReason,
};
use crate::web::http::error::WebError;
use crate::web::http::respond::{html, with_form};
use crate::web::http::state::AppState;
use crate::web::identity::{Account, AccountId, AccountStage, Email};
use crate::web::membership::action_links::{ActionPurpose, VerifiedAction, fits};

/// What can be done with a link now.
pub(crate) enum ActionLinkStatus {
    /// It can act on this account; with the address that it confirms, if it does.
    Usable(Box<Account>, Option<Email>),
    /// It creates the first administrator.
    FirstAdministrator,
    /// It has done its work, or its owner has reached the same in another way.
    Done(CompletedAction),
    /// It can't be used; a new one can be sent to the owner of that account.
    Unusable(UnusableReason, Option<Box<Account>>),
}

/// A link that can act.
pub(crate) struct UsableLink {
    /// The account that it acts on.
    pub(crate) account: Box<Account>,
    /// The address that it confirms, if it does.
    pub(crate) email: Option<Email>,
}

impl ActionLinkStatus {
    /// Returns the account on which the link can act and the address that it confirms, or else the page that
    /// says why it can't act.
    ///
    /// # Errors
    /// For a link that creates the first administrator.
    pub(crate) fn usable_or_page(
        self,
        request: &HttpRequest,
        app: &AppState,
        folder: &str,
        unverified: &str,
    ) -> Result<Result<UsableLink, HttpResponse>, WebError> {
        match self {
            ActionLinkStatus::Usable(account, email) => Ok(Ok(UsableLink { account, email })),
            ActionLinkStatus::FirstAdministrator => Err(WebError::NotFound),
            ActionLinkStatus::Done(action) => done_page(action).map(Err),
            ActionLinkStatus::Unusable(why, account) => {
                let page = with_form(request, &app.cookies, StatusCode::GONE, |csrf| {
                    let action = format!("/{folder}/{unverified}/renew");
                    UnusableLinkPage::new(why, account.map(|_| RenewForm { action, csrf }))
                });
                page.map(Err)
            }
        }
    }
}

/// Waits until no other request uses the same link.
pub(crate) async fn lock<'a>(
    app: &'a AppState,
    unverified: &str,
) -> Result<Option<MutexGuard<'a, ()>>, WebError> {
    let services = &app.services;
    let jti = services.actions.verify(unverified, services.clock.now()).await?.action.jti;
    Ok(app.action_locks.lock(jti).await)
}

/// Verifies a link of the kind that `folder` is for, and returns what can be done with it. Changes nothing.
pub(crate) async fn status_of(
    app: &AppState,
    folder: &str,
    unverified: &str,
) -> Result<(VerifiedAction, ActionLinkStatus), WebError> {
    let services = &app.services;
    let link = services.actions.verify(unverified, services.clock.now()).await?;
    if link.purpose.folder() != folder {
        return Err(WebError::NotFound);
    }
    let status = status(app, &link).await?;
    Ok((link, status))
}

async fn status(app: &AppState, link: &VerifiedAction) -> Result<ActionLinkStatus, WebError> {
    let services = &app.services;
    let done = match link.purpose {
        ActionPurpose::FirstAdministrator | ActionPurpose::Activate => CompletedAction::Activated,
        ActionPurpose::Invite | ActionPurpose::Reset => CompletedAction::PasswordChosen,
        ActionPurpose::ConfirmAddress => CompletedAction::AddressChanged,
    };
    if services.actions.is_spent(&link.action).await? {
        return Ok(ActionLinkStatus::Done(done));
    }
    if link.purpose == ActionPurpose::FirstAdministrator {
        return Ok(match (services.accounts.has_administrator().await?, link.ended) {
            (true, _) => ActionLinkStatus::Done(done),
            (false, true) => ActionLinkStatus::Unusable(UnusableReason::Expired, None),
            (false, false) => ActionLinkStatus::FirstAdministrator,
        });
    }
    let account = services.accounts.by_id(&AccountId::from_store(&link.action.subject)).await?;
    let Some(account) = account.filter(|account| !account.disabled).map(Box::new) else {
        return Ok(ActionLinkStatus::Unusable(UnusableReason::Changed, None));
    };
    let is_first = matches!(link.purpose, ActionPurpose::Activate | ActionPurpose::Invite);
    if is_first && account.stage() == AccountStage::Active {
        return Ok(ActionLinkStatus::Done(done));
    }
    let requested = match link.purpose {
        ActionPurpose::ConfirmAddress => services.self_service.requested_address(&account.id).await?,
        _ => None,
    };
    let extra = requested.as_ref().map_or("", Email::key);
    Ok(if link.ended {
        ActionLinkStatus::Unusable(UnusableReason::Expired, Some(account))
    } else if !services.actions.is_newest(link).await? {
        ActionLinkStatus::Unusable(UnusableReason::Replaced, Some(account))
    } else if !fits(&link.action, &account, extra) {
        ActionLinkStatus::Unusable(UnusableReason::Changed, Some(account))
    } else {
        ActionLinkStatus::Usable(account, requested)
    })
}

/// Responds with the page for a link that has done its work.
pub(crate) fn done_page(action: CompletedAction) -> Result<HttpResponse, WebError> {
    html(&ActionDonePage::new(action))
}
