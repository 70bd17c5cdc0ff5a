//! Making a file request and changing its terms, for the pages and the API: what both check before the request's own
//! service does its part.

use crate::clock::Timestamp;
use crate::files::{EntryKind, FileError};
use crate::id::{FilePath, RequestId};
use crate::web::audit::Actor;
use crate::web::forms::record::IdempotencyRecord;
use crate::web::http::error::WebError;
use crate::web::http::respond::{AppData, blocking};
use crate::web::identity::Account;
use crate::web::identity::passwords::Asker;
use crate::web::links::change::{EditBase, EditOutcome};
use crate::web::requests::FileRequest;
use crate::web::requests::change::RequestPasswordChange;
use crate::web::requests::create::{CreateRequestOutcome, NewRequest};
use crate::web::requests::terms::{RequestForm, RequestFormErrors};
use crate::web::shares::rights::Writable;

/// A file request to make.
pub(crate) struct RequestOrder<'a> {
    /// The account that asks for files.
    pub(crate) owner: &'a Account,
    /// The folder, if the account may write to it; see [`existing`].
    pub(crate) folder: Option<Writable>,
    /// Its terms as they were typed.
    pub(crate) typed: &'a RequestForm,
    /// The idempotency record of the form or request.
    pub(crate) record: Option<IdempotencyRecord<'a>>,
}

/// What came of making a file request.
pub(crate) enum RequestMaking {
    /// It was made.
    Made(RequestId),
    /// Something is wrong with the terms.
    Invalid(Box<RequestFormErrors>),
    /// The same form or request has already made one.
    Before,
    /// The account may no longer make file requests.
    NotAllowed,
}

/// Makes a file request.
pub(crate) async fn make_request(
    app: &AppData,
    order: RequestOrder<'_>,
    actor: &Actor,
    now: Timestamp,
) -> Result<RequestMaking, WebError> {
    let RequestOrder { owner, folder, typed, record } = order;
    let services = &app.services;
    let mut terms = match services.requests.check(typed, now) {
        Ok(terms) => terms,
        Err(errors) => return Ok(RequestMaking::Invalid(errors)),
    };
    let folder = match folder {
        Some(folder) => existing(app, folder).await?,
        None => None,
    };
    let Some(folder) = folder else {
        return Ok(invalid("This folder no longer exists, or you may not add files to it."));
    };
    if terms.title.is_empty() {
        terms.title = title_for(owner.name.as_str());
    }
    app.throttle.link(&owner.id, now)?;
    let password = match terms.password.clone() {
        Some(password) => Some(services.passwords.hash(Asker::Account(owner.id.clone()), password).await?),
        None => None,
    };
    let password = password.as_ref();
    let new = NewRequest { owner, folder: &folder, terms: &terms, password, form: record };
    match services.requests.create(&new, actor, now).await? {
        CreateRequestOutcome::Request(id) => {
            tracing::info!(account = %owner.id, request = %id, "file request made");
            Ok(RequestMaking::Made(id))
        }
        CreateRequestOutcome::TooMany => {
            Ok(invalid("You have too many file requests. Those that ended disappear after 90 days."))
        }
        CreateRequestOutcome::Before => Ok(RequestMaking::Before),
        CreateRequestOutcome::NotAllowed => Ok(RequestMaking::NotAllowed),
    }
}

fn invalid(sentence: &str) -> RequestMaking {
    let form = Some(sentence.to_owned());
    RequestMaking::Invalid(Box::new(RequestFormErrors { form, ..RequestFormErrors::default() }))
}

/// Returns the title of a request without one. It says nothing about the folder, because guests see it.
fn title_for(name: &str) -> String {
    let name: String = name.chars().take(100).collect();
    format!("Files for {name}")
}

/// Returns the folder if it exists. A person's own folder is created by the first file in it.
pub(crate) async fn existing(app: &AppData, folder: Writable) -> Result<Option<Writable>, WebError> {
    let (shares, path): (_, FilePath) = (app.shares.clone(), folder.path().clone());
    match blocking(move || shares.entry(&path)).await? {
        Ok(entry) => Ok((entry.kind == EntryKind::Folder).then_some(folder)),
        Err(FileError::Missing) => Ok((folder.home() == Some(folder.path())).then_some(folder)),
        Err(error) => Err(error.into()),
    }
}

/// What happened to new terms.
pub(crate) enum RequestChange {
    /// They are valid, and this became of them.
    Done(EditOutcome),
    /// Nothing was changed.
    Invalid(Box<RequestFormErrors>),
}

/// Gives a file request new terms. An empty password keeps the one that it has, unless `remove_password` says otherwise.
pub(crate) async fn change_request(
    app: &AppData,
    (account, actor): (&Account, &Actor),
    (request, base): (&FileRequest, EditBase),
    typed: &RequestForm,
    remove_password: bool,
) -> Result<RequestChange, WebError> {
    let services = &app.services;
    let now = services.clock.now();
    app.throttle.link(&account.id, now)?;
    let mut terms = match services.requests.check(typed, now) {
        Ok(terms) => terms,
        Err(errors) => return Ok(RequestChange::Invalid(errors)),
    };
    if terms.title.is_empty() {
        terms.title.clone_from(&request.title);
    }
    let password = match terms.password.clone() {
        Some(password) => RequestPasswordChange::Set(
            services.passwords.hash(Asker::Account(account.id.clone()), password).await?,
        ),
        None if remove_password => RequestPasswordChange::Remove,
        None => RequestPasswordChange::Keep,
    };
    Ok(RequestChange::Done(services.requests.edit((request, base), &terms, password, actor, now).await?))
}

/// Stops a file request for good. What has arrived stays.
pub(crate) async fn stop_request(
    app: &AppData,
    request: &FileRequest,
    actor: &Actor,
) -> Result<(), WebError> {
    app.services.requests.stop(request, actor, app.services.clock.now()).await?;
    // Whatever can't be removed now expires.
    if let Err(error) = app.uploads.abandon_those_of(&request.id).await {
        let cause = crate::telemetry::chain(&error);
        tracing::warn!(request = %request.id, cause, "cannot remove what guests were sending");
    }
    tracing::info!(account = %request.owner, request = %request.id, "file request stopped");
    Ok(())
}
