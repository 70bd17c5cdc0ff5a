//! What a handler of the administration takes. One that takes an [`Administrator`] or an [`AdminForm`] is
//! reached by administrators only; everyone else gets "not found".

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use crate::web::audit::Actor;
use crate::web::forms::record::IdempotencyKey;
use crate::web::http::client::ClientAddress;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, SignedIn};
use crate::web::http::state::AppState;
use crate::web::identity::Account;
use crate::web::second_factor::FactorState;

/// An administrator who is logged in.
pub(crate) struct Administrator {
    pub(crate) who: SignedIn,
}

impl FromRequest for Administrator {
    type Error = WebError;
    type Future = LocalBoxFuture<'static, Result<Administrator, WebError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let who = SignedIn::from_request(request, payload);
        let state = AppState::of(request);
        Box::pin(async move {
            let (who, state) = (who.await?, state?);
            if !who.account().admin {
                return Err(WebError::NotFound);
            }
            if state.admins_need_factor {
                let factor = state.services.second_factors.state(&who.account().id).await?;
                if !matches!(factor, FactorState::On { .. }) {
                    return Err(WebError::FactorNeeded);
                }
            }
            Ok(Administrator { who })
        })
    }
}

/// A form that an administrator sent from a page of ours.
pub(crate) struct AdminForm<T> {
    pub(crate) who: SignedIn,
    pub(crate) actor: Actor,
    pub(crate) fields: T,
    pub(crate) sent: Option<IdempotencyKey>,
}

impl<T> AdminForm<T> {
    /// The administrator's account.
    pub(crate) fn account(&self) -> &Account {
        self.who.account()
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for AdminForm<T> {
    type Error = WebError;
    type Future = LocalBoxFuture<'static, Result<AdminForm<T>, WebError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let administrator = Administrator::from_request(request, payload);
        let form = CsrfForm::<T>::from_request(request, payload);
        let address = ClientAddress::from_request(request, payload).into_inner();
        Box::pin(async move {
            // Checked before the form is read: an error about its fields would reveal that the form exists.
            administrator.await?;
            let CsrfForm { who, fields, sent } = form.await?;
            let actor = Actor::account(who.account(), address?.0);
            Ok(AdminForm { who, actor, fields, sent })
        })
    }
}
