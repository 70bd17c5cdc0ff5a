//! The page for turning off notices.

use askama::Template;

use crate::web::http::layout::Chrome;

/// `GET /unsubscribe/{kind}/{code}`; posts `List-Unsubscribe` to the same address, as mail programs do. The
/// address alone gives access, so the form has no CSRF token.
#[derive(Clone, Debug, Template)]
#[template(path = "web/unsubscribe.html")]
pub struct UnsubscribePage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// Whether the notices are off.
    pub is_off: bool,
}

impl UnsubscribePage {
    /// Returns the page for notices that are on or off.
    pub fn new(is_off: bool) -> UnsubscribePage {
        let title = if is_off { "You’re unsubscribed" } else { "Unsubscribe from download emails?" };
        UnsubscribePage { chrome: Chrome::public(title), is_off }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    Ok(vec![
        ("unsubscribe", UnsubscribePage::new(false).render()?),
        ("unsubscribed", UnsubscribePage::new(true).render()?),
    ])
}
