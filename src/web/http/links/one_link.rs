//! One link as its owner sees it: its state, changing its terms, pausing and revoking it.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::id::{LinkId, RecipientId};
use crate::web::audit::Actor;
use crate::web::http::conditional::{tagged, unchanged};
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, EmptyForm, LARGEST_FORM, SignedIn};
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::link_making::{TermsChange, change_link};
use crate::web::http::links::afterwards::{are_own, remember_terms};
use crate::web::http::links::one_link_page::OneLinkPage;
use crate::web::http::links::own_link::{missing_of, own_link, redirect_to_link};
use crate::web::http::links::owners_view::live_of;
use crate::web::http::links::recipient_list::RecipientQuery;
use crate::web::http::paths::shown_path;
use crate::web::http::qr;
use crate::web::http::respond::{AppData, allow_script, html, html_with_flash, unprocessable};
use crate::web::identity::client_info::ClientInfo;
use crate::web::links::change::{EditBase, EditOutcome};
use crate::web::links::terms::{LinkForm, LinkFormErrors};
use crate::web::links::{Link, moment};
use crate::web::mail::MailKind;

/// `GET /links/{id}`
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    id: Path<String>,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let link = own_link(&app, &who, &id).await?;
    let typed = typed_of(&link);
    let query = RecipientQuery::of(&request);
    let mut page = page_of(&app, &who, link, typed, LinkFormErrors::default(), query).await?;
    let answer = html_with_flash(&app, &request, |flash| {
        page.chrome.flash = flash;
        page
    })?;
    Ok(allow_script(&app, answer))
}

/// `GET /links/{id}/live`: the part of the page that changes, for the script that refreshes it. It is
/// unchanged as long as nothing happens within the minute; then times such as "2 minutes ago" change.
pub(crate) async fn live(
    app: AppData,
    request: HttpRequest,
    id: Path<String>,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let now = app.services.clock.now();
    let stamp = app
        .services
        .links
        .stamp(&who.account().id, &LinkId::from_store(&id))
        .await?
        .ok_or(WebError::NotFound)?;
    let tag = format!("\"{stamp}-{}-{}\"", who.session.account.groups.len(), now.secs() / 60);
    if let Some(unchanged) = unchanged(&request, &tag)? {
        return Ok(unchanged);
    }
    let link = own_link(&app, &who, &id).await?;
    let live = live_of(&app, &who, &link, RecipientQuery::of(&request)).await?;
    tagged(html(&live)?, &tag)
}

/// Returns the terms of a link as its form shows them.
pub(crate) fn typed_of(link: &Link) -> LinkForm {
    // Fields for a moment have no seconds.
    LinkForm { ends: link.ends_at.map(moment::field).unwrap_or_default(), ..LinkForm::of(link) }
}

