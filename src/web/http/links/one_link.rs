//! One link as its owner sees it: how it does, other terms, and its end.

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::files::FileError;
use crate::human;
use crate::id::{FilePath, LinkId, RecipientId};
use crate::web::audit::Actor;
use crate::web::http::conditional::{tagged, unchanged};
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, LARGEST_FORM, SignedIn};
use crate::web::http::flash::Note;
use crate::web::http::layout::Section;
use crate::web::http::links::deliveries_page::DeliveriesPart;
use crate::web::http::links::mailing_page::MailingPart;
use crate::web::http::links::my_links_page::{LinkLive, OneLink, RecipientRow, State};
use crate::web::http::links::qr;
use crate::web::http::respond::{
    App, add_cookie, blocking, html, html_with_script, see_other, without_flash,
};
use crate::web::identity::passwords::Asker;
use crate::web::identity::place::Place;
use crate::web::links::change::PasswordChange;
use crate::web::links::terms::{TermErrors, Typed};
use crate::web::links::{Link, Links, Recipient, Standing, moment};
use crate::web::mail::Kind;

/// `GET /links/{id}`
pub(crate) async fn page(
    app: App,
    request: HttpRequest,
    id: Path<String>,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let link = own(&app, &who, &LinkId::from_store(&id)).await?;
    let typed = typed_of(&link);
    let mut page = page_of(&app, &who, link, typed, TermErrors::default()).await?;
    let note = app.cookies.note(request.headers());
    page.chrome.flash = note.map(Note::flash);
    let answer = html_with_script(&app, &page)?;
    without_flash(&app, note, answer)
}

/// `GET /links/{id}/live`: what changes of the page, for the script that refreshes it. Unchanged while nothing
/// happened within the minute, in which times such as "2 minutes ago" hold.
pub(crate) async fn live(
    app: App,
    request: HttpRequest,
    id: Path<String>,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let now = app.administration.clock.now();
    let stamp = app
        .administration
        .links
        .stamp(&who.account().id, &LinkId::from_store(&id))
        .await?
        .ok_or(WebError::NotFound)?;
    let tag = format!("\"{stamp}-{}-{}\"", who.session.account.groups.len(), now.secs() / 60);
    if let Some(unchanged) = unchanged(&request, &tag)? {
        return Ok(unchanged);
    }
    let link = own(&app, &who, &LinkId::from_store(&id)).await?;
    tagged(html(&live_of(&app, &who, &link).await?)?, &tag)
}

/// The link, if this person made it.
pub(crate) async fn own(app: &App, who: &SignedIn, id: &LinkId) -> Result<Link, WebError> {
    let link = app.administration.links.of_owner(&who.account().id, id).await?;
    link.ok_or(WebError::NotFound)
}

/// The terms of a link as its form has them.
fn typed_of(link: &Link) -> Typed {
    Typed {
        title: link.title.clone(),
        note: link.note.clone(),
        uses: link.uses.map(|uses| uses.to_string()).unwrap_or_default(),
        ends: link.ends_at.map(moment::field).unwrap_or_default(),
        mailed_code: link.mailed_code,
        notify: link.notify.as_str().to_owned(),
        ..Typed::default()
    }
}

async fn page_of(
    app: &App,
    who: &SignedIn,
    link: Link,
    typed: Typed,
    errors: TermErrors,
) -> Result<OneLink, WebError> {
    let live = live_of(app, who, &link).await?;
    let missing = missing_of(app, link.files.clone()).await?;
    let files =
        link.files.iter().map(|file| (human::name(file.as_str()).into_owned(), missing.contains(file)));
    let files = files.collect();
    let qr = match live.recipients.as_slice() {
        [only] if only.email.is_none() => qr::of(&only.address),
        _ => None,
    };
    Ok(OneLink {
        chrome: who.form_chrome(link.title.clone(), Section::Links),
        live,
        id: link.id.to_string(),
        title: link.title,
        files,
        restored: link.restored,
        ends_at: link.ends_at,
        created_at: link.created_at,
        qr,
        has_password: link.password.is_some(),
        notices_off: app.administration.notices.are_off(&who.account().id, Kind::Taken).await?,
        typed,
        errors,
    })
}

