//! Duplicating a link: the same files and terms for the same recipients, with new addresses. The page says what
//! can't be copied.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::id::FilePath;
use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, SignedIn};
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::link_making::too_many_mails;
use crate::web::http::links::duplicate_page::DuplicatePage;
use crate::web::http::links::own_link::own_link;
use crate::web::http::paths::shown_path;
use crate::web::http::respond::{
    AppData, allow_script, blocking, html_with_script, redirect_again, redirect_with_flash, unprocessable,
};
use crate::web::identity::Email;
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::passwords::Asker;
use crate::web::links::create::{CreateOutcome, NewLink};
use crate::web::links::terms::{LinkForm, LinkFormErrors};
use crate::web::links::{Link, moment};
use crate::web::shares::error::StorageError;
use crate::web::shares::rights::Readable;

/// A link to copy, and what of it can be copied now.
struct Original {
    link: Link,
    /// The files and folders that exist and may be shared, in order.
    files: Vec<FilePath>,
    recipients: Vec<Email>,
}

/// `GET /links/{id}/duplicate`
pub(crate) async fn page(app: AppData, id: Path<String>, who: SignedIn) -> Result<HttpResponse, WebError> {
    let original = original(&app, &who, &id).await?;
    let typed = LinkForm {
        title: original.link.title.clone(),
        ends: ends_of_copy(&app, &original.link).map(moment::field).unwrap_or_default(),
        ..LinkForm::default()
    };
    html_with_script(&app, &page_of(&app, &who, original, typed, false, LinkFormErrors::default()))
}

/// Returns when a copy made now expires: it lasts as long as the original did, if links may.
fn ends_of_copy(app: &AppData, link: &Link) -> Option<Timestamp> {
    let now = app.services.clock.now();
    let same = link.ends_at.map(|end| now.plus(end.since(link.created_at)));
    app.services.links.limits.current().clamp_end(same, now)
}

async fn original(app: &AppData, who: &SignedIn, id: &str) -> Result<Original, WebError> {
    let link = own_link(app, who, id).await?;
    let services = &app.services;
    let now = services.clock.now();
    let can_be_shared = |file: &FilePath| services.issuer.can_issue(file, now);
    let places = link.files.iter().filter(|file| can_be_shared(file));
    let places: Vec<Readable> =
        places.filter_map(|file| app.rights.readable(who.account(), file.clone())).collect();
    let shares = app.shares.clone();
    let there = move |place: Readable| shares.entry(place.path()).is_ok().then(|| place.path().clone());
    let files = blocking(move || places.into_iter().filter_map(there).collect()).await?;
    let all = services.links.recipients(&link).await?.into_iter();
    let recipients = all.filter(|one| one.removed_at.is_none()).filter_map(|one| one.email).collect();
    Ok(Original { link, files, recipients })
}

fn page_of(
    app: &AppData,
    who: &SignedIn,
    original: Original,
    typed: LinkForm,
    mail: bool,
    errors: LinkFormErrors,
) -> DuplicatePage {
    let Original { link, files, recipients } = original;
    let limits = app.services.links.limits.current();
    let shown = |file: &FilePath| (shown_path(file, who.home.as_ref()), !files.contains(file));
    DuplicatePage {
        chrome: who.form_chrome("Duplicate this link", Section::Links),
        id: link.id.to_string(),
        title: link.title,
        files: link.files.iter().map(shown).collect(),
        uses_per_recipient: limits.clamp_uses(link.uses_per_recipient),
        limits: *limits,
        recipients: recipients.len(),
        has_password: link.password.is_some(),
        mailed_code: link.mailed_code,
        typed,
        mail,
        errors,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DuplicateForm {
    title: String,
    ends: String,
    #[serde(default)]
    ends_zone: String,
    #[serde(default)]
    password: String,
    mail: Option<String>,
}

/// `POST /links/{id}/duplicate`
pub(crate) async fn duplicate(
    app: AppData,
    id: Path<String>,
    place: ClientInfo,
    form: CsrfForm<DuplicateForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, sent } = form;
    let original = original(&app, &who, &id).await?;
    let once = app.sent_forms.begin(sent).await?;
    if let Some(before) = once.before() {
        return redirect_again(&app, before);
    }
    let (services, now) = (&app.services, app.services.clock.now());
    let link = &original.link;
    let mail = fields.mail.is_some();
    let uses = services.links.limits.current().clamp_uses(link.uses_per_recipient);
    let typed = LinkForm {
        title: fields.title,
        note: link.note.clone(),
        uses_per_recipient: uses.map(|uses| uses.to_string()).unwrap_or_default(),
        ends: fields.ends,
        ends_zone: fields.ends_zone,
        password: fields.password,
        mailed_code: link.mailed_code,
        hidden_files: link.hidden_files,
        notify: link.notify.as_str().to_owned(),
        delete_files: link.delete_files,
        ..LinkForm::default()
    };
    let checked = services.links.check(&typed, Some(!original.recipients.is_empty()), now);
    let rerender = |original: Original, errors: LinkFormErrors| {
        let typed = LinkForm { password: String::new(), ..typed.clone() };
        Ok::<_, WebError>(allow_script(
            &app,
            unprocessable(&page_of(&app, &who, original, typed, mail, errors))?,
        ))
    };
    let whole =
        |sentence: &str| LinkFormErrors { form: Some(sentence.to_owned()), ..LinkFormErrors::default() };
    let mut terms = match checked {
        Ok(terms) => terms,
        Err(errors) => return rerender(original, *errors),
    };
    if original.files.is_empty() {
        return rerender(original, whole("None of the files exists any more, so there is nothing to share."));
    }
    if terms.title.is_empty() {
        terms.title.clone_from(&link.title);
    }
    terms.recipients.clone_from(&original.recipients);
    app.throttle.link(&who.account().id, now)?;
    if mail && let Err(full) = app.throttle.link_mails(&who.account().id, &terms.recipients, now) {
        let errors = LinkFormErrors { recipients: too_many_mails(&full), ..LinkFormErrors::default() };
        return rerender(original, errors);
    }
    let password = match terms.password.clone() {
        Some(password) => {
            Some(services.passwords.hash(Asker::Account(who.account().id.clone()), password).await?)
        }
        None => None,
    };
    let new = NewLink {
        owner: who.account(),
        files: &original.files,
        awaits: None,
        terms: &terms,
        password: password.as_ref(),
        mail,
        form: once.record(FlashMessage::LinkDuplicated.as_str()),
    };
    let actor = Actor::account(who.account(), place.address);
    match services.links.create(&new, &actor, now).await? {
        CreateOutcome::Link(copy) => {
            tracing::info!(account = %who.account().id, link = %copy, of = %link.id, "link duplicated");
            redirect_with_flash(&app, &format!("/links/{copy}"), FlashMessage::LinkDuplicated)
        }
        CreateOutcome::TooMany => rerender(
            original,
            whole(
                "You can name at most 2,000 recipients within a day. No link was created: try again tomorrow.",
            ),
        ),
        // Another process has created it since we looked.
        CreateOutcome::Before => match app.sent_forms.begin(once.into_form()).await?.before() {
            Some(before) => redirect_again(&app, before),
            None => Err(StorageError::Busy.into()),
        },
        CreateOutcome::NotAllowed => Err(WebError::NotSignedIn),
    }
}
