//! Passwords in the forms of an account: choosing a new one, and checking the current one.

use std::net::IpAddr;

use crate::web::http::error::WebError;
use crate::web::http::fields::{FieldErrors, sentence};
use crate::web::http::state::AppState;
use crate::web::identity::Account;
use crate::web::identity::passwords::{Asker, Password};

/// Returns the new password in a form, typed twice, or what is wrong with it. `own` is what others know
/// about its owner, such as the name, and would guess first.
pub(crate) fn new_password(
    min: usize,
    password: &str,
    repeated: &str,
    own: &[&str],
    errors: &mut FieldErrors,
) -> Option<Password> {
    if password != repeated {
        errors.password_again = Some("The two passwords differ.".to_owned());
    }
    match Password::for_person(password, min, own) {
        Ok(password) => errors.password_again.is_none().then_some(password),
        Err(weak) => {
            errors.password = Some(sentence(&weak));
            None
        }
    }
}

/// Returns whether a password is the account's current one. Each call counts as a guess.
///
/// # Errors
/// When there were too many guesses, or a backend is unavailable.
pub(crate) async fn is_own_password(
    app: &AppState,
    account: &Account,
    typed: Password,
    address: IpAddr,
    asker: Asker,
) -> Result<bool, WebError> {
    let now = app.services.clock.now();
    let attempt = app.throttle.attempt(account.email.key(), address, now)?;
    let is_own = app.services.passwords.verify(asker, typed, account.password.as_ref()).await?;
    if is_own {
        app.throttle.succeeded(attempt, now);
    }
    Ok(is_own)
}
