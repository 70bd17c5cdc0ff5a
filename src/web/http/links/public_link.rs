//! The public page of a link: opening it spends nothing, and its buttons say what they would do for this
//! visitor. Works for programs, too: they get the facts as JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderValue, RETRY_AFTER};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Path};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde_json::{Value, json};

use crate::secret::Secret;
use crate::web::http::error::WebError;
use crate::web::http::extract::{own_address, session_of};
use crate::web::http::layout::Chrome;
use crate::web::http::links::public_link_view::{Opened, open};
use crate::web::http::links::public_link_page::{Closed, LinkClosed, Proof, PublicLink};
use crate::web::http::problem::prefers_json;
use crate::web::http::respond::{App, blocking, with_form};
use crate::web::http::state::State;
use crate::web::links::Recipient;
use crate::web::links::begun::Visitor;
use crate::web::links::contents::{self, Contents, Item, View};
use crate::web::links::mailed_code::CodeMail;
use crate::web::links::offers::{Offer, Offers};
use crate::web::membership::self_service::browser_mark;

/// `GET /l/{code}`
pub(crate) async fn page(
    app: App,
    request: HttpRequest,
    code: Path<String>,
) -> Result<HttpResponse, WebError> {
    let opened = open(&app, &code).await?;
    let session = session_of(&request, &app).await?;
    let own = session.is_some_and(|who| who.account().id == opened.link.owner);
    if !own && is_look(&request) {
        app.administration.links.looked_at(&opened.recipient, app.administration.clock.now());
    }
    show(&app, &request, &code, opened, Shown { own, ..Shown::default() }).await
}

/// Most characters of a search.
const MAX_QUERY: usize = 200;

/// Whether a person looks: browsers say so when a page is opened in a tab, and previews, scanners and
/// programs don't.
fn is_look(request: &HttpRequest) -> bool {
    let destination = request.headers().get("sec-fetch-dest").map(HeaderValue::as_bytes);
    *request.method() == Method::GET && destination == Some(b"document")
}

/// How the page is to be shown.
#[derive(Default)]
pub(crate) struct Shown {
    own: bool,
    refused: Option<Refused>,
    /// The file whose button is to be pressed once more; empty where there is one file only.
    once_more: Option<String>,
}

impl Shown {
    /// As the answer to a first press that a second one must follow, for that file.
    pub(crate) fn once_more(file: Option<String>) -> Shown {
        Shown { once_more: Some(file.unwrap_or_default()), ..Shown::default() }
    }

    /// As the answer to a press that was refused.
    pub(crate) fn refused(why: Refused) -> Shown {
        Shown { refused: Some(why), ..Shown::default() }
    }
}

/// What was wrong with a press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    NoPassword,
    WrongPassword,
    NoCode,
    WrongCode,
    NoCodeNow,
    NoFile,
    UnknownFile,
}

impl Refused {
    const fn slug(self) -> &'static str {
        match self {
            Refused::NoPassword => "password-required",
            Refused::WrongPassword => "wrong-password",
            Refused::NoCode => "code-required",
            Refused::WrongCode => "wrong-code",
            Refused::NoCodeNow => "code-over",
            Refused::NoFile => "invalid-request",
            Refused::UnknownFile => "not-found",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Refused::NoFile => StatusCode::BAD_REQUEST,
            Refused::UnknownFile => StatusCode::NOT_FOUND,
            _ => StatusCode::FORBIDDEN,
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Refused::NoPassword => "This link asks for a password.",
            Refused::WrongPassword => "This password is not correct.",
            Refused::NoCode => "This link asks for the code that we email to its recipient.",
            Refused::WrongCode => "That code is wrong or has been replaced by a newer one.",
            Refused::NoCodeNow => "That code is no longer valid. Request a new one.",
            Refused::NoFile => "Choose which file to download.",
            Refused::UnknownFile => "This link has no such file. Choose one of those below.",
        }
    }

    const fn field(self) -> Field {
        match self {
            Refused::NoPassword | Refused::WrongPassword => Field::Password,
            Refused::NoCode | Refused::WrongCode | Refused::NoCodeNow => Field::Code,
            Refused::NoFile | Refused::UnknownFile => Field::Files,
        }
    }
}

