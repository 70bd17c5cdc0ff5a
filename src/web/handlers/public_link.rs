//! The public page of a link: opening it spends nothing, one button takes it. Works for programs, too:
//! they get the facts as JSON, and the way to the file for a POST.

use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;
use serde_json::{Value, json};

use super::links::with_form;
use super::login::add_cookie;
use super::opened::{Opened, open};
use super::{App, see_other};
use crate::files::FileError;
use crate::id::FilePath;
use crate::web::error::WebError;
use crate::web::extract::{ClientAddress, OpenForm, session_of};
use crate::web::issue::DownloadOrder;
use crate::web::links::contents::{self, Contents};
use crate::web::links::mailed_code::Tried;
use crate::web::links::uses::{self, Press, Reserved};
use crate::web::links::{Link, Recipient};
use crate::web::pages::Chrome;
use crate::web::pages::public_link::{Closed, LinkClosed, Proof, PublicLink, Taken};
use crate::web::passwords::Password;
use crate::web::problem::prefers_json;
use crate::web::self_service::browser_mark;
use crate::web::throttle::Cause;

use super::files::blocking;

/// `GET /l/{code}`
pub(super) async fn page(
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
    let mailed = request.query_string() == "mailed";
    show(&app, &request, &code, opened, Shown { own, mailed, ..Shown::default() }).await
}

/// Whether a person looks: browsers say so when a page is opened in a tab, and previews, scanners and
/// programs don't.
fn is_look(request: &HttpRequest) -> bool {
    let destination = request.headers().get("sec-fetch-dest").map(HeaderValue::as_bytes);
    *request.method() == Method::GET && destination == Some(b"document")
}

/// How the page is to be shown.
#[derive(Default)]
struct Shown {
    own: bool,
    mailed: bool,
    refused: Option<Refused>,
}

/// What was wrong with what somebody showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    NoPassword,
    WrongPassword,
    NoCode,
    WrongCode,
    NoCodeNow,
}

impl Refused {
    const fn slug(self) -> &'static str {
        match self {
            Refused::NoPassword => "password-required",
            Refused::WrongPassword => "wrong-password",
            Refused::NoCode => "code-required",
            Refused::WrongCode => "wrong-code",
            Refused::NoCodeNow => "code-over",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Refused::NoPassword => "This link asks for a password.",
            Refused::WrongPassword => "This is not the password.",
            Refused::NoCode => "This link asks for a code that is mailed to its recipient.",
            Refused::WrongCode => "This is not the code in the newest mail.",
            Refused::NoCodeNow => "No code counts now: have another one mailed.",
        }
    }

    const fn is_about_the_password(self) -> bool {
        matches!(self, Refused::NoPassword | Refused::WrongPassword)
    }
}

async fn show(
    app: &App,
    request: &HttpRequest,
    code: &str,
    opened: Opened,
    shown: Shown,
) -> Result<HttpResponse, WebError> {
    let visitor = app.cookies.form(request.headers()).map(|secret| browser_mark(&secret.digest()));
    let taken = match &visitor {
        Some(visitor) => app.administration.links.taken_by(&opened.recipient, visitor).await?,
        None => Vec::new(),
    };
    let closed = opened.closed.or_else(|| used_up(&opened, !taken.is_empty()));
    if let Some(why) = closed {
        return refuse(request, why);
    }
    let contents = contents_of(app, &opened).await?;
    if prefers_json(request.headers()) {
        return Ok(match shown.refused {
            Some(refused) => problem(StatusCode::FORBIDDEN, refused.slug(), refused.sentence()),
            None => HttpResponse::Ok().json(facts(app, &opened, &contents)),
        });
    }
    let (link, recipient) = (opened.link, opened.recipient);
    let status = if shown.refused.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    let proof = |about_password: bool| Proof {
        error: shown
            .refused
            .filter(|refused| refused.is_about_the_password() == about_password)
            .map(|refused| refused.sentence().to_owned()),
    };
    let of_this_browser = |path: &FilePath| match taken.iter().find(|(file, _)| file == path.as_str()) {
        Some((_, true)) => Taken::Done,
        Some((_, false)) => Taken::Pressed,
        None => Taken::NotYet,
    };
    let items = contents.items.into_iter().map(|item| {
        let taken = of_this_browser(&item.path);
        (item, taken)
    });
    let items = items.collect();
    let mut answer = with_form(request, &app.cookies, status, |csrf| PublicLink {
        chrome: Chrome::public(link.title.clone()),
        action: format!("/l/{code}"),
        csrf,
        left: recipient.left(link.uses),
        from: opened.from,
        items,
        more: contents.more,
        missing: contents.missing,
        ends_at: link.ends_at,
        password: link.password.is_some().then(|| proof(true)),
        code: link.mailed_code.then(|| proof(false)),
        mailed_to: masked(&recipient),
        mailed: shown.mailed,
        own: shown.own,
        title: link.title,
        note: link.note,
    })?;
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, app.script_policy.clone());
    Ok(answer)
}

