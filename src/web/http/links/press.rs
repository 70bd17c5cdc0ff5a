//! A press of the button of a public link, by a browser or a program: to the file, or why not. Whoever began
//! a download and did not get the file whole continues it.

use actix_web::http::header::{HeaderValue, REFERRER_POLICY};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::files::FileError;
use crate::id::{FilePath, Jti, LinkId};
use crate::web::db::QueryError;
use crate::web::http::error::WebError;
use crate::web::http::extract::{ClientAddress, OpenForm, own_address};
use crate::web::http::links::opened::{Opened, open};
use crate::web::http::links::public_link::{Refused, Shown, contents_of, refuse, show, used_up, visitor_of};
use crate::web::http::links::public_link_page::Closed;
use crate::web::http::problem::prefers_json;
use crate::web::http::respond::{App, add_cookie, blocking, see_other};
use crate::web::identity::passwords::{Asker, Password};
use crate::web::links::contents::{self, View};
use crate::web::links::mailed_code::Tried;
use crate::web::links::uses::{self, Continuation, Press, Reserved};
use crate::web::links::{Link, Recipient, begun, patience};
use crate::web::revocations::issued::Basis;
use crate::web::throttle::Cause;
use crate::web::tokens::issuer::{DownloadOrder, IssuedToken};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Which file; may be left out where there is one.
    file: Option<String>,
    password: Option<String>,
    code: Option<String>,
    /// Stands there at the second press, where one is needed.
    again: Option<String>,
}

/// `POST /l/{code}`: 303 to the download service.
pub(crate) async fn take(
    app: App,
    request: HttpRequest,
    code: Path<String>,
    address: ClientAddress,
    form: OpenForm<Wanted>,
) -> Result<HttpResponse, WebError> {
    let opened = open(&app, &code).await?;
    app.throttle.press(&opened.link.id, address.0, app.administration.clock.now())?;
    // What was begun may be finished after the end of the link.
    if let Some(why) = opened.closed.filter(|why| *why != Closed::Ended) {
        return refuse(&request, why);
    }
    let wanted = form.fields;
    let visitor = visitor_of(&app, form.secret.as_ref(), own_address(&request, &app), &opened.recipient);
    let file = match file_of(&app, &opened, wanted.file.as_deref()).await? {
        Found::File(file) => file,
        Found::Nothing => return refuse(&request, Closed::Missing),
        Found::Refused(why) => {
            return show(&app, &request, &code, opened, Shown::refused(why)).await;
        }
    };
    let mark = visitor.mark.as_deref();
    if let Some(why) = proven(&app, &opened, wanted.password, wanted.code, address, mark).await? {
        return show(&app, &request, &code, opened, Shown::refused(why)).await;
    }
    let is_first = wanted.again.is_none() && form.is_of_a_page && !prefers_json(request.headers());
    if is_first && opened.needs_second_press() {
        let links = &app.administration.links;
        let now = app.administration.clock.now();
        let offers = links.offers(&opened.link, &opened.recipient, &visitor, now).await?;
        if !offers.has_begun() {
            return show(&app, &request, &code, opened, Shown::once_more(wanted.file)).await;
        }
    }
    let shares = app.shares.clone();
    let path = file.clone();
    let claimed = match blocking(move || shares.claim(&path)).await? {
        Ok(claimed) => claimed,
        Err(FileError::Missing) => return refuse(&request, Closed::Missing),
        Err(error) => return Err(error.into()),
    };
    let administration = &app.administration;
    let link = &opened.link;
    let (version, claim) = (claimed.version().to_string(), claimed.to_string());
    let node = administration.nodes.choose().await?.ok_or(WebError::NoNode)?;
    let began = administration.clock.now();
    // What is given out ends with the link.
    let lifetime = administration.issuer.lifetime;
    let lifetime = link.ends_at.map_or(lifetime, |end| lifetime.min(end.since(began)));
    let kid = administration.issuer.signer.active_kid(began);
    let mut press = Press {
        owner: &link.owner,
        recipient: &opened.recipient.id,
        named: opened.recipient.email.is_some(),
        visitor: &visitor,
        file: &file,
        size: claimed.version().len,
        version: &version,
        expires_at: began.plus(lifetime),
        basis: Basis { node: &node.public_url, kid: &kid, link: Some((&link.id, link.terms)) },
    };
    wait_for_news(&app, &press, opened.recipient.left(link.uses) == Some(0), address).await?;
    let now = administration.clock.now();
    press.expires_at = now.plus(lifetime);
    let (db, rules) = (&administration.db, &administration.links.lease);
    let issued = match uses::reserve(db, &administration.issued, rules, &press, now).await? {
        Reserved::Token(jti) => issue(&app, &press, &claim, &link.id, (jti, press.expires_at), now).await?,
        Reserved::Again(jti, end) => issue(&app, &press, &claim, &link.id, (jti, end), now).await?,
        Reserved::Continue(begun) => match issue_continuation(&app, &press, &link.id, &begun, now).await? {
            Some(issued) => issued,
            None => return refuse(&request, Closed::Away),
        },
        Reserved::UsedUp | Reserved::Closed => {
            // It changed since it was looked at, or all uses are taken: say what is true now.
            let opened = open(&app, &code).await?;
            return match why_not(&app, &opened, &press, now).await? {
                Some(why) => refuse(&request, why),
                // It asks for something else now.
                None => show(&app, &request, &code, opened, Shown::default()).await,
            };
        }
    };
    tracing::info!(link = %link.id, recipient = %opened.recipient.id, jti = %issued.jti, file = ?file, "token issued through a link");
    let mut answer = see_other(&issued.address);
    answer.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // By it the browser continues, also when it was closed meanwhile.
    if let Some(secret) = &form.secret {
        add_cookie(&mut answer, &app.cookies.keep_form(secret))?;
    }
    Ok(answer)
}