/// Where on the page a message stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Password,
    Code,
    Files,
}

/// Who asks of that recipient's link: a browser by its cookie, and who has none by their address.
pub(crate) fn visitor_of(
    app: &State,
    secret: Option<&Secret>,
    address: Option<IpAddr>,
    recipient: &Recipient,
) -> Visitor {
    let links = &app.administration.links;
    let mark = secret.map(|secret| browser_mark(&secret.digest()));
    Visitor::new(mark, address, &recipient.id, &links.key, &links.lease)
}

/// Shows the page to whoever asks, or why there is nothing to download.
pub(crate) async fn show(
    app: &App,
    request: &HttpRequest,
    code: &str,
    opened: Opened,
    shown: Shown,
) -> Result<HttpResponse, WebError> {
    let json = prefers_json(request.headers());
    let secret = app.cookies.form(request.headers());
    // A browser without our cookie gets one with this page, and is a new visitor with its first press. A
    // program does not.
    let is_program = json || request.method() == Method::HEAD;
    let address = own_address(request, app).filter(|_| is_program);
    let visitor = visitor_of(app, secret.as_ref(), address, &opened.recipient);
    let links = &app.administration.links;
    let now = app.administration.clock.now();
    let offers = links.offers(&opened.link, &opened.recipient, &visitor, now).await?;
    let closed = match opened.closed {
        Some(Closed::Ended) if offers.has_own() => None,
        Some(why) => Some(why),
        None => used_up(&opened, &offers),
    };
    if let Some(why) = closed {
        return refuse(request, why);
    }
    let view = view_of(request);
    let contents = contents_of(app, &opened, view.clone()).await?;
    let offer = |item: &Item| offers.of(item.path.as_str(), Some((item.size, &item.version)));
    if json {
        return Ok(match shown.refused {
            Some(refused) => problem(refused.status(), refused.slug(), refused.sentence()),
            None => HttpResponse::Ok().json(facts(app, &opened, &contents, offer)),
        });
    }
    let items = contents.items.into_iter().map(|item| {
        let offer = offer(&item);
        (item, offer)
    });
    let items = items.collect();
    let (link, recipient) = (opened.link, opened.recipient);
    let mailed = match link.mailed_code {
        true => links.code_mail(&recipient, now).await?,
        false => CodeMail::None,
    };
    let status = shown.refused.map_or(StatusCode::OK, Refused::status);
    let error =
        |field: Field| shown.refused.filter(|refused| refused.field() == field).map(Refused::sentence);
    let proof = |field: Field| Proof { error: error(field).map(str::to_owned) };
    let mut answer = with_form(request, &app.cookies, status, |csrf| PublicLink {
        chrome: Chrome::public(link.title.clone()),
        action: format!("/l/{code}"),
        csrf,
        left: recipient.left(link.uses),
        named: recipient.email.is_some(),
        from: opened.from,
        items,
        total: contents.total,
        page: contents.page,
        pages: contents.pages,
        query: view.query,
        more: contents.more,
        missing: contents.missing,
        too_long: contents.too_long,
        ends_at: link.ends_at,
        ended: link.ends_at.is_some_and(|end| now >= end),
        password: link.password.is_some().then(|| proof(Field::Password)),
        code: link.mailed_code.then(|| proof(Field::Code)),
        problem: error(Field::Files),
        mailed_to: masked(&recipient),
        mailed,
        own: shown.own,
        once_more: shown.once_more,
        title: link.title,
        note: link.note,
    })?;
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, app.script_policy.clone());
    Ok(answer)
}

