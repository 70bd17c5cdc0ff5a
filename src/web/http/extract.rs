//! What a handler may ask of a request. A handler's signature is its permission: one that takes a
//! [`SignedIn`] is only reached by somebody who is logged in, one that takes a [`CsrfForm`] or a
//! [`StrangerForm`] only by a form of ours.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use actix_web::cookie::Cookie;
use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use actix_web::web::{Bytes, BytesMut, Data, Query};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::connection::Connection;
use crate::secret::Secret;
use crate::web::forms::sent::SentForm;
use crate::web::forms::unsent::{self, UnsentForm};
use crate::web::http::csrf::{self, SentFrom};
use crate::web::http::error::WebError;
use crate::web::http::layout::{Chrome, Section, User, mail_trouble};
use crate::web::http::state::State;
use crate::web::identity::Account;
use crate::web::identity::place::Place;
use crate::web::mail::stuck::Stuck;
use crate::web::sessions::Session;

/// Most bytes of a form; nearly all of ours are far smaller.
const MAX_FORM: usize = 64 * 1024;

/// For forms that may be as large as `web.form_max` says.
pub const LARGEST_FORM: usize = usize::MAX;

/// How long a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The session.
    pub session: Session,
    /// What the session's forms carry.
    pub csrf: String,
    /// Mails that wait for an administrator's help, for one who is.
    pub stuck: Option<Stuck>,
}

impl SignedIn {
    /// The account.
    pub fn account(&self) -> &Account {
        &self.session.account
    }

    /// What surrounds a page of this person.
    pub fn chrome(&self, title: impl Into<String>, section: Section) -> Chrome {
        let account = self.account();
        let name = account.name.as_str().to_owned();
        let mail_trouble = self.stuck.map(mail_trouble);
        let user = User { name, csrf: self.csrf.clone(), admin: account.admin, mail_trouble };
        Chrome::signed_in(title, section, user)
    }

    /// The same for a page with a form that makes something, however often it is sent.
    pub fn form_chrome(&self, title: impl Into<String>, section: Section) -> Chrome {
        let with_id = SignedIn { csrf: csrf::with_id(&self.csrf), ..self.clone() };
        with_id.chrome(title, section)
    }
}

/// The session of a request, if it has one that has not ended.
///
/// # Errors
/// When the database fails.
pub async fn session_of(request: &HttpRequest, state: &State) -> Result<Option<SignedIn>, WebError> {
    let Some(id) = state.cookies.session(request.headers()) else { return Ok(None) };
    let session = state.sessions.find(&id, state.administration.clock.now()).await?;
    Ok(session.map(|session| {
        let stuck = session.account.admin.then(|| state.administration.queue.known_stuck());
        SignedIn { session, csrf: csrf::token_for(&id), stuck: stuck.filter(|stuck| stuck.is_any()) }
    }))
}

/// Whether a request without a form was made by a page of ours: it carries the session's CSRF token in
/// the header `X-CSRF-Token`, which no foreign page can send.
pub fn of_our_page(request: &HttpRequest, state: &State) -> bool {
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
            let state = state_of(&request)?;
            session_of(&request, &state).await?.ok_or(WebError::NotSignedIn)
        })
    }
}

/// A form that somebody who is logged in sent from a page of ours, of at most `MOST` bytes.
pub struct CsrfForm<T, const MOST: usize = MAX_FORM> {
    /// Who sent it.
    pub who: SignedIn,
    /// What it says.
    pub fields: T,
    /// By what it is known when it is sent again.
    pub sent: Option<SentForm>,
}

impl<T: DeserializeOwned + 'static, const MOST: usize> FromRequest for CsrfForm<T, MOST> {
    type Error = WebError;
    type Future = LocalBoxFuture<'static, Result<CsrfForm<T, MOST>, WebError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let state = state_of(&request)?;
            let id = state.cookies.session(request.headers());
            let (Some(id), Some(who)) = (id, session_of(&request, &state).await?) else {
                keep_unsent(&request, payload, &state).await;
                return Err(WebError::NotSignedIn);
            };
            let (body, sent) = own_form(&request, payload, &state, &id, MOST.min(state.form_max)).await?;
            Ok(CsrfForm { who, fields: parse(&body)?, sent })
        })
    }
}

