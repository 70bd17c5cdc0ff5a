//! What people type into the fields that links and file requests have in common. Each error is a sentence that is
//! shown beside its field.

use std::borrow::Cow;

use crate::human;
use crate::web::identity::passwords::{Password, WeakPassword};

/// Maximum number of characters of a title …
pub const MAX_TITLE: usize = 200;
/// … and of a note.
pub const MAX_NOTE: usize = 2_000;
/// Minimum number of characters of a password. Attempts are throttled, and an attacker needs the address as well.
pub const PASSWORD_MIN: usize = 8;

/// Returns a title; may be empty.
///
/// # Errors
/// The sentence beside the field.
pub fn title(typed: &str) -> Result<String, String> {
    let title = typed.trim();
    if title.chars().count() > MAX_TITLE || title.contains(char::is_control) {
        return Err(format!("Use at most {MAX_TITLE} characters on one line."));
    }
    Ok(human::name(title).into_owned())
}

/// Returns a note; may be empty.
///
/// # Errors
/// The sentence beside the field.
pub fn note(typed: &str) -> Result<String, String> {
    // Forms send line breaks as two characters.
    let note = typed.trim().replace("\r\n", "\n").replace('\t', " ");
    if note.chars().count() > MAX_NOTE || note.contains(|c: char| c.is_control() && c != '\n') {
        return Err("Use at most 2,000 characters.".to_owned());
    }
    // Replaces characters that change the direction of text, which could make it look like someone else's words.
    let lines: Vec<Cow<'_, str>> = note.split('\n').map(human::name).collect();
    Ok(lines.join("\n"))
}

/// Returns a password; `None` if the field is empty.
///
/// # Errors
/// The sentence beside the field.
pub fn password(typed: &str) -> Result<Option<Password>, String> {
    if typed.is_empty() {
        return Ok(None);
    }
    Password::new(typed, PASSWORD_MIN).map(Some).map_err(|weak| match weak {
        WeakPassword::Short(least) => format!("Use at least {least} characters."),
        WeakPassword::Long => "Use at most 256 bytes.".to_owned(),
        WeakPassword::Common | WeakPassword::Own => {
            "This password is too common. Choose another one.".to_owned()
        }
    })
}

/// Takes what is valid, and notes the sentence of what is not.
pub fn checked<T: Default>(typed: Result<T, String>, error: &mut Option<String>) -> T {
    typed.unwrap_or_else(|sentence| {
        *error = Some(sentence);
        T::default()
    })
}
