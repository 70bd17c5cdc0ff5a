//! The names of cookies, which the web app gives and a client that continues a download has to know.
//!
//! Browsers send a cookie to every port of its host. So each name ends with a mark of the instance, or two instances
//! on one host would overwrite each other's cookies.

use crate::secret::Digest;

/// The cookie with the secret behind the forms of someone who isn't logged in. By it, a visitor of a link is recognized.
pub const FORM: &str = "form";

/// Whether cookies of a web app at this public address are only sent over https.
pub fn is_secure(public_url: &str) -> bool {
    public_url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

/// Returns the beginning and the end of the names of a web app's cookies. Over https, names begin with `__Host-`, so that
/// browsers refuse them from any other host and from http. The end follows from the public address, so that several web
/// apps with one address use the same cookies.
pub fn around(public_url: &str) -> (&'static str, String) {
    let digest = Digest::of(public_url.as_bytes());
    let mark = digest.as_bytes().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    (if is_secure(public_url) { "__Host-" } else { "" }, mark)
}

/// Returns the full name of the cookie `name` of the web app at this public address.
pub fn full(public_url: &str, name: &str) -> String {
    let (prefix, mark) = around(public_url);
    format!("{prefix}{name}-{mark}")
}