/// A form that somebody who need not be logged in sent from a page of ours.
pub struct StrangerForm<T> {
    /// What it says.
    pub fields: T,
    /// The secret behind the browser's forms, for showing the form again.
    pub secret: Secret,
    /// By what it is known when it is sent again.
    pub sent: Option<SentForm>,
}

impl<T: DeserializeOwned + 'static> FromRequest for StrangerForm<T> {
    type Error = WebError;
    type Future = LocalBoxFuture<'static, Result<StrangerForm<T>, WebError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let state = state_of(&request)?;
            // First of all: under another address the browser has no cookie of ours either.
            must_be_ours(&request, &state)?;
            // A page of ours whose cookie did not come back: the browser keeps none.
            let secret = state.cookies.form(request.headers()).ok_or(WebError::NoCookies)?;
            let (body, sent) =
                own_form(&request, payload, &state, &secret, MAX_FORM.min(state.form_max)).await?;
            Ok(StrangerForm { fields: parse(&body)?, secret, sent })
        })
    }
}

/// What somebody sent whom the address alone lets in, from a page of ours or with a program. No cookie
/// speaks for him, so a foreign page could do no more than its author can; browsers are held to our own
/// pages all the same.
pub struct OpenForm<T> {
    /// What it says; an empty body says nothing.
    pub fields: T,
    /// The secret behind the browser's forms, if it has one.
    pub secret: Option<Secret>,
    /// Whether it is a form of ours, as browsers send it, and not what a program made up.
    pub is_of_a_page: bool,
}

impl<T: DeserializeOwned + 'static> FromRequest for OpenForm<T> {
    type Error = WebError;
    type Future = LocalBoxFuture<'static, Result<OpenForm<T>, WebError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let state = state_of(&request)?;
            must_be_ours(&request, &state)?;
            let body = in_time(&request, payload, MAX_FORM.min(state.form_max)).await?;
            if !body.is_empty() && !is_form(&request) {
                return Err(WebError::NoForm);
            }
            let (presented, rest) = take_token(&body)?;
            let secret = state.cookies.form(request.headers());
            // A browser that keeps no cookies has a form of ours without the secret behind it.
            let is_ours = secret.as_ref().is_none_or(|secret| csrf::matches(secret, &presented));
            if !presented.is_empty() && !is_ours {
                return Err(WebError::ForeignForm);
            }
            Ok(OpenForm { fields: parse(&rest)?, secret, is_of_a_page: !presented.is_empty() })
        })
    }
}

/// What proxies add to a request.
const FORWARDING: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/// The client's address, by which attempts are counted.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

impl FromRequest for ClientAddress {
    type Error = WebError;
    type Future = std::future::Ready<Result<ClientAddress, WebError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(state_of(request).map(|state| ClientAddress(client_address(&state, request))))
    }
}

/// The client's address of a request.
pub fn client_address(state: &State, request: &HttpRequest) -> IpAddr {
    // Without a peer (a Unix socket) everybody counts as one.
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    state.addresses.of(peer, request.headers())
}

/// The client's own address, by which it may continue a download; `None` where it is not known. Somebody whom
/// a proxy forwards that we don't trust, or that names nobody, is not known: all its clients have one address.
pub fn own_address(request: &HttpRequest, state: &State) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let headers = request.headers();
    let client = state.addresses.of(peer, headers);
    let is_forwarded = FORWARDING.iter().any(|name| headers.contains_key(*name));
    (client != peer || !is_forwarded).then_some(client)
}

impl FromRequest for Place {
    type Error = WebError;
    type Future = std::future::Ready<Result<Place, WebError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let agent = request.headers().get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        let agent: String = agent.unwrap_or_default().chars().filter(|c| !c.is_control()).take(300).collect();
        let address = ClientAddress::from_request(request, payload).into_inner();
        std::future::ready(address.map(|ClientAddress(address)| Place { address, agent }))
    }
}

fn state_of(request: &HttpRequest) -> Result<Data<State>, WebError> {
    let state = request.app_data::<Data<State>>();
    state.cloned().ok_or_else(|| WebError::Internal("the app's state is missing".into()))
}

