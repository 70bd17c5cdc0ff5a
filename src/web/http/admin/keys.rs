//! `/admin/keys`: the keys that sign tokens; a new one, and removing one that may be known to others.

use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::web::http::admin::administrator::{AdminForm, Administrator};
use crate::web::http::admin::keys_page::KeysPage;
use crate::web::http::error::WebError;
use crate::web::http::extract::EmptyForm;
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::respond::{AppData, blocking, html_with_flash, redirect_with_flash};
use crate::web::instance;
use crate::web::tokens::signer::{self, KeyType, SignerError};

const KEYS: &str = "/admin/keys";

/// `GET /admin/keys`
pub(crate) async fn list(
    app: AppData,
    request: HttpRequest,
    administrator: Administrator,
) -> Result<HttpResponse, WebError> {
    let folder = app.services.issuer.signer.folder().to_owned();
    let keys = blocking(move || signer::list(&folder)).await?.map_err(unusable)?;
    let mut page = KeysPage {
        chrome: administrator.who.chrome("Signing keys", Section::Admin),
        keys,
        now: app.services.clock.now(),
    };
    html_with_flash(&app, &request, |flash| {
        page.chrome.flash = flash;
        page
    })
}

/// `POST /admin/keys/rotate`: a new key signs; the old one stays valid until nothing it signed is.
pub(crate) async fn rotate(app: AppData, form: AdminForm<EmptyForm>) -> Result<HttpResponse, WebError> {
    let EmptyForm {} = form.fields;
    let (services, now) = (&app.services, app.services.clock.now());
    let (folder, longest) = (services.issuer.signer.folder().to_owned(), services.token_max);
    let made = blocking(move || signer::rotate(&folder, KeyType::Ed25519, now, longest)).await?;
    let kid = match made {
        Ok(kid) => kid,
        Err(SignerError::Full { .. }) => return redirect_with_flash(&app, KEYS, FlashMessage::KeysFull),
        Err(error) => return Err(unusable(error)),
    };
    instance::key_rotated(&services.db, &kid, &form.actor, now).await?;
    tracing::info!(account = %form.account().id, kid, "an administrator created a signing key");
    redirect_with_flash(&app, KEYS, FlashMessage::KeyRotated)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveKeyForm {
    kid: String,
}

/// `POST /admin/keys/remove`: nothing that the key signed stays valid. It is removed first: whatever fails
/// afterwards, no token of it is accepted any more.
pub(crate) async fn remove(app: AppData, form: AdminForm<RemoveKeyForm>) -> Result<HttpResponse, WebError> {
    let (services, now) = (&app.services, app.services.clock.now());
    let (folder, kid) = (services.issuer.signer.folder().to_owned(), form.fields.kid.clone());
    let active = match blocking(move || signer::remove(&folder, &kid, now)).await? {
        Ok(active) => active,
        Err(SignerError::NoSuchKey(_)) => return Err(WebError::NotFound),
        Err(error) => return Err(unusable(error)),
    };
    instance::signs_now(&services.db, &active).await?;
    services.end_key(&form.fields.kid, &form.actor, now).await?;
    let heard = services.revoke_now().await;
    tracing::warn!(account = %form.account().id, kid = form.fields.kid, "an administrator removed a signing key");
    let message = if heard { FlashMessage::KeyRemoved } else { FlashMessage::KeyRemovedUndelivered };
    redirect_with_flash(&app, KEYS, message)
}

fn unusable(error: SignerError) -> WebError {
    WebError::Internal(error.into())
}