async fn page_of(
    app: &AppData,
    who: &SignedIn,
    link: Link,
    typed: LinkForm,
    errors: LinkFormErrors,
    query: RecipientQuery,
) -> Result<OneLinkPage, WebError> {
    let live = live_of(app, who, &link, query).await?;
    let missing = missing_of(app, who, link.files.clone()).await?;
    let shown = |file| (shown_path(file, who.home.as_ref()), missing.contains(file));
    let files = link.files.iter().map(shown).collect();
    let qr = match live.recipients.rows.as_slice() {
        [only] if only.email.is_none() => qr::of(&only.address),
        _ => None,
    };
    Ok(OneLinkPage {
        chrome: who.form_chrome(link.title.clone(), Section::Links),
        live,
        id: link.id.to_string(),
        title: link.title,
        are_own: are_own(who, &link.files),
        files,
        restored: link.restored,
        ends_at: link.ends_at,
        created_at: link.created_at,
        qr,
        has_password: link.password.is_some(),
        limits: *app.services.links.limits.current(),
        notices_off: app.services.notices.are_off(&who.account().id, MailKind::Taken).await?,
        typed,
        errors,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeLinkForm {
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
    hidden_files: Option<String>,
    #[serde(default)]
    expires: String,
    delete_files: Option<String>,
    remember: Option<String>,
    viewable: Option<String>,
}

/// `POST /links/{id}`
pub(crate) async fn change(
    app: AppData,
    id: Path<String>,
    place: ClientInfo,
    form: CsrfForm<ChangeLinkForm, LARGEST_FORM>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let link = own_link(&app, &who, &id).await?;
    match change_terms(&app, &who, &place, &link, fields).await? {
        ChangeOutcome::Saved(changed) => {
            redirect_to_link(&app, &link, changed.then_some(FlashMessage::LinkChanged))
        }
        ChangeOutcome::Invalid(typed, errors) => {
            let page = page_of(&app, &who, link, *typed, *errors, RecipientQuery::default()).await?;
            Ok(allow_script(&app, unprocessable(&page)?))
        }
    }
}

/// What happened to new terms.
pub(crate) enum ChangeOutcome {
    /// They are valid, and whether the link could still be changed.
    Saved(bool),
    /// Nothing was changed.
    Invalid(Box<LinkForm>, Box<LinkFormErrors>),
}

/// Gives a link the terms in a form.
pub(crate) async fn change_terms(
    app: &AppData,
    who: &SignedIn,
    place: &ClientInfo,
    link: &Link,
    fields: ChangeLinkForm,
) -> Result<ChangeOutcome, WebError> {
    let (remove, remember) = (fields.remove_password.is_some(), fields.remember.is_some());
    let typed = LinkForm {
        title: fields.title,
        note: fields.note,
        uses_per_recipient: fields.uses,
        ends: fields.ends,
        ends_zone: fields.ends_zone,
        password: fields.password,
        mailed_code: fields.mailed_code.is_some(),
        hidden_files: fields.hidden_files.is_some(),
        viewable: fields.viewable.is_some(),
        notify: fields.notify,
        recipients: String::new(),
        expires: fields.expires,
        delete_files: fields.delete_files.is_some(),
    };
    let actor = Actor::account(who.account(), place.address);
    let base = (link, EditBase::Any);
    let outcome = match change_link(app, (who.account(), &actor), base, &typed, remove).await? {
        TermsChange::Done(outcome) => outcome,
        TermsChange::Invalid(errors) => return Ok(ChangeOutcome::Invalid(Box::new(typed), errors)),
    };
    let changed = outcome == EditOutcome::Changed;
    if changed && remember {
        remember_terms(app, who, &typed, are_own(who, &link.files)).await?;
    }
    Ok(ChangeOutcome::Saved(changed))
}

/// `POST /links/{id}/pause`
pub(crate) async fn pause(
    app: AppData,
    id: Path<String>,
    place: ClientInfo,
    form: CsrfForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let (link, changed) = set_paused(&app, &id, &place, form, true).await?;
    let heard = app.services.revoke_now().await;
    let message = if heard { FlashMessage::LinkPaused } else { FlashMessage::LinkClosedUndelivered };
    redirect_to_link(&app, &link, changed.then_some(message))
}

/// `POST /links/{id}/resume`
pub(crate) async fn resume(
    app: AppData,
    id: Path<String>,
    place: ClientInfo,
    form: CsrfForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let (link, changed) = set_paused(&app, &id, &place, form, false).await?;
    redirect_to_link(&app, &link, changed.then_some(FlashMessage::LinkResumed))
}

/// Returns the link as it was, and whether it was changed.
async fn set_paused(
    app: &AppData,
    id: &str,
    place: &ClientInfo,
    form: CsrfForm<EmptyForm>,
    paused: bool,
) -> Result<(Link, bool), WebError> {
    let CsrfForm { who, fields: EmptyForm {}, .. } = form;
    let link = own_link(app, &who, id).await?;
    let services = &app.services;
    app.throttle.link(&who.account().id, services.clock.now())?;
    let actor = Actor::account(who.account(), place.address);
    let changed = services.links.set_paused(&link, paused, &actor, services.clock.now()).await?;
    Ok((link, changed))
}

/// `POST /links/{id}/revoke`: stops sharing for good.
pub(crate) async fn revoke(
    app: AppData,
    id: Path<String>,
    place: ClientInfo,
    form: CsrfForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields: EmptyForm {}, .. } = form;
    let link = own_link(&app, &who, &id).await?;
    let services = &app.services;
    let actor = Actor::account(who.account(), place.address);
    let now = services.clock.now();
    services.links.revoke(&link, &actor, now).await?;
    let heard = services.revoke_now().await;
    tracing::info!(account = %who.account().id, link = %link.id, "link revoked");
    // Also for a link that was revoked before.
    let message = if heard { FlashMessage::LinkRevoked } else { FlashMessage::LinkClosedUndelivered };
    redirect_to_link(&app, &link, Some(message))
}

/// `GET /links/{id}/qr/{recipient}`: the address of a recipient's link as a QR code.
pub(crate) async fn picture(
    app: AppData,
    ids: Path<(String, String)>,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let (id, recipient) = ids.into_inner();
    let link = own_link(&app, &who, &id).await?;
    let links = &app.services.links;
    let found = links.by_recipient(&RecipientId::from_store(&recipient)).await?;
    let (_, recipient) = found.filter(|(other, _)| other.id == link.id).ok_or(WebError::NotFound)?;
    let qr = qr::of(&links.address(&app.public_url, &recipient)).ok_or(WebError::NotFound)?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "image/svg+xml")).body(qr::picture(&qr)))
}