/// Refuses what was sent from somebody else's page, or to another address than the app's.
pub(crate) fn must_be_ours(request: &HttpRequest, state: &State) -> Result<(), WebError> {
    match csrf::sent_from(request.headers(), &state.public_url) {
        SentFrom::OurPage => Ok(()),
        SentFrom::OtherAddress => Err(WebError::OtherAddress(state.public_url.clone())),
        SentFrom::ForeignPage => Err(WebError::ForeignForm),
    }
}

/// Reads the body and checks that the form is ours, before anything in it is looked at.
async fn own_form(
    request: &HttpRequest,
    payload: Payload,
    state: &State,
    secret: &Secret,
    most: usize,
) -> Result<(Bytes, Option<SentForm>), WebError> {
    must_be_ours(request, state)?;
    if !is_form(request) {
        return Err(WebError::NoForm);
    }
    let body = in_time(request, payload, most).await?;
    let (presented, rest) = take_token(&body)?;
    if !csrf::matches(secret, &presented) {
        return Err(WebError::ForeignForm);
    }
    let sent = SentForm::new(request.path(), &presented, &rest);
    Ok((rest, sent))
}

/// A form that came after the log-in had ended, by which it is found again, and the secret that its
/// browser is to be given if it has none yet.
#[derive(Clone)]
pub struct KeptForm {
    /// By this it is found again.
    pub id: Secret,
    /// The cookie that the browser has to be given.
    pub cookie: Option<Cookie<'static>>,
}

/// Keeps what somebody typed whose log-in has ended, if it comes from a page of ours. That it can't be
/// kept is no failure: then it is as it would be without.
async fn keep_unsent(request: &HttpRequest, payload: Payload, state: &State) {
    if !csrf::same_origin(request.headers(), &state.public_url) || !is_form(request) {
        return;
    }
    let Ok(body) = in_time(request, payload, unsent::MOST_BYTES).await else { return };
    let Ok((_, rest)) = take_token(&body) else { return };
    let Ok(fields) = parse::<Vec<(String, String)>>(&rest) else { return };
    let fields: Vec<_> = fields.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect();
    if fields.is_empty() {
        return;
    }
    let (browser, cookie) = match state.cookies.form(request.headers()) {
        Some(secret) => (secret, None),
        None => match state.cookies.new_form() {
            Ok((secret, cookie)) => (secret, Some(cookie)),
            Err(_) => return,
        },
    };
    let form = UnsentForm { action: request.path().to_owned(), fields };
    if let Ok(id) = state.unsent.keep(&browser, form, state.administration.clock.now()) {
        request.extensions_mut().insert(KeptForm { id, cookie });
    }
}

/// The CSRF token, and the form without it: what is left is exactly what the handler knows, so that
/// a field too many is refused like one that is missing or there twice.
fn take_token(body: &Bytes) -> Result<(String, Bytes), WebError> {
    let text = std::str::from_utf8(body).map_err(|_| WebError::Invalid("the form is not UTF-8"))?;
    // The reader of forms would put a replacement character in its place.
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
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The body of a request, of at most `most` bytes, if it arrives in time.
pub(crate) async fn in_time(request: &HttpRequest, payload: Payload, most: usize) -> Result<Bytes, WebError> {
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let size = announced.unwrap_or(most);
    if size > most {
        return Err(WebError::TooLarge(most));
    }
    if let Some(connection) = request.conn_data::<Connection>()
        && let Some(held) = connection.hold_beyond_the_uncounted(size)?
    {
        // Until the request is answered: the fields that are made of the body live as long.
        request.extensions_mut().insert(held);
    }
    let reading = tokio::time::timeout(FORM_TIMEOUT, read(payload, size.min(MAX_FORM), most));
    reading.await.map_err(|_| WebError::Slow)?
}

async fn read(mut payload: Payload, likely: usize, most: usize) -> Result<Bytes, WebError> {
    let mut body = BytesMut::with_capacity(likely);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| WebError::Invalid("the body broke off"))?;
        if body.len() + chunk.len() > most {
            return Err(WebError::TooLarge(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// A form's body has the form of a query.
fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, WebError> {
    let text = std::str::from_utf8(body).map_err(|_| WebError::Invalid("the form is not UTF-8"))?;
    let fields = Query::<T>::from_query(text);
    fields
        .map(Query::into_inner)
        .map_err(|_| WebError::Invalid("the form lacks a field, or has one twice or too many"))
}