/// A token that redeems the file that `claim` describes, with the jti and the end that are on record.
async fn issue(
    app: &App,
    press: &Press<'_>,
    claim: &str,
    link: &LinkId,
    (jti, end): (Jti, Timestamp),
    now: Timestamp,
) -> Result<IssuedToken, WebError> {
    let digest = app.digests.of(press.file, press.version).await?;
    let order = DownloadOrder {
        digest: digest.as_deref(),
        link: Some(link),
        size: Some(press.size),
        version: Some(claim),
        lifetime: Some(end.since(now)),
        ..DownloadOrder::new(press.owner.as_str(), press.file)
    };
    // The same jti again is for the node that it was for.
    let node = app.administration.issued.node_of(jti).await?;
    let issuer = app.administration.issuer.for_audience(node.as_deref().unwrap_or(press.basis.node));
    Ok(issuer.issue_download_as(jti, &order, now)?)
}

/// A token that continues what was begun, of the file as it was then. It never redeems. `None` while the node
/// that began is not ready.
async fn issue_continuation(
    app: &App,
    press: &Press<'_>,
    link: &LinkId,
    begun: &Continuation,
    now: Timestamp,
) -> Result<Option<IssuedToken>, WebError> {
    let administration = &app.administration;
    let Some(node) = administration.issued.node_of(begun.jti).await? else { return Ok(None) };
    if !app.node.of(&node, &administration.nodes, &administration.issuer, now).await? {
        return Ok(None);
    }
    let issuer = administration.issuer.for_audience(&node);
    let order = DownloadOrder {
        again: true,
        link: Some(link),
        size: Some(begun.size),
        version: Some(begun.version.as_str()).filter(|version| !version.is_empty()),
        lifetime: Some(issuer.lifetime.min(begun.until.since(now))),
        ..DownloadOrder::new(press.owner.as_str(), press.file)
    };
    Ok(Some(issuer.issue_download_as(begun.jti, &order, now)?))
}

/// Why a press gave nothing; `None` where it is not for want of uses.
async fn why_not(
    app: &App,
    opened: &Opened,
    press: &Press<'_>,
    now: Timestamp,
) -> Result<Option<Closed>, WebError> {
    if opened.closed.is_some() {
        return Ok(opened.closed);
    }
    let links = &app.administration.links;
    let offers = links.offers(&opened.link, &opened.recipient, press.visitor, now).await?;
    let downloaded = press.visitor.mark.is_some() && offers.has_downloaded();
    let none_left = opened.recipient.left(opened.link.uses) == Some(0);
    Ok(match used_up(opened, &offers) {
        _ if downloaded && none_left => Some(Closed::Downloaded),
        // Something else of this visitor can go on, but not this file.
        None if none_left => Some(Closed::UsedUpForNow),
        why => why,
    })
}

/// Waits a moment where a program may be about to continue what it began.
async fn wait_for_news(
    app: &App,
    press: &Press<'_>,
    none_left: bool,
    ClientAddress(address): ClientAddress,
) -> Result<(), WebError> {
    if !press.visitor.is_program() {
        return Ok(());
    }
    let (links, clock) = (&app.administration.links, &app.administration.clock);
    let end = tokio::time::Instant::now() + patience::LONGEST;
    let mut tick = tokio::time::interval(patience::LOOK_EVERY);
    let mut turn = None;
    loop {
        tick.tick().await;
        let begun = begun::of(links.db.reader(), press.recipient, press.visitor, Some(press.file)).await;
        let begun = begun.map_err(QueryError::from)?;
        let may_change = patience::may_change(&begun, none_left, &links.lease, clock.now());
        if !may_change || tokio::time::Instant::now() >= end {
            return Ok(());
        }
        if turn.is_none() {
            turn = app.patience.turn(address);
        }
        if turn.is_none() {
            return Ok(());
        }
    }
}

/// The file that a press is about.
enum Found {
    File(FilePath),
    Nothing,
    Refused(Refused),
}

/// The file that is wanted, if it is one that this link can give.
async fn file_of(app: &App, opened: &Opened, key: Option<&str>) -> Result<Found, WebError> {
    if let Some(key) = key {
        let found = contents::find(&opened.link.files, key);
        let readable = |place: usize| opened.places.iter().any(|(readable, _)| *readable == place);
        return Ok(match found {
            Some((place, file)) if readable(place) => Found::File(file),
            _ => Found::Refused(Refused::UnknownFile),
        });
    }
    let mut items = contents_of(app, opened, View::default()).await?.items.into_iter();
    Ok(match (items.next(), items.next()) {
        (Some(only), None) => Found::File(only.path),
        (None, _) => Found::Nothing,
        (Some(_), Some(_)) => Found::Refused(Refused::NoFile),
    })
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
    let of = (&link.id, &recipient.id);
    let attempt = app.throttle.guess(of, address, browser, now)?;
    if let (Some(stored), Some(password)) = (&link.password, &password) {
        let is_it = administration
            .passwords
            .verify(Asker::Visitor(address), Password::presented(password), Some(stored))
            .await?;
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
pub(crate) struct MailCodeForm {}

/// `POST /l/{code}/code`: has a code mailed to the recipient.
pub(crate) async fn mail_code(
    app: App,
    request: HttpRequest,
    code: Path<String>,
    address: ClientAddress,
    form: OpenForm<MailCodeForm>,
) -> Result<HttpResponse, WebError> {
    let MailCodeForm {} = form.fields;
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
