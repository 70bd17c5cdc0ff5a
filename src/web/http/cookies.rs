//! The cookies of the web app: the session's id, the secret behind the forms of people who are not logged in,
//! and a flash message.

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::{COOKIE, HeaderMap};

use crate::cookie_name;
use crate::id::RequestId;
use crate::secret::{RandomError, Secret};
use crate::web::http::flash::FlashMessage;

/// The length of 32 bytes in base64url.
const SECRET_LENGTH: usize = 43;

/// Reads and creates cookies, with the names of [`cookie_name`].
#[derive(Clone, Debug)]
pub struct Cookies {
    secure: bool,
    /// The beginning and the end of each name.
    around: (&'static str, String),
}

impl Cookies {
    /// Makes cookies for an app that people reach at `public_url`.
    pub fn new(public_url: &str) -> Cookies {
        Cookies { secure: cookie_name::is_secure(public_url), around: cookie_name::around(public_url) }
    }

    /// Returns the session id that the browser presents.
    pub fn session(&self, headers: &HeaderMap) -> Option<Secret> {
        self.secret(headers, "sid")
    }

    /// Returns the secret behind forms that the browser presents.
    pub fn form(&self, headers: &HeaderMap) -> Option<Secret> {
        self.secret(headers, cookie_name::FORM)
    }

    /// Returns the secret behind forms that the browser presents, or a new one with the cookie to set.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn form_or_new(&self, headers: &HeaderMap) -> Result<(Secret, Option<Cookie<'static>>), RandomError> {
        if let Some(secret) = self.form(headers) {
            return Ok((secret, None));
        }
        let secret = Secret::random::<32>()?;
        let cookie = self.cookie(cookie_name::FORM, secret.reveal().to_owned());
        Ok((secret, Some(cookie)))
    }

    /// Returns the flash message to show.
    pub fn flash(&self, headers: &HeaderMap) -> Option<FlashMessage> {
        let value = self.value(headers, "note")?;
        value.split_once('.').map_or(value, |(message, _)| message).parse().ok()
    }

    /// Returns the number that belongs to the flash message.
    pub fn flash_count(&self, headers: &HeaderMap) -> Option<u32> {
        self.value(headers, "note")?.split_once('.')?.1.parse().ok()
    }

