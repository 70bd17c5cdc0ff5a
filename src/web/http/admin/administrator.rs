//! A handler that takes an [`Administrator`] or an [`AdminForm`] is reached by
//! administrators only; to everybody else there is nothing here.

use actix_web::dev::Payload;
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use crate::web::audit::Actor;
use crate::web::forms::sent::SentForm;
use crate::web::http::admin::pager::Pager;
use crate::web::http::admin::{accounts, audit, mail};
use crate::web::http::error::WebError;
use crate::web::http::extract::{ClientAddress, CsrfForm, SignedIn};
use crate::web::http::respond::{get_or_head, see_other};
use crate::web::identity::Account;

/// Entries of a list on one page.
pub(super) const PAGE: u32 = 50;

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/admin").route(get_or_head().to(home)))
        .service(web::resource("/admin/accounts").route(get_or_head().to(accounts::list)))
        .service(
            web::resource("/admin/invite")
                .route(get_or_head().to(accounts::invite_page))
                .route(web::post().to(accounts::invite)),
        )
        .service(web::resource("/admin/accounts/{id}").route(get_or_head().to(accounts::detail)))
        .service(web::resource("/admin/accounts/{id}/link").route(web::post().to(accounts::send_link)))
        .service(web::resource("/admin/accounts/{id}/disable").route(web::post().to(accounts::disable)))
        .service(web::resource("/admin/accounts/{id}/enable").route(web::post().to(accounts::enable)))
        .service(web::resource("/admin/accounts/{id}/rights").route(web::post().to(accounts::set_rights)))
        .service(
            web::resource("/admin/accounts/{id}/end-sessions").route(web::post().to(accounts::end_sessions)),
        )
        .service(web::resource("/admin/accounts/{id}/delete").route(web::post().to(accounts::delete)))
        .service(web::resource("/admin/mail").route(get_or_head().to(mail::list)))
        .service(web::resource("/admin/mail/retry").route(web::post().to(mail::retry)))
        .service(web::resource("/admin/mail/retry-all").route(web::post().to(mail::retry_all)))
        .service(web::resource("/admin/mail/test").route(web::post().to(mail::test)))
        .service(web::resource("/admin/mail/discard").route(web::post().to(mail::discard)))
        .service(web::resource("/admin/audit").route(get_or_head().to(audit::list)));
}

async fn home(_: Administrator) -> actix_web::HttpResponse {
    see_other("/admin/accounts")
}

/// An administrator who is logged in.
pub(crate) struct Administrator {
    pub(super) who: SignedIn,
}

impl FromRequest for Administrator {
    type Error = WebError;
    type Future = LocalBoxFuture<'static, Result<Administrator, WebError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let who = SignedIn::from_request(request, payload);
        Box::pin(async move {
            let who = who.await?;
            if who.account().admin { Ok(Administrator { who }) } else { Err(WebError::NotFound) }
        })
    }
}

/// A form that an administrator sent from a page of ours.
pub(crate) struct AdminForm<T> {
    pub(super) who: SignedIn,
    pub(super) actor: Actor,
    pub(super) fields: T,
    pub(super) sent: Option<SentForm>,
}

impl<T> AdminForm<T> {
    pub(super) fn account(&self) -> &Account {
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
            // Before the form is looked at: what would be wrong with it tells that there is one.
            administrator.await?;
            let CsrfForm { who, fields, sent } = form.await?;
            let actor = Actor::account(who.account(), address?.0);
            Ok(AdminForm { who, actor, fields, sent })
        })
    }
}

/// To the pages before and after number `page` of the list at `address`.
pub(super) fn pager(address: &str, page: u32, more: bool) -> Pager {
    let joint = if address.contains('?') { '&' } else { '?' };
    let to = |page: u32| format!("{address}{joint}page={page}");
    Pager { newer: page.checked_sub(1).map(to), older: more.then(|| to(page.saturating_add(1))) }
}

/// Nothing but the token.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// A list's page as its address names it.
#[derive(Default, serde::Deserialize)]
pub(crate) struct View {
    #[serde(default)]
    pub(super) q: String,
    #[serde(default)]
    pub(super) page: u32,
    #[serde(default)]
    pub(super) state: String,
    #[serde(default)]
    pub(super) check: String,
}

impl View {
    pub(super) fn offset(&self) -> u32 {
        self.page.saturating_mul(PAGE)
    }
}
