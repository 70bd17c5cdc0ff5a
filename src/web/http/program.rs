//! What a handler of the API takes: a program that presented a key with the scope that the handler names. No handler can
//! reach an account without naming one, because only this module makes a [`Program`].
//!
//! A key is read from the header `Authorization` and from nowhere else. A session's cookie means nothing here.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::future::LocalBoxFuture;

use crate::bearer::bearer;
use crate::id::FilePath;
use crate::web::api_keys::{ApiKey, KeyCheck, PresentedKey, Scope};
use crate::web::audit::Actor;
use crate::web::http::api_error::ApiError;
use crate::web::http::client::client_address;
use crate::web::http::error::WebError;
use crate::web::http::state::AppState;
use crate::web::identity::Account;
use crate::web::shares::rights::{Manageable, Readable, Rights, Writable};

/// Names the scope that a handler needs.
pub trait NeedsScope: 'static {
    /// The scope; `None` if any key will do.
    const SCOPE: Option<Scope>;
}

macro_rules! needs {
    ($($(#[$about:meta])* $name:ident: $scope:expr,)+) => {
        $($(#[$about])* pub enum $name {}

        impl NeedsScope for $name {
            const SCOPE: Option<Scope> = $scope;
        })+
    };
}

needs! {
    /// Any key will do.
    AnyScope: None,
    /// Needs `files:read`.
    FilesRead: Some(Scope::FilesRead),
    /// Needs `files:write`.
    FilesWrite: Some(Scope::FilesWrite),
    /// Needs `links`.
    LinksScope: Some(Scope::Links),
    /// Needs `requests`.
    RequestsScope: Some(Scope::Requests),
    /// Needs `tokens`.
    TokensScope: Some(Scope::Tokens),
    /// Needs `webhooks`.
    WebhooksScope: Some(Scope::Webhooks),
    /// Needs `admin`, and an account that is an administrator's.
    AdminScope: Some(Scope::Admin),
}

/// A program that presented a key with the scope `S`.
pub struct Program<S> {
    key: Arc<ApiKey>,
    address: IpAddr,
    scope: PhantomData<fn() -> S>,
}

impl<S: NeedsScope> Program<S> {
    /// Returns the program that sent a request.
    ///
    /// # Errors
    /// When it presented no key that may be used for this now, or has sent too many requests.
    pub async fn of(request: &HttpRequest, app: &AppState) -> Result<Program<S>, WebError> {
        let (key, address) = authenticate(request, app).await?;
        if let Some(scope) = S::SCOPE
            && !key.scopes.contains(scope)
        {
            return Err(ApiError::ScopeMissing(scope).into());
        }
        // An account that lost the role loses it here, too, whatever its keys say.
        if S::SCOPE == Some(Scope::Admin) && !key.account.admin {
            return Err(ApiError::AdministratorsOnly.into());
        }
        Ok(Program { key, address, scope: PhantomData })
    }

    /// Returns the program of a request that has been going on for a while, if its key still works. Doesn't count
    /// against its limit.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn still(request: &HttpRequest, app: &AppState) -> Result<Option<Program<S>>, WebError> {
        let (address, now) = (client_address(app, request), app.services.clock.now());
        let Some(presented) = bearer(request.headers()).and_then(PresentedKey::parse) else {
            return Ok(None);
        };
        let keys = &app.services.api_keys;
        let check = match keys.find(&presented, address, now).await? {
            Some(check) => check,
            None => keys.look_up(&presented, address, now).await?,
        };
        let KeyCheck::Valid(key) = check else { return Ok(None) };
        let is_allowed = S::SCOPE.is_none_or(|scope| key.scopes.contains(scope));
        Ok(is_allowed.then_some(Program { key, address, scope: PhantomData }))
    }
}

impl<S> Program<S> {
    /// The key.
    pub fn key(&self) -> &ApiKey {
        &self.key
    }

    /// The account that the program acts for.
    pub fn account(&self) -> &Account {
        &self.key.account
    }

    /// Returns the account and the client's address, for the audit log.
    pub fn actor(&self) -> Actor {
        Actor::account(self.account(), self.address)
    }

    /// Returns the path as one that both the account and the key may read.
    pub fn readable(&self, rights: &Rights, path: FilePath) -> Option<Readable> {
        rights.readable(self.account(), path).filter(|readable| self.key.covers(readable.path()))
    }

    /// Returns the folder as one that both the account and the key may write to.
    pub fn writable(&self, rights: &Rights, path: FilePath) -> Option<Writable> {
        rights.writable(self.account(), path).filter(|writable| self.key.covers(writable.path()))
    }

    /// Returns the path as one that both the account and the key may manage.
    pub fn manageable(&self, rights: &Rights, path: FilePath) -> Option<Manageable> {
        rights.manageable(self.account(), path).filter(|manageable| self.key.covers(manageable.path()))
    }

    /// Returns whether the key covers all these paths.
    pub fn covers(&self, paths: &[FilePath]) -> bool {
        paths.iter().all(|path| self.key.covers(path))
    }
}

impl<S: NeedsScope> FromRequest for Program<S> {
    type Error = WebError;
    type Future = LocalBoxFuture<'static, Result<Program<S>, WebError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Program::of(&request, &*AppState::of(&request)?).await })
    }
}

/// Returns the key that a request presents, and counts the request against its limit.
async fn authenticate(request: &HttpRequest, app: &AppState) -> Result<(Arc<ApiKey>, IpAddr), WebError> {
    let (keys, metrics) = (&app.services.api_keys, &app.metrics);
    let (address, now) = (client_address(app, request), app.services.clock.now());
    let presented = bearer(request.headers()).ok_or(ApiError::KeyMissing)?;
    let Some(presented) = PresentedKey::parse(presented) else {
        metrics.count_key_check("malformed");
        return Err(ApiError::KeyInvalid.into());
    };
    let check = match keys.find(&presented, address, now).await? {
        Some(check) => check,
        None => {
            let look_up = app.throttle.look_up_key(address, now).inspect_err(|_| {
                metrics.count_key_check("throttled");
            })?;
            let check = keys.look_up(&presented, address, now).await?;
            if !matches!(check, KeyCheck::Invalid) {
                app.throttle.known_key(look_up);
            }
            check
        }
    };
    let key = match check {
        KeyCheck::Valid(key) => key,
        KeyCheck::Invalid => {
            metrics.count_key_check("invalid");
            return Err(ApiError::KeyInvalid.into());
        }
        KeyCheck::Elsewhere => {
            metrics.count_key_check("elsewhere");
            return Err(ApiError::AddressNotAllowed.into());
        }
    };
    metrics.count_key_check("accepted");
    match app.throttle.api_request(key.id.as_str(), now) {
        Ok(quota) => {
            if let Some(quota) = quota {
                request.extensions_mut().insert(quota);
            }
            Ok((key, address))
        }
        Err((early, quota)) => {
            request.extensions_mut().insert(quota);
            Err(early.into())
        }
    }
}
