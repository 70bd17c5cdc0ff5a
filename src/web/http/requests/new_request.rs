//! Asking for files: the page at `GET /requests/new`, and its form.

use actix_web::HttpResponse;
use actix_web::web::Query;
use serde::Deserialize;

use crate::files::{EntryKind, FileError};
use crate::id::FilePath;
use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, LARGEST_FORM, SignedIn};
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::paths::{decoded_path, encoded_path, shown_path};
use crate::web::http::requests::new_request_page::NewRequestPage;
use crate::web::http::respond::{
    AppData, allow_script, blocking, html_with_script, redirect_again, redirect_with_flash, unprocessable,
};
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::passwords::Asker;
use crate::web::requests::create::{CreateRequestOutcome, NewRequest};
use crate::web::requests::terms::{RequestForm, RequestFormErrors};
use crate::web::shares::error::StorageError;
use crate::web::shares::rights::{Right, Writable};

/// Maximum number of folders that the page offers to choose from.
const OFFERED_MAX: usize = 200;

#[derive(Default, Deserialize)]
pub(crate) struct NewRequestQuery {
    /// The folder; the person's own folder if it is missing.
    folder: Option<String>,
}

/// `GET /requests/new?folder=…`
pub(crate) async fn page(
    app: AppData,
    who: SignedIn,
    query: Query<NewRequestQuery>,
) -> Result<HttpResponse, WebError> {
    let roots = roots(&app, &who);
    let folder = match &query.folder {
        Some(folder) => Some(folder.parse().map_err(|_| WebError::NotFound)?),
        None => roots.first().cloned(),
    };
    if let Some(folder) = &folder {
        writable(&app, &who, folder.clone()).await?.ok_or(WebError::NotFound)?;
    }
    let typed = RequestForm::usual(&app.services.requests.limits.current(), app.services.clock.now());
    html_with_script(&app, &page_of(&app, &who, folder.as_ref(), typed, RequestFormErrors::default()))
}

/// Returns the folders that a request may be for without choosing another: the person's own, and shares.
fn roots(app: &AppData, who: &SignedIn) -> Vec<FilePath> {
    let mut roots = app.rights.roots_with(who.account(), Right::Write);
    roots.truncate(OFFERED_MAX);
    roots
}

/// Returns the folder as one that the person may write to, if it exists.
async fn writable(app: &AppData, who: &SignedIn, folder: FilePath) -> Result<Option<Writable>, WebError> {
    let Some(folder) = app.rights.writable(who.account(), folder) else { return Ok(None) };
    // A person's own folder is created by the first file in it.
    if folder.home() == Some(folder.path()) {
        return Ok(Some(folder));
    }
    let (shares, path) = (app.shares.clone(), folder.path().clone());
    match blocking(move || shares.entry(&path)).await? {
        Ok(entry) if entry.kind == EntryKind::Folder => Ok(Some(folder)),
        Ok(_) | Err(FileError::Missing) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn page_of(
    app: &AppData,
    who: &SignedIn,
    folder: Option<&FilePath>,
    typed: RequestForm,
    errors: RequestFormErrors,
) -> NewRequestPage {
    let mut folders: Vec<(String, String)> = roots(app, who)
        .iter()
        .map(|root| (encoded_path(root), shown_path(root, who.home.as_ref())))
        .collect();
    let chosen = folder.map(encoded_path).unwrap_or_default();
    if let Some(folder) = folder
        && !folders.iter().any(|(path, _)| *path == chosen)
    {
        folders.insert(0, (chosen.clone(), shown_path(folder, who.home.as_ref())));
    }
    NewRequestPage {
        chrome: who.form_chrome("Ask for files", Section::Requests),
        folders,
        chosen,
        limits: *app.services.requests.limits.current(),
        typed,
        errors,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRequestForm {
    folder: String,
    title: String,
    note: String,
    max_bytes: String,
    max_files: String,
    ends: String,
    #[serde(default)]
    ends_zone: String,
    password: String,
    notify: Option<String>,
}

/// `POST /requests`
pub(crate) async fn make(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<NewRequestForm, LARGEST_FORM>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, sent } = form;
    let once = app.sent_forms.begin(sent).await?;
    if let Some(before) = once.before() {
        return redirect_again(&app, before);
    }
    let path = decoded_path(&fields.folder);
    let typed = RequestForm {
        title: fields.title,
        note: fields.note,
        max_bytes: fields.max_bytes,
        max_files: fields.max_files,
        ends: fields.ends,
        ends_zone: fields.ends_zone,
        password: fields.password,
        notify: fields.notify.is_some(),
    };
    let services = &app.services;
    let now = services.clock.now();
    let rerender = |typed: RequestForm, errors: RequestFormErrors| {
        let page = page_of(&app, &who, path.as_ref(), typed, errors);
        Ok::<_, WebError>(allow_script(&app, unprocessable(&page)?))
    };
    let whole = |sentence: &str| RequestFormErrors {
        form: Some(sentence.to_owned()),
        ..RequestFormErrors::default()
    };
    let mut terms = match services.requests.check(&typed, now) {
        Ok(terms) => terms,
        Err(errors) => return rerender(typed, *errors),
    };
    let folder = match path.clone() {
        Some(path) => writable(&app, &who, path).await?,
        None => None,
    };
    let Some(folder) = folder else {
        return rerender(typed, whole("This folder no longer exists, or you may not add files to it."));
    };
    if terms.title.is_empty() {
        terms.title = title_for(who.account().name.as_str());
    }
    app.throttle.link(&who.account().id, now)?;
    let password = match terms.password.clone() {
        Some(password) => {
            Some(services.passwords.hash(Asker::Account(who.account().id.clone()), password).await?)
        }
        None => None,
    };
    let actor = Actor::account(who.account(), place.address);
    let new = NewRequest {
        owner: who.account(),
        folder: &folder,
        terms: &terms,
        password: password.as_ref(),
        form: once.record(FlashMessage::RequestMade.as_str()),
    };
    match services.requests.create(&new, &actor, now).await? {
        CreateRequestOutcome::Request(id) => {
            tracing::info!(account = %who.account().id, request = %id, "file request made");
            redirect_with_flash(&app, &format!("/requests/{id}"), FlashMessage::RequestMade)
        }
        CreateRequestOutcome::TooMany => rerender(
            typed,
            whole("You have too many file requests. Those that ended disappear after 90 days."),
        ),
        // Another process has created it since we looked.
        CreateRequestOutcome::Before => match app.sent_forms.begin(once.into_form()).await?.before() {
            Some(before) => redirect_again(&app, before),
            None => Err(StorageError::Busy.into()),
        },
        CreateRequestOutcome::NotAllowed => Err(WebError::NotSignedIn),
    }
}

/// Returns the title of a request without one. It says nothing about the folder, because guests see it.
fn title_for(name: &str) -> String {
    let name: String = name.chars().take(100).collect();
    format!("Files for {name}")
}
