//! The View button: shows a file in the browser.

use actix_web::HttpResponse;

use crate::human;
use crate::token::VIEW_LIFETIME;
use crate::viewable;
use crate::web::http::error::WebError;
use crate::web::http::extract::CsrfForm;
use crate::web::http::files::download::DownloadForm;
use crate::web::http::layout::Section;
use crate::web::http::paths::{encoded_path, folder_address, shown_name};
use crate::web::http::respond::{AppData, blocking, html, see_other};
use crate::web::http::view_page::{DownloadButton, ViewPage};
use crate::web::http::viewing::{allow_view, issue, new_ids, shows_pdf};
use crate::web::revocations::issued::{NewToken, TokenBasis};

/// `POST /view`: the page that shows a file as it is now. The page is the answer itself: a page with an address
/// of its own would have to issue a token whenever it is opened, and a GET changes nothing.
pub(crate) async fn view(app: AppData, form: CsrfForm<DownloadForm>) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let path = fields.path().ok_or(WebError::NotFound)?;
    let services = &app.services;
    app.throttle.download(&who.account().id, services.clock.now())?;
    let wanted = app.rights.readable(who.account(), path).ok_or(WebError::NotFound)?;
    let viewable = viewable::of(wanted.path().name(), shows_pdf(&app)).ok_or(WebError::NotViewable)?;
    let (shares, path) = (app.shares.clone(), wanted.path().clone());
    let found = blocking(move || shares.claim(&path)).await??;
    let node = app.node_for_token().await?;
    let now = services.clock.now();
    let (jti, kid) = new_ids(&app, now)?;
    let token = NewToken {
        account: &who.account().id,
        jti,
        file: wanted.path(),
        expires_at: now.plus(VIEW_LIFETIME),
        basis: TokenBasis { node: &node.public_url, kid: &kid, link: None },
    };
    if !services.issued.record_view(&token).await? {
        return Err(WebError::NotFound);
    }
    let issued = issue(&app, &token, &found, now)?;
    tracing::info!(account = %who.account().id, jti = %issued.jti, file = ?wanted.path(), "view issued");
    let folder = wanted.path().parent().ok_or(WebError::NotFound)?;
    let page = ViewPage {
        chrome: who.chrome(human::name(wanted.path().name()), Section::Files),
        name: wanted.path().name().to_owned(),
        size: found.version().len,
        kind: viewable.kind,
        back: (folder_address(&folder), shown_name(&folder, who.home.as_ref()).into_owned()),
        download: DownloadButton {
            action: "/download".to_owned(),
            csrf: who.csrf.clone(),
            field: ("file_encoded", encoded_path(wanted.path())),
        },
        address: issued.address,
    };
    allow_view(&app, page.kind, &page.address, html(&page)?)
}

/// `GET /view`: somebody opened the address of such a page, which alone says nothing about the file.
pub(crate) async fn away() -> HttpResponse {
    see_other("/files/")
}
