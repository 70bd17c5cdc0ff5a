//! Turning off notices through the address in their mails. A GET only shows a page, because mail scanners
//! open every address; the POST is the one that mail programs send (RFC 8058), without a login, a cookie or a
//! page of ours.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::web::http::account::unsubscribe_page::UnsubscribePage;
use crate::web::http::body;
use crate::web::http::error::WebError;
use crate::web::http::respond::{AppData, html};
use crate::web::membership::notices::Subscription;

/// The maximum size of the body, which has one field.
const MAX_BYTES: usize = 4 * 1024;

/// `GET /unsubscribe/{kind}/{code}`: a page with a button.
pub(crate) async fn page(app: AppData, path: Path<(String, String)>) -> Result<HttpResponse, WebError> {
    let of = named(&app, &path)?;
    html(&UnsubscribePage::new(app.services.notices.are_off(&of.account, of.kind).await?))
}

/// `POST /unsubscribe/{kind}/{code}`: turns the notices off. The answer is never a redirect.
pub(crate) async fn act(
    app: AppData,
    request: HttpRequest,
    path: Path<(String, String)>,
    body: Payload,
) -> Result<HttpResponse, WebError> {
    let of = named(&app, &path)?;
    let body = body::read_in_time(&request, body.into_inner(), MAX_BYTES.min(app.form_max)).await?;
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !is_one_click(kind, &String::from_utf8_lossy(&body)) {
        return Err(WebError::Invalid("it does not ask to unsubscribe"));
    }
    app.services.notices.turn_off(&of, app.services.clock.now()).await?;
    tracing::info!(account = %of.account, kind = of.kind.as_str(), "notices turned off by their address");
    html(&UnsubscribePage::new(true))
}

fn named(app: &AppData, path: &(String, String)) -> Result<Subscription, WebError> {
    app.services.notices.read(&path.0, &path.1).ok_or(WebError::NotFound)
}

/// Returns whether a body has the field of RFC 8058, section 3.1, in either of its encodings.
fn is_one_click(kind: &str, body: &str) -> bool {
    let kind = kind.trim().to_ascii_lowercase();
    if kind.starts_with("multipart/form-data") {
        let part = body.split("\r\n--").find_map(|part| {
            let (head, value) = part.split_once("\r\n\r\n")?;
            let head = head.to_ascii_lowercase();
            let is_field = ["name=\"list-unsubscribe\"", "name=list-unsubscribe"];
            is_field.iter().any(|name| head.contains(name)).then_some(value)
        });
        return part.is_some_and(|value| value.trim().eq_ignore_ascii_case("One-Click"));
    }
    kind.starts_with("application/x-www-form-urlencoded")
        && body.split('&').any(|pair| pair.trim().eq_ignore_ascii_case("List-Unsubscribe=One-Click"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_of_one_click_are_accepted() {
        let form = "application/x-www-form-urlencoded";
        assert!(is_one_click(form, "List-Unsubscribe=One-Click"));
        assert!(is_one_click(
            "Application/X-WWW-Form-Urlencoded; charset=utf-8",
            "a=b&List-Unsubscribe=One-Click\r\n"
        ));
        let multipart =
            "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n";
        assert!(is_one_click("multipart/form-data; boundary=x", multipart));
        for (kind, body) in [
            (form, ""),
            (form, "List-Unsubscribe="),
            (form, "Unsubscribe=One-Click"),
            ("", "List-Unsubscribe=One-Click"),
            ("text/plain", "List-Unsubscribe=One-Click"),
            ("multipart/form-data; boundary=x", "List-Unsubscribe=One-Click"),
            ("multipart/form-data; boundary=x", &multipart.replace("One-Click", "no")),
            ("multipart/form-data; boundary=x", &multipart.replace("List-Unsubscribe", "Other")),
        ] {
            assert!(!is_one_click(kind, body), "{kind}: {body}");
        }
    }
}
