//! A person's API keys: `/account/keys`.

use std::collections::BTreeSet;

use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::web::api_keys::{
    ApiKeyId, KEYS_MAX, KeyForm, KeyFormErrors, KeyState, KeyTerms, MakeKeyOutcome, Scope, Scopes,
};
use crate::web::audit::Actor;
use crate::web::http::account::api_keys_page::{ApiKeysPage, KeyRow, NewKeyPage};
use crate::web::http::account::password::is_own_password;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, SignedIn};
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::respond::{
    AppData, html, html_with_flash, redirect_with_flash, see_other, unprocessable,
};
use crate::web::http::state::AppState;
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::passwords::{Asker, Password};
use crate::web::second_factor::FactorState;
use crate::web::shares::rights::Right;

const PAGE: &str = "/account/keys";

/// `GET /account/keys`
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let typed = KeyForm { days: "90".to_owned(), ..KeyForm::default() };
    let mut page = page_of(&app, &who, typed, KeyFormErrors::default()).await?;
    html_with_flash(&app, &request, |flash| {
        page.chrome.flash = flash;
        page
    })
}

async fn page_of(
    app: &AppState,
    who: &SignedIn,
    typed: KeyForm,
    errors: KeyFormErrors,
) -> Result<ApiKeysPage, WebError> {
    let now = app.services.clock.now();
    let keys = app.services.api_keys.list(Some(&who.account().id)).await?;
    let (active, over): (Vec<_>, Vec<_>) =
        keys.into_iter().partition(|key| key.state(now) == KeyState::Active);
    Ok(ApiKeysPage {
        chrome: who.form_chrome("API keys", Section::Account),
        email: who.account().email.as_str().to_owned(),
        is_admin: who.account().admin,
        shares: shares_of(app, who).into_iter().collect(),
        rows: active.into_iter().chain(over).map(|key| KeyRow::of(key, now)).collect(),
        typed,
        errors,
    })
}

/// Returns the names of the shares that the person may read.
fn shares_of(app: &AppState, who: &SignedIn) -> BTreeSet<String> {
    let roots = app.rights.roots_with(who.account(), Right::Read);
    roots.iter().map(|root| root.share().to_owned()).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKeyForm {
    name: String,
    files_read: Option<String>,
    files_write: Option<String>,
    links: Option<String>,
    requests: Option<String>,
    tokens: Option<String>,
    webhooks: Option<String>,
    admin: Option<String>,
    days: String,
    shares: String,
    networks: String,
    current_password: String,
}

impl NewKeyForm {
    fn typed(&self) -> KeyForm {
        let chosen = [
            (Scope::FilesRead, &self.files_read),
            (Scope::FilesWrite, &self.files_write),
            (Scope::Links, &self.links),
            (Scope::Requests, &self.requests),
            (Scope::Tokens, &self.tokens),
            (Scope::Webhooks, &self.webhooks),
            (Scope::Admin, &self.admin),
        ];
        let scopes = chosen.into_iter().filter(|(_, box_)| box_.is_some()).map(|(scope, _)| scope);
        KeyForm {
            name: self.name.clone(),
            scopes: scopes.collect::<Scopes>(),
            days: self.days.clone(),
            shares: self.shares.clone(),
            networks: self.networks.clone(),
        }
    }
}

/// `POST /account/keys`: makes a key, which only the answer shows.
pub(crate) async fn make(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<NewKeyForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, sent } = form;
    let once = app.sent_forms.begin(sent).await?;
    // A reloaded answer must not make a second key.
    if once.before().is_some() {
        return redirect_with_flash(&app, PAGE, FlashMessage::ApiKeyShown);
    }
    let (typed, now) = (fields.typed(), app.services.clock.now());
    let terms = match checked(&app, &who, &place, &typed, &fields.current_password).await? {
        Ok(terms) => terms,
        Err(errors) => return unprocessable(&page_of(&app, &who, typed, *errors).await?),
    };
    app.throttle.act(&who.account().id, now)?;
    let actor = Actor::account(who.account(), place.address);
    match app.services.api_keys.make(who.account(), &terms, &actor, now).await? {
        MakeKeyOutcome::Made(id, key) => {
            once.done(PAGE, "", now).await?;
            tracing::info!(account = %who.account().id, key = %id, scopes = %terms.scopes, "API key made");
            html(&NewKeyPage {
                chrome: who.chrome("Your new API key", Section::Account),
                name: terms.name,
                key: key.reveal().to_owned(),
                public_url: app.public_url.clone(),
            })
        }
        MakeKeyOutcome::TooMany => {
            let form = Some(format!("You have {KEYS_MAX} keys. Revoke one that you no longer need first."));
            let errors = KeyFormErrors { form, ..KeyFormErrors::default() };
            unprocessable(&page_of(&app, &who, typed, errors).await?)
        }
        MakeKeyOutcome::NotAllowed => Err(WebError::NotSignedIn),
    }
}

/// Returns the terms of a new key, if they are valid and the person has entered their password.
async fn checked(
    app: &AppData,
    who: &SignedIn,
    place: &ClientInfo,
    typed: &KeyForm,
    password: &str,
) -> Result<Result<KeyTerms, Box<KeyFormErrors>>, WebError> {
    let account = who.account();
    let terms = match typed.check(&shares_of(app, who), account.admin, app.services.clock.now()) {
        Ok(terms) => terms,
        Err(errors) => return Ok(Err(errors)),
    };
    if terms.scopes.contains(Scope::Admin) && app.admins_need_factor {
        let factor = app.services.second_factors.state(&account.id).await?;
        if !matches!(factor, FactorState::On { .. }) {
            return Err(WebError::FactorNeeded);
        }
    }
    let account = app.services.accounts.by_id(&account.id).await?.ok_or(WebError::NotSignedIn)?;
    let asker = Asker::Account(account.id.clone());
    if !is_own_password(app, &account, Password::presented(password), place.address, asker).await? {
        let current_password = Some("This is not your current password.".to_owned());
        return Ok(Err(Box::new(KeyFormErrors { current_password, ..KeyFormErrors::default() })));
    }
    Ok(Ok(terms))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeKeyForm {
    id: String,
}

/// `POST /account/keys/revoke`
pub(crate) async fn revoke(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<RevokeKeyForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let keys = &app.services.api_keys;
    let found = keys.by_id(&ApiKeyId::from_store(&fields.id)).await?;
    let key = found.filter(|key| key.account == who.account().id).ok_or(WebError::NotFound)?;
    let actor = Actor::account(who.account(), place.address);
    if !keys.revoke(&key, &actor, app.services.clock.now()).await? {
        // Sent twice.
        return Ok(see_other(PAGE));
    }
    tracing::info!(account = %who.account().id, key = %key.id, "API key revoked");
    redirect_with_flash(&app, PAGE, FlashMessage::ApiKeyRevoked)
}