/// Those of these files and folders that are not where they were.
pub(crate) async fn missing_of(app: &App, files: Vec<FilePath>) -> Result<Vec<FilePath>, WebError> {
    let shares = app.shares.clone();
    let is_missing = move |file: &FilePath| matches!(shares.entry(file), Err(FileError::Missing));
    blocking(move || files.into_iter().filter(is_missing).collect()).await
}

async fn live_of(app: &App, who: &SignedIn, link: &Link) -> Result<LinkLive, WebError> {
    let administration = &app.administration;
    let recipients = administration.links.recipients(link).await?;
    let now = administration.clock.now();
    let mailings = administration.links.mailings(link).await?;
    let state = state_of(app, who, link, &recipients);
    let mailing = |recipient: &Recipient| {
        let mailing = mailings.get(&recipient.id)?.clone();
        let can_send_again = state == State::Open && Links::may_be_sent_again(link, recipient, &mailing, now);
        Some(MailingPart { mailing, can_send_again })
    };
    let row = |recipient: &Recipient| RecipientRow {
        id: recipient.id.to_string(),
        email: recipient.email.as_ref().map(|email| email.as_str().to_owned()),
        address: administration.links.address(&app.public_url, recipient),
        taken: recipient.taken,
        reserved: recipient.reserved,
        looks: recipient.looks,
        looked_at: recipient.looked_at,
        mailing: mailing(recipient),
    };
    let deliveries = app.receipts.of_link(&link.owner, &link.id).await?.unwrap_or_default();
    Ok(LinkLive {
        state,
        uses: link.uses,
        recipients: recipients.iter().map(row).collect(),
        deliveries: DeliveriesPart { deliveries, now },
        now,
    })
}

