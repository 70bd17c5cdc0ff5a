//! `/openapi.json` and `/docs`: the description of the API, for programs and for people. Both need no key.

use actix_web::HttpResponse;

use crate::web::http::api::docs_page::{ApiDocsPage, groups_of};
use crate::web::http::api::openapi::DOCUMENT;
use crate::web::http::api::respond::json;
use crate::web::http::error::WebError;
use crate::web::http::layout::Chrome;
use crate::web::http::respond::{AppData, html};

/// `GET /api/v1/openapi.json`
pub(crate) async fn document() -> Result<HttpResponse, WebError> {
    json(&*DOCUMENT)
}

/// `GET /api/v1/docs`
pub(crate) async fn page(app: AppData) -> Result<HttpResponse, WebError> {
    html(&ApiDocsPage {
        chrome: Chrome::public("API"),
        public_url: app.public_url.clone(),
        about: about(),
        groups: groups_of(&DOCUMENT),
    })
}

fn about() -> Vec<String> {
    let text = DOCUMENT.pointer("/info/description").and_then(serde_json::Value::as_str).unwrap_or_default();
    text.split("\n\n").map(str::to_owned).collect()
}
