//! `POST /l/{code}/code`: the code that a public link asks for.

use actix_web::HttpResponse;
use actix_web::web::Path;

use crate::web::http::client::ClientAddress;
use crate::web::http::error::WebError;
use crate::web::http::extract::{EmptyForm, OpenForm};
use crate::web::http::links::public_link_view::open;
use crate::web::http::respond::{AppData, see_other};
use crate::web::throttle::MailCause;

/// `POST /l/{code}/code`: mails a code to the recipient.
pub(crate) async fn mail_code(
    app: AppData,
    code: Path<String>,
    address: ClientAddress,
    form: OpenForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let EmptyForm {} = form.fields;
    let opened = open(&app, &code).await?;
    if let Some(why) = opened.closed {
        return Err(opened.refusal(why));
    }
    if !opened.link.mailed_code {
        return Err(WebError::NotFound);
    }
    let now = app.services.clock.now();
    app.throttle.request(address.0, now)?;
    // Repeated presses must not fill a mailbox; without a new mail, the newest code stays valid.
    let mailbox = opened.recipient.email.as_ref().map(|email| email.key().to_owned());
    if mailbox.is_some_and(|mailbox| app.throttle.mail(MailCause::Code, &mailbox, now)) {
        app.services.links.mail_code(&opened.recipient, now).await?;
    }
    Ok(see_other(&format!("/l/{}?mailed", *code)))
}