/// Whether nothing is left for this browser. One that has begun a use may still go on with it.
fn used_up(opened: &Opened, has_begun: bool) -> Option<Closed> {
    let none_left = opened.recipient.left(opened.link.uses) == Some(0);
    (none_left && !has_begun).then_some(match opened.recipient.reserved {
        0 => Closed::UsedUp,
        _ => Closed::UsedUpForNow,
    })
}

/// What a program wants to know.
fn facts(app: &App, opened: &Opened, contents: &Contents) -> Value {
    let (link, recipient) = (&opened.link, &opened.recipient);
    let files = contents.items.iter();
    let files = files.map(|item| json!({ "file": item.key, "name": item.name, "size": item.size }));
    json!({
        "title": link.title,
        "from": opened.from,
        "note": link.note,
        "address": app.administration.links.address(&app.public_url, recipient),
        "files": files.collect::<Vec<_>>(),
        "more": contents.more,
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

fn refuse(request: &HttpRequest, why: Closed) -> Result<HttpResponse, WebError> {
    let status = StatusCode::from_u16(why.status()).unwrap_or(StatusCode::GONE);
    if prefers_json(request.headers()) {
        return Ok(problem(status, why.slug(), why.sentence()));
    }
    let page = LinkClosed::new(why).render()?;
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(page))
}

fn problem(status: StatusCode, slug: &str, sentence: &str) -> HttpResponse {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "type": slug, "title": title, "status": status.as_u16(), "detail": sentence });
    HttpResponse::build(status).content_type("application/problem+json").body(body.to_string())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Which file; may be left out where there is one.
    file: Option<String>,
    password: Option<String>,
    code: Option<String>,
}

/// `POST /l/{code}`: 303 to the download service.
pub(super) async fn take(
    app: App,
    request: HttpRequest,
    code: Path<String>,
    address: ClientAddress,
    form: OpenForm<Wanted>,
) -> Result<HttpResponse, WebError> {
    let opened = open(&app, &code).await?;
    app.throttle.press(&opened.link.id, address.0, app.administration.clock.now())?;
    if let Some(why) = opened.closed {
        return refuse(&request, why);
    }
    let visitor = form.secret.as_ref().map(|secret| browser_mark(&secret.digest()));
    let wanted = form.fields;
    let Some(file) = file_of(&app, &opened, wanted.file.as_deref()).await? else {
        return refuse(&request, Closed::Missing);
    };
    if let Some(refused) =
        proven(&app, &opened, wanted.password, wanted.code, address, visitor.as_deref()).await?
    {
        return show(&app, &request, &code, opened, Shown { refused: Some(refused), ..Shown::default() })
            .await;
    }
    let shares = app.shares.clone();
    let path = file.clone();
    let version = match blocking(move || shares.file(&path)).await? {
        Ok(found) => found.version(),
        Err(FileError::Missing) => return refuse(&request, Closed::Missing),
        Err(error) => return Err(error.into()),
    };
    let administration = &app.administration;
    let now = administration.clock.now();
    let link = &opened.link;
    // What is given out ends with the link.
    let lifetime = administration.issuer.lifetime;
    let lifetime = link.ends_at.map_or(lifetime, |end| lifetime.min(end.since(now)));
    let press = Press {
        owner: &link.owner,
        recipient: &opened.recipient.id,
        visitor: visitor.as_deref(),
        file: &file,
        size: version.len,
        expires_at: now.plus(lifetime),
    };
    let (jti, lifetime) = match uses::reserve(&administration.db, &administration.issued, &press, now).await?
    {
        Reserved::Token(jti) => (jti, lifetime),
        Reserved::Again(jti, end) => (jti, end.since(now)),
        Reserved::UsedUp | Reserved::Closed => {
            // It changed since it was looked at, or all uses are taken: say what is true now.
            let opened = open(&app, &code).await?;
            let why = opened.closed.or_else(|| used_up(&opened, false)).unwrap_or(Closed::UsedUpForNow);
            return refuse(&request, why);
        }
    };
    let text = version.to_string();
    let digest = app.digests.of(&file, &text).await?;
    let order = DownloadOrder {
        digest: digest.as_deref(),
        link: Some(&link.id),
        size: Some(version.len),
        version: Some(&text),
        lifetime: Some(lifetime),
        ..DownloadOrder::new(link.owner.as_str(), &file)
    };
    let issued = administration.issuer.issue_download_as(jti, &order, now)?;
    tracing::info!(link = link.id, recipient = opened.recipient.id, %jti, file = ?file, "token issued through a link");
    let mut answer = see_other(&issued.address);
    answer.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let is_one_of_several = link.files.len() > 1 || link.files.first() != Some(&file);
    if let Some(secret) = form.secret.as_ref().filter(|_| is_one_of_several) {
        add_cookie(&mut answer, &app.cookies.keep_form(secret))?;
    }
    Ok(answer)
}

