//! What a handler takes from a request. A handler's signature is its permission: one that takes a
//! [`SignedIn`] is only reached by a person who is logged in, one that takes a [`CsrfForm`] or a
//! [`StrangerForm`] only by a form from a page of ours.

use actix_web::cookie::Cookie;
use actix_web::dev::Payload;
use actix_web::web::{Bytes, Query};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::future::LocalBoxFuture;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::id::FilePath;
use crate::secret::Secret;
use crate::web::forms::record::IdempotencyKey;
use crate::web::forms::unsent::{self, UnsentForm};
use crate::web::http::body::{FORM, MAX_FORM, content_type, read_in_time};
use crate::web::http::csrf::{self, SentFrom};
use crate::web::http::error::WebError;
use crate::web::http::layout::{Chrome, Section, User, mail_trouble};
use crate::web::http::state::AppState;
use crate::web::identity::Account;
use crate::web::mail::stuck::StuckMail;
use crate::web::sessions::Session;

/// For forms that may be as large as `web.form_max` says.
pub const LARGEST_FORM: usize = usize::MAX;

/// A person who is logged in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The session.
    pub session: Session,
    /// The CSRF token for the session's forms.
    pub csrf: String,
    /// The person's own folder, if they have one.
    pub home: Option<FilePath>,
    /// The mails that need an administrator's attention, if this person is one.
    pub stuck: Option<StuckMail>,
}

impl SignedIn {
    /// The account.
    pub fn account(&self) -> &Account {
        &self.session.account
    }

    /// Returns the frame of a page for this person.
    pub fn chrome(&self, title: impl Into<String>, section: Section) -> Chrome {
        let account = self.account();
        let name = account.name.as_str().to_owned();
        let mail_trouble = self.stuck.map(mail_trouble);
        let user = User {
            name,
            csrf: self.csrf.clone(),
            home: self.home.clone(),
            admin: account.admin,
            mail_trouble,
        };
        Chrome::signed_in(title, section, user)
    }

    /// Returns the frame of a page whose form creates something, but only once however often it is sent.
    pub fn form_chrome(&self, title: impl Into<String>, section: Section) -> Chrome {
        let with_id = SignedIn { csrf: csrf::with_id(&self.csrf), ..self.clone() };
        with_id.chrome(title, section)
    }
}

/// Returns the session of a request, if it has one that has not ended.
///
/// # Errors
/// When the database fails.
pub async fn session_of(request: &HttpRequest, state: &AppState) -> Result<Option<SignedIn>, WebError> {
    let Some(id) = state.cookies.session(request.headers()) else { return Ok(None) };
    let session = state.sessions.find(&id, state.services.clock.now()).await?;
    Ok(session.map(|session| {
        let stuck = session.account.admin.then(|| state.services.queue.known_stuck());
        let home = state.rights.home(&session.account);
        SignedIn { session, csrf: csrf::token_for(&id), home, stuck: stuck.filter(|stuck| stuck.is_any()) }
    }))
}

/// Returns whether a request without a form was made by a page of ours: it has the session's CSRF token in
/// the header `X-CSRF-Token`, which no foreign page can send.
pub fn of_our_page(request: &HttpRequest, state: &AppState) -> bool {
    let Some(id) = state.cookies.session(request.headers()) else { return false };
    let token = request.headers().get("x-csrf-token").and_then(|value| value.to_str().ok());
    csrf::same_origin(request.headers(), &state.public_url)
        && token.is_some_and(|token| csrf::matches(&id, token))
}

impl FromRequest for SignedIn {
    type Error = WebError;
    type Future = LocalBoxFuture<'static, Result<SignedIn, WebError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let state = AppState::of(&request)?;
            session_of(&request, &state).await?.ok_or(WebError::NotSignedIn)
        })
    }
}

/// A form without fields, besides the CSRF token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmptyForm {}

/// A form of at most `MAX` bytes that a person who is logged in sent from a page of ours.
pub struct CsrfForm<T, const MAX: usize = MAX_FORM> {
    /// The person who sent it.
    pub who: SignedIn,
    /// The form's fields.
    pub fields: T,
    /// Identifies the form when it is sent again.
    pub sent: Option<IdempotencyKey>,
}

impl<T: DeserializeOwned + 'static, const MAX: usize> FromRequest for CsrfForm<T, MAX> {
    type Error = WebError;
    type Future = LocalBoxFuture<'static, Result<CsrfForm<T, MAX>, WebError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let state = AppState::of(&request)?;
            let id = state.cookies.session(request.headers());
            let (Some(id), Some(who)) = (id, session_of(&request, &state).await?) else {
                keep_unsent(&request, payload, &state).await;
                return Err(WebError::NotSignedIn);
            };
            let (body, sent) = own_form(&request, payload, &state, &id, MAX.min(state.form_max)).await?;
            Ok(CsrfForm { who, fields: parse(&body)?, sent })
        })
    }
}

/// A form from a page of ours, sent by a person who need not be logged in.
pub struct StrangerForm<T> {
    /// The form's fields.
    pub fields: T,
    /// The secret behind the browser's forms, for showing the form again.
    pub secret: Secret,
    /// Identifies the form when it is sent again.
    pub sent: Option<IdempotencyKey>,
}

impl<T: DeserializeOwned + 'static> FromRequest for StrangerForm<T> {
    type Error = WebError;
    type Future = LocalBoxFuture<'static, Result<StrangerForm<T>, WebError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let state = AppState::of(&request)?;
            // Checked first, because under another address the browser has no cookie of ours either.
            must_be_ours(&request, &state)?;
            // The page set a cookie; a browser that does not return it keeps none.
            let secret = state.cookies.form(request.headers()).ok_or(WebError::NoCookies)?;
            let (body, sent) =
                own_form(&request, payload, &state, &secret, MAX_FORM.min(state.form_max)).await?;
            Ok(StrangerForm { fields: parse(&body)?, secret, sent })
        })
    }
}

