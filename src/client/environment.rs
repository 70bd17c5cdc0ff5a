//! What the client reads from the environment. It has no settings, so this doesn't go through `config`.

use std::ffi::OsString;
use std::path::PathBuf;

/// The password of a link, for programs.
const PASSWORD: &str = "ONCELINK_PASSWORD";

/// Returns the password of a link.
pub fn link_password() -> Option<String> {
    text(PASSWORD)
}

/// Returns the text of a variable that is not empty.
pub(crate) fn text(variable: &str) -> Option<String> {
    value(variable)?.into_string().ok()
}

/// Returns the folder of this program below the one that `variable` names (XDG Base Directory Specification), or below
/// `usual` in the home folder.
pub(crate) fn folder(variable: &str, usual: &str) -> PathBuf {
    let below = value(variable).map(PathBuf::from);
    let below = below.or_else(|| value("HOME").map(|home| PathBuf::from(home).join(usual)));
    below.unwrap_or_else(|| PathBuf::from(".")).join("oncelink")
}

#[expect(clippy::disallowed_methods, reason = "only settings have to come through `config`")]
fn value(variable: &str) -> Option<OsString> {
    std::env::var_os(variable).filter(|value| !value.is_empty())
}
