//! The answer of a public link: its page, whose buttons say what they would do for this visitor, or for
//! programs the facts as JSON.

use std::collections::BTreeMap;

use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::http::{Method, StatusCode};
use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use crate::archive::ENTRIES_MAX;
use crate::web::archives::ArchiveProgress;
use crate::web::http::accept::prefers_json;
use crate::web::http::client::own_address;
use crate::web::http::error::{PREPARING, WebError};
use crate::web::http::layout::Chrome;
use crate::web::http::links::public_link_page::{ProofField, PublicLinkPage};
use crate::web::http::links::public_link_view::{PublicLinkView, visitor_of};
use crate::web::http::links::uploading_page::UploadingPage;
use crate::web::http::press_error::{PressError, PressField};
use crate::web::http::problem::closed_link_page::ClosedReason;
use crate::web::http::respond::{AppData, allow_script, html_with_script, with_form};
use crate::web::http::viewing::shows_pdf;
use crate::web::http::zip_words;
use crate::web::links::Recipient;
use crate::web::links::contents::{ContentsQuery, LinkContents, LinkFile, PER_READABLE_PAGE};
use crate::web::links::mailed_code::CodeMailStatus;
use crate::web::links::offers::Offer;

/// The maximum length of a search.
const MAX_QUERY: usize = 200;

/// What is special about the page this time.
#[derive(Default)]
pub(crate) struct PageOptions {
    /// Whether the link's owner looks at it.
    own: bool,
    error: Option<PressError>,
    /// The file whose button must be pressed a second time; empty where there is only one.
    once_more: Option<String>,
    /// How far the archive that was requested is.
    preparing: Option<ArchiveProgress>,
    /// Whether the button was pressed a second time, where that is needed.
    pressed_again: bool,
}

impl PageOptions {
    /// For an ordinary visit.
    pub(crate) fn visit(own: bool) -> PageOptions {
        PageOptions { own, ..PageOptions::default() }
    }

    /// For the answer to a first press on the button of that file, which must be repeated.
    pub(crate) fn once_more(file: Option<String>) -> PageOptions {
        PageOptions { once_more: Some(file.unwrap_or_default()), ..PageOptions::default() }
    }

    /// For the answer to a press on the button for all files whose archive is not ready.
    pub(crate) fn preparing(progress: ArchiveProgress, pressed_again: bool) -> PageOptions {
        PageOptions { preparing: Some(progress), pressed_again, ..PageOptions::default() }
    }

    /// For the answer to a press that was refused.
    pub(crate) fn refused(error: PressError) -> PageOptions {
        PageOptions { error: Some(error), ..PageOptions::default() }
    }
}

/// Responds with the page or, to a program, the facts.
///
/// # Errors
/// When nothing can be downloaded with the link, and for a program when its press was refused.
pub(crate) async fn show(
    app: &AppData,
    request: &HttpRequest,
    code: &str,
    opened: PublicLinkView,
    options: PageOptions,
) -> Result<HttpResponse, WebError> {
    let json = prefers_json(request.headers());
    let secret = app.cookies.form(request.headers());
    // A browser without our cookie gets one with this page, and is a new visitor with its first press. A
    // program gets none.
    let is_program = json || request.method() == Method::HEAD;
    let address = own_address(request, app).filter(|_| is_program);
    let visitor = visitor_of(app, secret.as_ref(), address, &opened.recipient);
    let links = &app.services.links;
    let now = app.services.clock.now();
    let offers = links.offers(&opened.link, &opened.recipient, &visitor, now).await?;
    let closed = match opened.closed {
        Some(ClosedReason::Ended) if offers.has_own() => None,
        Some(why) => Some(why),
        None => opened.used_up(&offers),
    };
    if let (Some(ClosedReason::Uploading), Some(arrival), false) = (closed, opened.link.arrival, json) {
        let page = UploadingPage {
            chrome: Chrome::public(opened.link.title.clone()),
            action: format!("/l/{code}"),
            title: opened.link.title,
            from: opened.from,
            note: opened.link.note,
            arrival,
            own: options.own,
        };
        return html_with_script(app, &page);
    }
    if let Some(why) = closed {
        return Err(opened.refusal(why));
    }
    let is_open = opened.closed.is_none();
    let view = view_of(request, json);
    let contents = opened.contents(app, view.clone()).await?;
    let offer = |item: &LinkFile| offers.of(item.path.as_str(), Some((item.size, &item.version)));
    // A search shows some of the files, and the button gives all of them.
    let has_archive = view.query.is_empty() && (2..=ENTRIES_MAX).contains(&contents.total) && !contents.more;
    let all = opened.archive_path().filter(|_| has_archive).map(|path| offers.of(path.as_str(), None));
    if json {
        return match options.error {
            Some(error) => Err(error.into()),
            None => Ok(HttpResponse::Ok().json(facts(app, &opened, &contents, offer, all))),
        };
    }
    let items = contents.items.into_iter().map(|item| {
        let offer = offer(&item);
        (item, offer)
    });
    let items = items.collect();
    let (link, recipient) = (opened.link, opened.recipient);
    let mailed = match link.mailed_code {
        true => links.code_mail(&recipient, now).await?,
        false => CodeMailStatus::None,
    };
    let status = match options.preparing {
        Some(_) => StatusCode::CONFLICT,
        None => options.error.map_or(StatusCode::OK, PressError::status),
    };
    let error =
        |field: PressField| options.error.filter(|error| error.field() == field).map(PressError::sentence);
    let proof = |field: PressField| ProofField { error: error(field).map(str::to_owned) };
    let mut answer = with_form(request, &app.cookies, status, |csrf| PublicLinkPage {
        chrome: Chrome::public(link.title.clone()),
        action: format!("/l/{code}"),
        csrf,
        left: recipient.left(link.uses_per_recipient),
        named: recipient.email.is_some(),
        from: opened.from,
        all,
        preparing: options.preparing.map(zip_words::preparing),
        items,
        total: contents.total,
        page: contents.page,
        pages: contents.pages,
        query: view.query,
        more: contents.more,
        size: contents.size,
        missing: contents.missing,
        too_long: contents.too_long,
        ends_at: link.ends_at,
        ended: link.ends_at.is_some_and(|end| now >= end),
        password: link.password.is_some().then(|| proof(PressField::Password)),
        code: link.mailed_code.then(|| proof(PressField::Code)),
        problem: error(PressField::Files),
        mailed_to: masked(&recipient),
        mailed,
        may_view: is_open && link.may_be_viewed(),
        shows_pdf: shows_pdf(app),
        own: options.own,
        once_more: options.once_more,
        pressed_again: options.pressed_again,
        title: link.title,
        note: link.note,
    })?;
    if options.preparing.is_some() {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(PREPARING));
    }
    Ok(allow_script(app, answer))
}

