//! A form that was sent after the login had ended, shown again after the next login.

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};

use crate::web::http::account::unsent_page::UnsentPage;
use crate::web::http::error::WebError;
use crate::web::http::extract::SignedIn;
use crate::web::http::layout::Section;
use crate::web::http::respond::{AppData, html};

/// `GET /unsent/{id}`: what was typed, and a button that sends it.
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    who: SignedIn,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    let now = app.services.clock.now();
    let browser = app.cookies.form(request.headers());
    let form = browser.and_then(|browser| app.unsent.find(&browser, &id, now)).ok_or(WebError::NotFound)?;
    let fields = form.fields.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
    html(&UnsentPage {
        chrome: who.form_chrome("Send your form again", Section::None),
        action: form.action.clone(),
        fields,
    })
}
