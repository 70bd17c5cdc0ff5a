//! What the client reads from the environment. It has no settings, so this doesn't go through `config`.

use std::env;
use std::path::PathBuf;

/// The password of a link, for programs.
const PASSWORD: &str = "ONCELINK_PASSWORD";

/// Returns the password of a link.
pub fn link_password() -> Option<String> {
    text(PASSWORD)
}

/// Returns a variable that is not empty.
#[expect(clippy::disallowed_methods, reason = "only settings have to come through `config`")]
pub(crate) fn text(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}

/// Returns the folder of this program below the one that `variable` names (XDG Base Directory Specification), or below
/// `usual` in the home folder.
#[expect(clippy::disallowed_methods, reason = "only settings have to come through `config`")]
pub(crate) fn folder(variable: &str, usual: &str) -> PathBuf {
    let named = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let below = named(variable).or_else(|| named("HOME").map(|home| home.join(usual)));
    below.unwrap_or_else(|| PathBuf::from(".")).join("oncelink")
}