/// Returns what a program needs to know.
fn facts(
    app: &AppData,
    opened: &PublicLinkView,
    contents: &LinkContents,
    offer: impl Fn(&LinkFile) -> Offer,
    all: Option<Offer>,
) -> Value {
    let (link, recipient) = (&opened.link, &opened.recipient);
    let sent = |offer: Offer| match offer {
        Offer::Running(sent) | Offer::Interrupted(sent) => Some(sent.bytes),
        _ => None,
    };
    let file = |item: &LinkFile| {
        let offer = offer(item);
        json!({
            "file": item.key,
            "name": item.name,
            "size": item.size,
            "state": offer.word(),
            "sent": sent(offer),
        })
    };
    let zip = |offer: Offer| {
        json!({
            "file": zip_words::ALL_FILES,
            "name": zip_words::file_name(&link.title),
            "state": offer.word(),
            "sent": sent(offer),
        })
    };
    json!({
        "title": link.title,
        "from": opened.from,
        "note": link.note,
        "address": app.services.links.address(&app.public_url, recipient),
        "files": contents.items.iter().map(file).collect::<Vec<_>>(),
        "zip": all.map(zip),
        "total": contents.total,
        "page": contents.page,
        "pages": contents.pages,
        "more": contents.more || contents.page < contents.pages,
        "size": contents.size,
        "missing": contents.missing.len(),
        "missing_names": contents.missing,
        "ends_at": link.ends_at.map(|end| end.to_string()),
        "uses": link.uses_per_recipient,
        "uses_left": recipient.left(link.uses_per_recipient),
        "password": link.password.is_some(),
        "mailed_code": link.mailed_code,
        "viewable": link.may_be_viewed(),
    })
}

/// Returns the first letter of a recipient's address and its domain: enough for them to recognize it.
fn masked(recipient: &Recipient) -> String {
    let email = recipient.email.as_ref().map(|email| email.as_str()).unwrap_or_default();
    match email.rsplit_once('@') {
        Some((name, domain)) => {
            format!("{}…@{domain}", name.chars().next().map(String::from).unwrap_or_default())
        }
        None => String::new(),
    }
}

/// Returns which files of the link the query asks for: a page of them, or those with a word in their names.
fn view_of(request: &HttpRequest, is_program: bool) -> ContentsQuery {
    let per_page = if is_program { 0 } else { PER_READABLE_PAGE };
    let Ok(fields) = web::Query::<BTreeMap<String, String>>::from_query(request.query_string()) else {
        return ContentsQuery { per_page, ..ContentsQuery::default() };
    };
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    ContentsQuery {
        query: field("q").trim().chars().take(MAX_QUERY).collect(),
        page: field("page").parse().unwrap_or_default(),
        per_page,
        ..ContentsQuery::default()
    }
}