/// What the link is on now. A walk through folders is heavy; a few at once are enough.
async fn contents_of(app: &App, opened: &Opened) -> Result<Contents, WebError> {
    let (shares, places) = (app.shares.clone(), opened.places.clone());
    let turn = app.searches.clone().acquire_owned().await;
    blocking(move || {
        let _turn = turn;
        contents::look_at(&shares, &places)
    })
    .await
}

/// The file that is wanted, if it is one that this link can give; `None` when there is nothing now.
async fn file_of(app: &App, opened: &Opened, key: Option<&str>) -> Result<Option<FilePath>, WebError> {
    if let Some(key) = key {
        let (place, file) = contents::find(&opened.link.files, key).ok_or(WebError::NotFound)?;
        let readable = opened.places.iter().any(|(readable, _)| *readable == place);
        return if readable { Ok(Some(file)) } else { Err(WebError::NotFound) };
    }
    let mut items = contents_of(app, opened).await?.items.into_iter();
    match (items.next(), items.next()) {
        (Some(only), None) => Ok(Some(only.path)),
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(WebError::Invalid("there are several files: say which")),
    }
}

/// Whether somebody showed what the link asks for; what was wrong with it otherwise. Costs no use.
async fn proven(
    app: &App,
    opened: &Opened,
    password: Option<String>,
    code: Option<String>,
    ClientAddress(address): ClientAddress,
    browser: Option<&str>,
) -> Result<Option<Refused>, WebError> {
    let (link, recipient): (&Link, &Recipient) = (&opened.link, &opened.recipient);
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let (password, code) = (given(password), given(code));
    if link.password.is_none() && !link.mailed_code {
        return Ok(None);
    }
    if link.password.is_some() && password.is_none() {
        return Ok(Some(Refused::NoPassword));
    }
    if link.mailed_code && code.is_none() {
        return Ok(Some(Refused::NoCode));
    }
    let administration = &app.administration;
    let now = administration.clock.now();
    let of = (link.id.as_str(), recipient.id.as_str());
    let attempt = app.throttle.guess(of, address, browser, now)?;
    if let (Some(stored), Some(password)) = (&link.password, &password) {
        let is_it = administration.passwords.verify(Password::presented(password), Some(stored)).await?;
        if !is_it {
            return Ok(Some(Refused::WrongPassword));
        }
    }
    if let (true, Some(code)) = (link.mailed_code, &code) {
        match administration.links.try_code(recipient, code, now).await? {
            Tried::Right => {}
            Tried::Wrong => return Ok(Some(Refused::WrongCode)),
            Tried::Over => return Ok(Some(Refused::NoCodeNow)),
        }
    }
    app.throttle.succeeded(attempt, now);
    Ok(None)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// `POST /l/{code}/code`: has a code mailed to the recipient.
pub(super) async fn mail_code(
    app: App,
    request: HttpRequest,
    code: Path<String>,
    address: ClientAddress,
    form: OpenForm<Nothing>,
) -> Result<HttpResponse, WebError> {
    let Nothing {} = form.fields;
    let opened = open(&app, &code).await?;
    if let Some(why) = opened.closed {
        return refuse(&request, why);
    }
    if !opened.link.mailed_code {
        return Err(WebError::NotFound);
    }
    let now = app.administration.clock.now();
    app.throttle.request(address.0, now)?;
    // Nobody's mailbox is filled by who presses again and again; the newest code goes on to count.
    let mailbox = opened.recipient.email.as_ref().map(|email| email.key().to_owned());
    if mailbox.is_some_and(|mailbox| app.throttle.mail(Cause::Code, &mailbox, now)) {
        app.administration.links.mail_code(&opened.recipient, now).await?;
    }
    Ok(see_other(&format!("/l/{}?mailed", *code)))
}
