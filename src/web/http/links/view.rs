//! `POST /l/{code}/view`: shows a file of a public link in the browser, which takes no use of it.

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};

use crate::files::FileError;
use crate::human;
use crate::token::VIEW_LIFETIME;
use crate::viewable;
use crate::web::http::client::{ClientAddress, own_address};
use crate::web::http::error::WebError;
use crate::web::http::extract::{OpenForm, session_of};
use crate::web::http::layout::Chrome;
use crate::web::http::links::press::{PressForm, PressedFile, check_proof, file_of};
use crate::web::http::links::public_link_answer::{PageOptions, show};
use crate::web::http::links::public_link_view::{open, visitor_of};
use crate::web::http::problem::closed_link_page::ClosedReason;
use crate::web::http::respond::{AppData, blocking, see_other, with_form};
use crate::web::http::view_page::{DownloadButton, ViewPage};
use crate::web::http::viewing::{allow_view, issue, new_ids, shows_pdf};
use crate::web::revocations::issued::{NewToken, TokenBasis};

/// `POST /l/{code}/view`, with the fields of a press.
pub(crate) async fn view(
    app: AppData,
    request: HttpRequest,
    code: Path<String>,
    address: ClientAddress,
    form: OpenForm<PressForm>,
) -> Result<HttpResponse, WebError> {
    let opened = open(&app, &code).await?;
    let services = &app.services;
    app.throttle.press(&opened.link.id, address.0, services.clock.now())?;
    if let Some(why) = opened.closed {
        return Err(opened.refusal(why));
    }
    if !opened.link.may_be_viewed() {
        return Err(WebError::ViewNotAllowed);
    }
    let visitor = visitor_of(&app, form.secret.as_ref(), own_address(&request, &app), &opened.recipient);
    let offers =
        services.links.offers(&opened.link, &opened.recipient, &visitor, services.clock.now()).await?;
    if let Some(why) = opened.used_up(&offers) {
        return Err(opened.refusal(why));
    }
    let wanted = form.fields;
    let file = match file_of(&app, &opened, wanted.file.as_deref()).await? {
        PressedFile::File(file) => file,
        PressedFile::Nothing => return Err(opened.refusal(ClosedReason::Missing)),
        PressedFile::Refused(error) => {
            return show(&app, &request, &code, opened, PageOptions::refused(error)).await;
        }
    };
    let viewable = viewable::of(file.name(), shows_pdf(&app)).ok_or(WebError::NotViewable)?;
    let mark = visitor.mark.as_deref();
    if let Some(error) = check_proof(&app, &opened, wanted.password, wanted.code, address, mark).await? {
        return show(&app, &request, &code, opened, PageOptions::refused(error)).await;
    }
    let (shares, path) = (app.shares.clone(), file.clone());
    let found = match blocking(move || shares.claim(&path)).await? {
        Ok(found) => found,
        Err(FileError::Missing) => return Err(opened.refusal(ClosedReason::Missing)),
        Err(error) => return Err(error.into()),
    };
    let node = app.node_for_token().await?;
    let link = &opened.link;
    let now = services.clock.now();
    let (jti, kid) = new_ids(&app, now)?;
    let token = NewToken {
        account: &link.owner,
        jti,
        file: &file,
        expires_at: now.plus(VIEW_LIFETIME),
        basis: TokenBasis { node: &node.public_url, kid: &kid, link: Some((&link.id, link.terms_version)) },
    };
    let own = session_of(&request, &app).await?.is_some_and(|who| who.account().id == link.owner);
    if !services.links.record_view(&opened.recipient.id, &token, !own, now).await? {
        // The link has changed since we looked: its page says what it allows now.
        return Ok(see_other(&format!("/l/{}", *code)));
    }
    let issued = issue(&app, &token, &found, now)?;
    tracing::info!(link = %link.id, recipient = %opened.recipient.id, jti = %issued.jti, file = ?file, "view issued through a link");
    let asks = link.password.is_some() || link.mailed_code;
    let back = format!("/l/{}", *code);
    let answer = with_form(&request, &app.cookies, actix_web::http::StatusCode::OK, |csrf| ViewPage {
        chrome: Chrome::public(human::name(file.name())),
        name: file.name().to_owned(),
        size: found.version().len,
        kind: viewable.kind,
        back: (back.clone(), link.title.clone()),
        download: DownloadButton {
            action: if asks { String::new() } else { back.clone() },
            csrf,
            field: ("file", wanted.file.clone().unwrap_or_default()),
        },
        address: issued.address.clone(),
    })?;
    allow_view(&app, viewable.kind, &issued.address, answer)
}

/// `GET /l/{code}/view`: somebody opened the address of such a page, which alone says nothing about the file.
pub(crate) async fn away(code: Path<String>) -> HttpResponse {
    see_other(&format!("/l/{}", *code))
}
