//! Lists: a page of items, and the cursor with which the next page is asked for. To programs a cursor is opaque. It is
//! the place of the last item of a list, so it gives access to nothing, and one from another list is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::web::db::position::Position;
use crate::web::http::api::parameters::{Parameters, wrong};
use crate::web::http::api_error::ApiError;

/// The number of items on a page, unless the program asks for another.
const USUAL: u32 = 100;

/// The maximum number of items on a page.
pub(crate) const MOST: u32 = 1_000;

/// The longest cursor; those of folders contain a file name.
const LONGEST: usize = 2_048;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// The `cursor` of the next page; `null` on the last one.
    pub(crate) next: Option<String>,
}

/// What page a program asks for.
pub(crate) struct PageQuery {
    /// The place after which it begins; `None` for the first page.
    pub(crate) after: Option<String>,
    /// The maximum number of items.
    pub(crate) limit: u32,
}

impl PageQuery {
    /// Reads `cursor` and `limit`. `list` names the list that the cursor must be of.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameters`].
    pub(crate) fn of(parameters: &Parameters, list: &str) -> Result<PageQuery, ApiError> {
        let after = parameters.text("cursor").map(|cursor| opened(cursor, list).ok_or_else(invalid));
        Ok(PageQuery { after: after.transpose()?, limit: parameters.number("limit", 1..=MOST, USUAL)? })
    }

    /// Returns the place as a position in a list that is sorted by time.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameters`].
    pub(crate) fn position(&self) -> Result<Position, ApiError> {
        match &self.after {
            None => Ok(Position::start()),
            Some(after) => after.parse().map_err(|_| invalid()),
        }
    }
}

/// Makes the cursor of the place `after` in `list`.
pub(crate) fn cursor(list: &str, after: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list}\n{after}"))
}

fn opened(cursor: &str, list: &str) -> Option<String> {
    if cursor.len() > LONGEST {
        return None;
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    text.strip_prefix(list)?.strip_prefix('\n').map(str::to_owned)
}

fn invalid() -> ApiError {
    wrong("cursor", "Send the value of “next” from the page before, unchanged.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_belongs_to_its_list() {
        let made = cursor("links", "1800000000.abc");
        assert_eq!(opened(&made, "links").as_deref(), Some("1800000000.abc"));
        for (text, list) in [(made.as_str(), "files"), ("", "links"), ("====", "links"), ("bGlua3M", "links")]
        {
            assert_eq!(opened(text, list), None, "{text}");
        }
        assert_eq!(opened(&cursor("links", &"x".repeat(4_000)), "links"), None);
    }
}