    /// Returns the cookie with the session's id. It is removed when the browser closes, unless it is to be
    /// kept for `remembered`; that does not change how long the session lives.
    pub fn set_session(&self, id: &Secret, remembered: Option<std::time::Duration>) -> Cookie<'static> {
        let mut cookie = self.cookie("sid", id.reveal().to_owned());
        let seconds = remembered.and_then(|kept| i64::try_from(kept.as_secs()).ok());
        if let Some(seconds) = seconds {
            cookie.set_max_age(Duration::seconds(seconds));
        }
        cookie
    }

    /// Returns a cookie that removes the session's id from the browser.
    pub fn clear_session(&self) -> Cookie<'static> {
        self.removal("sid")
    }

    /// Returns the login that waits for its code, as the browser presents it.
    pub fn waiting_login<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        self.value(headers, "login")
    }

    /// Returns the cookie with a login that waits for its code, for at most `kept`.
    pub fn set_waiting_login(&self, value: &Secret, kept: std::time::Duration) -> Cookie<'static> {
        let mut cookie = self.cookie("login", value.reveal().to_owned());
        cookie.set_max_age(Duration::seconds(i64::try_from(kept.as_secs()).unwrap_or(i64::MAX)));
        cookie
    }

    /// Returns a cookie that removes such a login from the browser.
    pub fn clear_waiting_login(&self) -> Cookie<'static> {
        self.removal("login")
    }

    /// Returns the cookie with the secret behind forms, kept when the browser closes: the secret is how a
    /// browser continues a download from a link.
    pub fn keep_form(&self, secret: &Secret) -> Cookie<'static> {
        let mut cookie = self.cookie(cookie_name::FORM, secret.reveal().to_owned());
        cookie.set_max_age(Duration::days(30));
        cookie
    }

    /// Returns the ticket for this file request that the browser presents.
    pub fn ticket(&self, headers: &HeaderMap, request: &RequestId) -> Option<Secret> {
        self.secret(headers, &format!("ticket-{request}"))
    }

    /// Returns the cookie with a guest's ticket for this file request, kept for as long as `kept`. Tickets of
    /// different requests have different names, so that a person can be a guest of several.
    pub fn set_ticket(
        &self,
        request: &RequestId,
        ticket: &Secret,
        kept: std::time::Duration,
    ) -> Cookie<'static> {
        let mut cookie = self.cookie(&format!("ticket-{request}"), ticket.reveal().to_owned());
        cookie.set_max_age(Duration::seconds(i64::try_from(kept.as_secs()).unwrap_or(i64::MAX)));
        cookie
    }

    /// Returns the cookie with a flash message for the next page.
    pub fn set_flash(&self, message: FlashMessage) -> Cookie<'static> {
        self.flash_cookie(message.as_str().to_owned())
    }

    /// Returns the cookie with a flash message about `count` files and folders.
    pub fn set_counted_flash(&self, message: FlashMessage, count: u32) -> Cookie<'static> {
        self.flash_cookie(format!("{}.{count}", message.as_str()))
    }

    fn flash_cookie(&self, value: String) -> Cookie<'static> {
        let mut cookie = self.cookie("note", value);
        cookie.set_max_age(Duration::seconds(60));
        cookie
    }

    /// Returns a cookie that removes the flash message.
    pub fn clear_flash(&self) -> Cookie<'static> {
        self.removal("note")
    }

    fn removal(&self, name: &str) -> Cookie<'static> {
        let mut cookie = self.cookie(name, String::new());
        cookie.make_removal();
        cookie
    }

    fn cookie(&self, name: &str, value: String) -> Cookie<'static> {
        Cookie::build(self.full_name(name), value)
            .path("/")
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Lax)
            .finish()
    }

    fn full_name(&self, name: &str) -> String {
        let (prefix, mark) = &self.around;
        format!("{prefix}{name}-{mark}")
    }

    fn secret(&self, headers: &HeaderMap, name: &str) -> Option<Secret> {
        self.value(headers, name).filter(|value| value.len() == SECRET_LENGTH).map(Secret::presented)
    }

    /// Reads a cookie by hand, so that a malformed one of another app on this host can't hide ours.
    fn value<'h>(&self, headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
        let name = self.full_name(name);
        let pairs =
            headers.get_all(COOKIE).filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
        pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn over_https_cookies_are_bound_to_the_host() {
        let id = Secret::random::<32>().unwrap();
        let cookie = Cookies::new("https://files.example").set_session(&id, None).to_string();
        assert!(cookie.starts_with("__Host-sid-1fca0d89="), "{cookie}");
        for part in ["; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/"] {
            assert!(cookie.contains(part), "{cookie} lacks {part}");
        }
        assert!(!cookie.contains("Domain"));
        let plain = Cookies::new("http://127.0.0.1:8080").set_session(&id, None).to_string();
        assert!(plain.starts_with("sid-d30a576c=") && !plain.contains("Secure"), "{plain}");
    }

    #[test]
    fn ours_is_found_among_foreign_cookies() {
        let mut headers = HeaderMap::new();
        let id = "A".repeat(43);
        let ours = Cookies::new("http://x").full_name("sid");
        let line = format!("broken; =x; a=%zz\"; xsid=1; sid=2; {ours}={id}; {ours}=other");
        headers.insert(COOKIE, HeaderValue::from_str(&line).unwrap());
        assert_eq!(Cookies::new("http://x").session(&headers).unwrap().reveal(), id);
        assert!(Cookies::new("http://x:81").session(&headers).is_none(), "another instance on the host");
        assert!(Cookies::new("https://x").session(&headers).is_none());
        assert!(Cookies::new("http://x").form(&headers).is_none());
    }
}