fn state_of(app: &App, who: &SignedIn, link: &Link, recipients: &[Recipient]) -> State {
    let readable = |file| app.rights.readable(who.account(), file).is_some();
    match link.standing(app.administration.clock.now()) {
        Standing::Revoked => State::Revoked,
        _ if !link.files.iter().cloned().any(readable) => State::Gone,
        Standing::Ended => State::Ended,
        Standing::Paused => State::Paused,
        Standing::Open if recipients.iter().all(|one| one.left(link.uses) == Some(0)) => State::UsedUp,
        Standing::Open => State::Open,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    title: String,
    note: String,
    uses: String,
    ends: String,
    #[serde(default)]
    ends_zone: String,
    password: String,
    remove_password: Option<String>,
    notify: String,
    mailed_code: Option<String>,
}

/// `POST /links/{id}`
pub(crate) async fn change(
    app: App,
    id: Path<String>,
    place: Place,
    form: CsrfForm<Change, LARGEST_FORM>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let link = own(&app, &who, &LinkId::from_store(&id)).await?;
    let administration = &app.administration;
    let now = administration.clock.now();
    app.throttle.link(&who.account().id, now)?;
    let remove = fields.remove_password.is_some();
    let typed = Typed {
        title: fields.title,
        note: fields.note,
        uses: fields.uses,
        ends: fields.ends,
        ends_zone: fields.ends_zone,
        password: fields.password,
        mailed_code: fields.mailed_code.is_some(),
        notify: fields.notify,
        recipients: String::new(),
    };
    let named = administration.links.recipients(&link).await?.iter().all(|one| one.email.is_some());
    let mut terms = match typed.check(Some(named), now) {
        Ok(terms) => terms,
        Err(errors) => {
            let mut answer = html_with_script(&app, &page_of(&app, &who, link, typed, *errors).await?)?;
            *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            return Ok(answer);
        }
    };
    if terms.title.is_empty() {
        terms.title.clone_from(&link.title);
    }
    let password = match terms.password.clone() {
        Some(password) => PasswordChange::Set(
            administration.passwords.hash(Asker::Account(who.account().id.clone()), password).await?,
        ),
        None if remove => PasswordChange::Remove,
        None => PasswordChange::Keep,
    };
    let actor = Actor::account(who.account(), place.address);
    let changed = administration.links.edit(&link, &terms, password, &actor, now).await?;
    administration.revoke_now().await;
    back(&app, &link, changed, Note::LinkChanged)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// `POST /links/{id}/pause`
pub(crate) async fn pause(
    app: App,
    id: Path<String>,
    place: Place,
    form: CsrfForm<Nothing>,
) -> Result<HttpResponse, WebError> {
    let (link, changed) = set_paused(&app, &id, &place, form, true).await?;
    let heard = app.administration.revoke_now().await;
    back(&app, &link, changed, if heard { Note::LinkPaused } else { Note::LinkClosedUnheard })
}

/// `POST /links/{id}/resume`
pub(crate) async fn resume(
    app: App,
    id: Path<String>,
    place: Place,
    form: CsrfForm<Nothing>,
) -> Result<HttpResponse, WebError> {
    let (link, changed) = set_paused(&app, &id, &place, form, false).await?;
    back(&app, &link, changed, Note::LinkResumed)
}

/// Answers the link as it was, and whether that could be done.
async fn set_paused(
    app: &App,
    id: &str,
    place: &Place,
    form: CsrfForm<Nothing>,
    paused: bool,
) -> Result<(Link, bool), WebError> {
    let CsrfForm { who, fields: Nothing {}, .. } = form;
    let link = own(app, &who, &LinkId::from_store(id)).await?;
    let administration = &app.administration;
    app.throttle.link(&who.account().id, administration.clock.now())?;
    let actor = Actor::account(who.account(), place.address);
    let changed = administration.links.set_paused(&link, paused, &actor, administration.clock.now()).await?;
    Ok((link, changed))
}

/// `POST /links/{id}/revoke`: stops sharing for good.
pub(crate) async fn revoke(
    app: App,
    id: Path<String>,
    place: Place,
    form: CsrfForm<Nothing>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields: Nothing {}, .. } = form;
    let link = own(&app, &who, &LinkId::from_store(&id)).await?;
    let administration = &app.administration;
    let actor = Actor::account(who.account(), place.address);
    let now = administration.clock.now();
    administration.links.revoke(&link, &actor, now).await?;
    let heard = administration.revoke_now().await;
    tracing::info!(account = %who.account().id, link = %link.id, "link revoked");
    // One that was revoked before is revoked.
    back(&app, &link, true, if heard { Note::LinkRevoked } else { Note::LinkClosedUnheard })
}

/// To the link's page, which says what was done, if it could be.
pub(crate) fn back(app: &App, link: &Link, done: bool, note: Note) -> Result<HttpResponse, WebError> {
    let mut answer = see_other(&format!("/links/{}", link.id));
    if done {
        add_cookie(&mut answer, &app.cookies.set_note(note))?;
    }
    Ok(answer)
}

/// `GET /links/{id}/qr/{recipient}`: the address of a recipient's link as a picture.
pub(crate) async fn picture(
    app: App,
    ids: Path<(String, String)>,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let (id, recipient) = ids.into_inner();
    let link = own(&app, &who, &LinkId::from_store(&id)).await?;
    let links = &app.administration.links;
    let found = links.by_recipient(&RecipientId::from_store(&recipient)).await?;
    let (_, recipient) = found.filter(|(other, _)| other.id == link.id).ok_or(WebError::NotFound)?;
    let qr = qr::of(&links.address(&app.public_url, &recipient)).ok_or(WebError::NotFound)?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "image/svg+xml")).body(qr::picture(&qr)))
}