/// A form to an address that alone gives access, sent from a page of ours or by a program. It relies on no
/// cookie, so a foreign page could do no more than the page's author can. Browsers must still send it from a
/// page of ours.
pub struct OpenForm<T> {
    /// The form's fields; an empty body has none.
    pub fields: T,
    /// The secret behind the browser's forms, if it has one.
    pub secret: Option<Secret>,
    /// Whether it was sent by a page of ours rather than by a program.
    pub is_of_a_page: bool,
}

impl<T: DeserializeOwned + 'static> FromRequest for OpenForm<T> {
    type Error = WebError;
    type Future = LocalBoxFuture<'static, Result<OpenForm<T>, WebError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let state = AppState::of(&request)?;
            must_be_ours(&request, &state)?;
            let body = read_in_time(&request, payload, MAX_FORM.min(state.form_max)).await?;
            if !body.is_empty() && !is_form(&request) {
                return Err(WebError::NotAForm);
            }
            let (presented, rest) = take_token(&body)?;
            let secret = state.cookies.form(request.headers());
            // A browser that keeps no cookies sends our token without the secret that belongs to it.
            let is_ours = secret.as_ref().is_none_or(|secret| csrf::matches(secret, &presented));
            if !presented.is_empty() && !is_ours {
                return Err(WebError::ForeignForm);
            }
            Ok(OpenForm { fields: parse(&rest)?, secret, is_of_a_page: !presented.is_empty() })
        })
    }
}

/// Refuses a request from a foreign page, or to another address than the app's.
pub(crate) fn must_be_ours(request: &HttpRequest, state: &AppState) -> Result<(), WebError> {
    match csrf::sent_from(request.headers(), &state.public_url) {
        SentFrom::OurPage => Ok(()),
        SentFrom::OtherAddress => Err(WebError::OtherAddress(state.public_url.clone())),
        SentFrom::ForeignPage => Err(WebError::ForeignForm),
    }
}

/// Reads the body and checks that the form came from a page of ours, before its fields are parsed.
async fn own_form(
    request: &HttpRequest,
    payload: Payload,
    state: &AppState,
    secret: &Secret,
    max: usize,
) -> Result<(Bytes, Option<IdempotencyKey>), WebError> {
    must_be_ours(request, state)?;
    if !is_form(request) {
        return Err(WebError::NotAForm);
    }
    let body = read_in_time(request, payload, max).await?;
    let (presented, rest) = take_token(&body)?;
    if !csrf::matches(secret, &presented) {
        return Err(WebError::ForeignForm);
    }
    let sent = IdempotencyKey::new(request.path(), &presented, &rest);
    Ok((rest, sent))
}

/// A form that was kept because it came after its sender's login had ended.
#[derive(Clone)]
pub struct KeptForm {
    /// The id by which it is found again.
    pub id: Secret,
    /// The cookie to give to the browser, if it has none yet.
    pub cookie: Option<Cookie<'static>>,
}

/// Keeps a form whose sender's login has ended, if it came from a page of ours. If it can't be kept, its
/// sender has to type it again.
async fn keep_unsent(request: &HttpRequest, payload: Payload, state: &AppState) {
    if !csrf::same_origin(request.headers(), &state.public_url) || !is_form(request) {
        return;
    }
    let Ok(body) = read_in_time(request, payload, unsent::MOST_BYTES).await else { return };
    let Ok((_, rest)) = take_token(&body) else { return };
    let Ok(fields) = parse::<Vec<(String, String)>>(&rest) else { return };
    let fields: Vec<_> = fields.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect();
    if fields.is_empty() {
        return;
    }
    let Ok((browser, cookie)) = state.cookies.form_or_new(request.headers()) else { return };
    let form = UnsentForm { action: request.path().to_owned(), fields };
    if let Ok(id) = state.unsent.keep(&browser, form, state.services.clock.now()) {
        request.extensions_mut().insert(KeptForm { id, cookie });
    }
}

/// Splits a form into its CSRF token and its other fields. What is left is exactly what the handler expects,
/// so that an extra field is refused like a missing or repeated one.
fn take_token(body: &Bytes) -> Result<(String, Bytes), WebError> {
    let text = std::str::from_utf8(body).map_err(|_| WebError::Invalid("the form is not UTF-8"))?;
    // The parser would silently insert a replacement character.
    if percent_decode_str(text).decode_utf8().is_err() {
        return Err(WebError::Invalid("the form is not UTF-8"));
    }
    let is_token = |pair: &&str| pair.split('=').next() == Some("csrf");
    let mut tokens = text.split('&').filter(is_token);
    let token = tokens.next().and_then(|pair| pair.split_once('=')).map(|(_, token)| token);
    if tokens.next().is_some() {
        return Err(WebError::Invalid("the form has a field twice"));
    }
    let rest: Vec<&str> = text.split('&').filter(|pair| !is_token(pair)).collect();
    let token = percent_decode_str(token.unwrap_or_default()).decode_utf8_lossy().into_owned();
    Ok((token, Bytes::from(rest.join("&"))))
}

fn is_form(request: &HttpRequest) -> bool {
    content_type(request.headers()).eq_ignore_ascii_case(FORM)
}

/// Parses a form's body, which has the syntax of a query.
fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, WebError> {
    let text = std::str::from_utf8(body).map_err(|_| WebError::Invalid("the form is not UTF-8"))?;
    let fields = Query::<T>::from_query(text);
    fields
        .map(Query::into_inner)
        .map_err(|_| WebError::Invalid("the form has a missing, repeated or unexpected field"))
}
