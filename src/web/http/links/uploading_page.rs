//! The public page of a link whose files are still being uploaded. It becomes the page with the downloads by
//! itself: its script asks for the state, and without scripts the browser loads it again.

use askama::Template;

use crate::web::arrivals::{Arrival, ArrivalState};
use crate::web::http::layout::Chrome;
use crate::web::http::link_state::arrived_words;

/// `GET /l/{code}` while files are being uploaded.
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/uploading.html")]
pub struct UploadingPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// Its address: `/l/{code}`.
    pub action: String,
    /// The title, in its owner's words.
    pub title: String,
    /// The name of its owner.
    pub from: String,
    /// Their note; may be empty.
    pub note: String,
    /// How many files have arrived.
    pub arrival: Arrival,
    /// Whether the link's owner looks at the page.
    pub own: bool,
}

impl UploadingPage {
    fn arrived(&self) -> String {
        arrived_words(&self.arrival)
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let page = UploadingPage {
        chrome: Chrome::public("Report <script>"),
        action: "/l/0123456789abcdefghijkl".to_owned(),
        title: "Report <script>alert(1)</script>".to_owned(),
        from: "Lin <b>".to_owned(),
        note: "Here it comes.\n</blockquote><b>".to_owned(),
        arrival: Arrival { state: ArrivalState::Uploading, arrived: 3, expected: 7 },
        own: true,
    };
    Ok(vec![("public-link-uploading", page.render()?)])
}