/// Whether nothing is left for this visitor. One who has begun something may still see how it stands.
pub(crate) fn used_up(opened: &Opened, offers: &Offers) -> Option<Closed> {
    let none_left = opened.recipient.left(opened.link.uses) == Some(0);
    (none_left && !offers.has_own()).then_some(match opened.recipient.reserved {
        0 => Closed::UsedUp,
        _ => Closed::UsedUpForNow,
    })
}

/// What a program wants to know.
fn facts(app: &App, opened: &Opened, contents: &Contents, offer: impl Fn(&Item) -> Offer) -> Value {
    let (link, recipient) = (&opened.link, &opened.recipient);
    let file = |item: &Item| {
        let offer = offer(item);
        let sent = match offer {
            Offer::Running(sent) | Offer::Interrupted(sent) => Some(sent.bytes),
            _ => None,
        };
        json!({
            "file": item.key, "name": item.name, "size": item.size, "state": offer.word(), "sent": sent,
        })
    };
    json!({
        "title": link.title,
        "from": opened.from,
        "note": link.note,
        "address": app.administration.links.address(&app.public_url, recipient),
        "files": contents.items.iter().map(file).collect::<Vec<_>>(),
        "total": contents.total,
        "page": contents.page,
        "pages": contents.pages,
        "more": contents.more || contents.page < contents.pages,
        "missing": contents.missing,
        "ends_at": link.ends_at.map(|end| end.to_string()),
        "uses": link.uses,
        "uses_left": recipient.left(link.uses),
        "password": link.password.is_some(),
        "mailed_code": link.mailed_code,
    })
}

/// The first letter of an address and its domain: enough for its owner.
fn masked(recipient: &Recipient) -> String {
    let email = recipient.email.as_ref().map(|email| email.as_str()).unwrap_or_default();
    match email.rsplit_once('@') {
        Some((name, domain)) => {
            format!("{}…@{domain}", name.chars().next().map(String::from).unwrap_or_default())
        }
        None => String::new(),
    }
}

/// Says why there is nothing to download.
pub(crate) fn refuse(request: &HttpRequest, why: Closed) -> Result<HttpResponse, WebError> {
    let status = StatusCode::from_u16(why.status()).unwrap_or(StatusCode::GONE);
    let mut answer = match prefers_json(request.headers()) {
        true => problem(status, why.slug(), why.sentence()),
        false => {
            let page = LinkClosed::new(why).render()?;
            HttpResponse::build(status).content_type("text/html; charset=utf-8").body(page)
        }
    };
    if let Some(wait) = why.wait() {
        answer.headers_mut().insert(RETRY_AFTER, wait.into());
    }
    Ok(answer)
}

fn problem(status: StatusCode, slug: &str, sentence: &str) -> HttpResponse {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "type": slug, "title": title, "status": status.as_u16(), "detail": sentence });
    HttpResponse::build(status).content_type("application/problem+json").body(body.to_string())
}

/// Which of many files are wanted: the page and the words in the address.
fn view_of(request: &HttpRequest) -> View {
    let Ok(fields) = web::Query::<BTreeMap<String, String>>::from_query(request.query_string()) else {
        return View::default();
    };
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    View {
        query: field("q").trim().chars().take(MAX_QUERY).collect(),
        page: field("page").parse().unwrap_or_default(),
    }
}

/// What the link is on now. A walk through folders is heavy; a few at once are enough.
pub(crate) async fn contents_of(app: &App, opened: &Opened, view: View) -> Result<Contents, WebError> {
    let (shares, places) = (app.shares.clone(), opened.places.clone());
    let turn = app.searches.clone().acquire_owned().await;
    let looking = blocking(move || {
        let _turn = turn;
        contents::look_at(&shares, &places, &view)
    });
    let mut contents = looking.await?;
    let (issuer, now) = (&app.administration.issuer, app.administration.clock.now());
    let found = contents.items.len();
    contents.items.retain(|item| issuer.can_issue(&item.path, now));
    contents.too_long = found - contents.items.len();
    Ok(contents)
}
