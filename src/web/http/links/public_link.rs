//! `GET /l/{code}`: opening a public link, which uses up nothing.

use actix_web::http::Method;
use actix_web::http::header::HeaderValue;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};

use crate::web::http::error::WebError;
use crate::web::http::extract::session_of;
use crate::web::http::links::public_link_answer::{PageOptions, show};
use crate::web::http::links::public_link_view::open;
use crate::web::http::respond::AppData;

/// `GET /l/{code}`
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    code: Path<String>,
) -> Result<HttpResponse, WebError> {
    let view = open(&app, &code).await?;
    let session = session_of(&request, &app).await?;
    let own = session.is_some_and(|who| who.account().id == view.link.owner);
    if !own && is_look(&request) {
        app.services.links.count_view(&view.recipient, app.services.clock.now());
    }
    show(&app, &request, &code, view, PageOptions::visit(own)).await
}

/// Returns whether a person looks at the page: browsers tell us when they open a page in a tab, but previews,
/// scanners and programs don't.
fn is_look(request: &HttpRequest) -> bool {
    let destination = request.headers().get("sec-fetch-dest").map(HeaderValue::as_bytes);
    *request.method() == Method::GET && destination == Some(b"document")
}
