//! Logging in people who have just chosen or proved a password on another page than the login page.

use actix_web::HttpResponse;

use crate::web::accounts::proof::LoginProof;
use crate::web::http::error::WebError;
use crate::web::http::respond::{add_cookie, see_other};
use crate::web::http::state::AppState;
use crate::web::identity::Account;
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::passwords::{Asker, Password};
use crate::web::sessions::NewSession;

/// Starts a session and redirects to the files.
pub(crate) async fn enter(
    app: &AppState,
    account: &Account,
    typed: Password,
    place: &ClientInfo,
) -> Result<HttpResponse, WebError> {
    enter_at(app, account, typed, place, "/files/").await
}

/// Starts a session and redirects to `destination`, or to the login page if the account has changed since.
pub(crate) async fn enter_at(
    app: &AppState,
    account: &Account,
    typed: Password,
    place: &ClientInfo,
    destination: &str,
) -> Result<HttpResponse, WebError> {
    let now = app.services.clock.now();
    let passwords = &app.services.passwords;
    let started =
        match LoginProof::by_password(Some(account.clone()), typed, passwords, Asker::LogIn(place.address))
            .await?
        {
            Some(proof) => {
                let new = NewSession { proof: &proof, remembered: false, place };
                app.sessions.start(&new, now).await?
            }
            None => None,
        };
    match started {
        Some(id) => {
            let mut answer = see_other(destination);
            add_cookie(&mut answer, &app.cookies.set_session(&id, None))?;
            Ok(answer)
        }
        None => Ok(see_other("/login")),
    }
}
