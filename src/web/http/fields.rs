//! Reading the fields of a form about an account, and what is wrong with them.

use std::error::Error;
use std::str::FromStr;

/// What is wrong with the fields of a form, each said in one sentence beside its field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    /// An error about the whole form.
    pub form: Option<String>,
    /// An error about `email`.
    pub email: Option<String>,
    /// An error about `name`.
    pub name: Option<String>,
    /// An error about `current_password`.
    pub current_password: Option<String>,
    /// An error about `code`.
    pub code: Option<String>,
    /// An error about `password`.
    pub password: Option<String>,
    /// An error about `password_again`.
    pub password_again: Option<String>,
    /// An error about `groups`.
    pub groups: Option<String>,
}

impl FieldErrors {
    /// Returns whether anything is wrong.
    pub fn any(&self) -> bool {
        *self != FieldErrors::default()
    }
}

/// Parses a field; `None` where it is not valid, and then `error` says why.
pub(crate) fn parse_field<T>(text: &str, error: &mut Option<String>) -> Option<T>
where
    T: FromStr,
    T::Err: Error,
{
    text.parse().map_err(|wrong| *error = Some(sentence(&wrong))).ok()
}

/// Returns an error's message as a sentence for the page.
pub(crate) fn sentence(error: &dyn Error) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
