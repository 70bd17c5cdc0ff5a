//! What follows once a password is right: a session, or the question for the code of the second factor.

use actix_web::HttpResponse;
use actix_web::cookie::Cookie;

use crate::web::accounts::proof::{LoginProof, PasswordProof};
use crate::web::http::error::WebError;
use crate::web::http::local_path::LocalPath;
use crate::web::http::respond::{add_cookie, see_other};
use crate::web::http::state::AppState;
use crate::web::identity::Account;
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::passwords::{Asker, Password};
use crate::web::second_factor::waiting::{PATIENCE, WaitingLogin};
use crate::web::sessions::NewSession;

/// What follows a right password.
pub(crate) enum Entered {
    /// A session, whose id is in this cookie.
    In(Box<LoginProof>, Cookie<'static>),
    /// The account has a second factor; the cookie holds the login until its code comes.
    Waiting(Cookie<'static>),
    /// The account has changed meanwhile.
    Overtaken,
}

/// Starts a session for a person whose password is right, unless their account has a second factor.
pub(crate) async fn begin(
    app: &AppState,
    proof: PasswordProof,
    remembered: bool,
    place: &ClientInfo,
) -> Result<Entered, WebError> {
    let (services, now) = (&app.services, app.services.clock.now());
    let factors = &services.second_factors;
    let Some(factor) = factors.not_needed(&proof.account().id).await? else {
        let account = proof.account().id.clone();
        let waiting = WaitingLogin { account, until: now.plus(PATIENCE), remembered };
        let value = waiting.seal(proof.password(), factors.key());
        return Ok(Entered::Waiting(app.cookies.set_waiting_login(&value, PATIENCE)));
    };
    match LoginProof::new(proof, &factor) {
        Some(proof) => start(app, proof, remembered, place).await,
        None => Ok(Entered::Overtaken),
    }
}

/// Starts a session for a person who has proved everything that their account needs.
pub(crate) async fn start(
    app: &AppState,
    proof: LoginProof,
    remembered: bool,
    place: &ClientInfo,
) -> Result<Entered, WebError> {
    let now = app.services.clock.now();
    app.throttle.session(&proof.account().id, now)?;
    let remembered = remembered && app.remember.is_some();
    let started = app.sessions.start(&NewSession { proof: &proof, remembered, place }, now).await?;
    Ok(match started {
        Some(id) => {
            let cookie = app.cookies.set_session(&id, app.remember.filter(|_| remembered));
            Entered::In(Box::new(proof), cookie)
        }
        None => Entered::Overtaken,
    })
}

/// Returns the address of the page that asks for the code, and then leads to `next`.
pub(crate) fn code_page(next: &LocalPath) -> String {
    let next: String = url::form_urlencoded::byte_serialize(next.as_str().as_bytes()).collect();
    format!("/login/code?next={next}")
}

/// Starts a session and redirects to the files.
pub(crate) async fn enter(
    app: &AppState,
    account: &Account,
    typed: Password,
    place: &ClientInfo,
) -> Result<HttpResponse, WebError> {
    enter_at(app, account, typed, place, "/files/").await
}

/// Starts a session and redirects to `destination`, or to the login page if the account has changed since. Of
/// an account with a second factor, the code is asked for first.
pub(crate) async fn enter_at(
    app: &AppState,
    account: &Account,
    typed: Password,
    place: &ClientInfo,
    destination: &str,
) -> Result<HttpResponse, WebError> {
    let passwords = &app.services.passwords;
    let proof =
        PasswordProof::by_password(Some(account.clone()), typed, passwords, Asker::LogIn(place.address));
    let Some(proof) = proof.await? else { return Ok(see_other("/login")) };
    match begin(app, proof, false, place).await? {
        Entered::In(_, cookie) => {
            let mut answer = see_other(destination);
            add_cookie(&mut answer, &cookie)?;
            Ok(answer)
        }
        Entered::Waiting(cookie) => {
            let next = LocalPath::parse(destination).unwrap_or_default();
            let mut answer = see_other(&code_page(&next));
            add_cookie(&mut answer, &cookie)?;
            add_cookie(&mut answer, &app.cookies.clear_session())?;
            Ok(answer)
        }
        Entered::Overtaken => Ok(see_other("/login")),
    }
}
