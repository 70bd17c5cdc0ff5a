//! Changing what is in a share: a new folder, other names and places, the trash and the way back.
//!
//! Forms carry paths percent-encoded (see [`crate::web::http::files::edit_page`]). Who lacks the right gets
//! the answer for what is not there.

use actix_web::http::StatusCode;
use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::files::EntryKind;
use crate::files::name::FileName;
use crate::id::FilePath;
use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, SignedIn};
use crate::web::http::files::edit_page::{ManageEntry, ManageError, MoveTo, NewFolder, Trash, trash_address};
use crate::web::http::files::listing;
use crate::web::http::files::row::Row;
use crate::web::http::flash::Note;
use crate::web::http::layout::Section;
use crate::web::http::paths::{decoded_path, folder_address};
use crate::web::http::respond::{
    App, blocking, html, redirect_again, redirect_with_flash, rerender, without_flash,
};
use crate::web::http::state::State;
use crate::web::identity::AccountId;
use crate::web::identity::place::Place;
use crate::web::shares::editor::Trashed;
use crate::web::shares::error::StorageError;
use crate::web::shares::rights::{Manageable, Right, Writable};

/// Most folders that are offered to move something to.
const MAX_CHOICES: usize = 500;

#[derive(Deserialize)]
pub(crate) struct InFolder {
    folder: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedInFolder {
    folder: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    path: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    path: String,
}

#[derive(Deserialize)]
pub(crate) struct Proposed {
    path: String,
    to: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Destination {
    path: String,
    to: String,
}

#[derive(Deserialize)]
pub(crate) struct OfShare {
    share: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Thrown {
    id: String,
}

/// `GET /manage/new-folder`
pub(crate) async fn new_folder_page(
    app: App,
    who: SignedIn,
    query: Query<InFolder>,
) -> Result<HttpResponse, WebError> {
    // A query is decoded once already.
    let folder = writable(&app, &who, query.folder.parse().ok())?;
    html(&new_folder(&who, &folder))
}

fn new_folder(who: &SignedIn, folder: &Writable) -> NewFolder {
    NewFolder {
        chrome: who.form_chrome("New folder", Section::Files),
        folder: folder.path().clone(),
        typed_name: String::new(),
        error: None,
    }
}

/// `POST /manage/make-folder`
pub(crate) async fn make_folder(
    app: App,
    place: Place,
    form: CsrfForm<NamedInFolder>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, sent } = form;
    let once = app.sent_forms.begin(sent).await?;
    if let Some(before) = once.before() {
        return redirect_again(&app, before);
    }
    let now = app.administration.clock.now();
    app.throttle.act(&who.account().id, now)?;
    let folder = writable(&app, &who, decoded_path(&fields.folder))?;
    let actor = Actor::account(who.account(), place.address);
    match made(&app, &folder, &fields.name, &actor).await {
        Ok(_) => {
            let to = folder_address(folder.path());
            once.done(&to, Note::FolderMade.as_str(), now).await?;
            redirect_with_flash(&app, &to, Note::FolderMade)
        }
        Err(error) => {
            let (status, sentence) = shown(error)?;
            let fresh = new_folder(&who, &folder);
            rerender(status, &NewFolder { typed_name: fields.name, error: Some(sentence), ..fresh })
        }
    }
}

async fn made(app: &State, folder: &Writable, name: &str, actor: &Actor) -> Result<FilePath, StorageError> {
    let name = FileName::typed(name)?;
    let now = app.administration.clock.now();
    let account = AccountId::from_store(&actor.id);
    app.uploads.admits_folder(&account, folder.path().share(), now).await?;
    app.manage.new_folder(folder, &name, actor, now).await
}

/// `GET /manage/entry`
pub(crate) async fn entry_page(
    app: App,
    who: SignedIn,
    query: Query<Which>,
) -> Result<HttpResponse, WebError> {
    let entry = manageable(&app, &who, query.path.parse().ok())?;
    html(&entry_of(&app, &who, &entry).await?)
}

async fn entry_of(app: &State, who: &SignedIn, entry: &Manageable) -> Result<ManageEntry, WebError> {
    let (shares, path) = (app.shares.clone(), entry.path().clone());
    let found = blocking(move || shares.entry(&path)).await??;
    let size = match found.kind {
        EntryKind::Folder => None,
        EntryKind::File(version) => Some(version.len),
    };
    let path = entry.path().clone();
    let now = app.administration.clock.now();
    let links = app.administration.links.leading_to(&path, now).await?;
    Ok(ManageEntry {
        chrome: who.chrome(path.name(), Section::Files),
        typed_name: path.name().to_owned(),
        entry: Row { path, size, modified: found.modified, too_long: false },
        kept: app.manage.kept().as_secs(),
        links,
        error: None,
        now,
    })
}

/// `POST /manage/rename`
pub(crate) async fn rename(app: App, place: Place, form: CsrfForm<Named>) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    app.throttle.act(&who.account().id, app.administration.clock.now())?;
    let actor = Actor::account(who.account(), place.address);
    let entry = manageable(&app, &who, decoded_path(&fields.path))?;
    match renamed(&app, &entry, &fields.name, &actor).await {
        Ok(_) => redirect_with_flash(&app, &holder(entry.path()), Note::Renamed),
        Err(error) => {
            let (status, sentence) = shown(error)?;
            let page = ManageEntry {
                typed_name: fields.name,
                error: Some(ManageError::Rename(sentence)),
                ..entry_of(&app, &who, &entry).await?
            };
            rerender(status, &page)
        }
    }
}

async fn renamed(
    app: &State,
    entry: &Manageable,
    name: &str,
    actor: &Actor,
) -> Result<FilePath, StorageError> {
    let name = FileName::typed(name)?;
    app.manage.rename(entry, &name, actor, app.administration.clock.now()).await
}

/// `POST /manage/delete`: into the trash.
pub(crate) async fn delete(app: App, place: Place, form: CsrfForm<Which>) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    app.throttle.act(&who.account().id, app.administration.clock.now())?;
    let actor = Actor::account(who.account(), place.address);
    let entry = manageable(&app, &who, decoded_path(&fields.path))?;
    let now = app.administration.clock.now();
    match app.manage.trash(&entry, who.account(), &actor, now).await {
        Ok(_) => redirect_with_flash(&app, &holder(entry.path()), Note::Trashed),
        Err(error) => {
            let (status, sentence) = shown(error)?;
            let page = entry_of(&app, &who, &entry).await?;
            rerender(status, &ManageEntry { error: Some(ManageError::Delete(sentence)), ..page })
        }
    }
}

/// `GET /manage/to`: where to move it, beginning with the folder that holds it.
pub(crate) async fn move_page(
    app: App,
    who: SignedIn,
    query: Query<Proposed>,
) -> Result<HttpResponse, WebError> {
    let entry = manageable(&app, &who, query.path.parse().ok())?;
    let to = match &query.to {
        Some(to) => to.parse().ok(),
        None => entry.path().parent(),
    };
    let to = writable(&app, &who, to)?;
    html(&move_of(&app, &who, &entry, &to).await?)
}

async fn move_of(app: &State, who: &SignedIn, entry: &Manageable, to: &Writable) -> Result<MoveTo, WebError> {
    let shares = app.shares.clone();
    let readable = app.rights.readable(who.account(), to.path().clone()).ok_or(WebError::NotFound)?;
    let moved = entry.path().clone();
    let looked = blocking(move || {
        shares.entry(&moved)?;
        listing::folders(&shares, &readable)
    });
    let mut folders: Vec<FilePath> = looked.await??;
    // Nothing goes into itself.
    folders.retain(|folder| folder != entry.path());
    let more = folders.len().saturating_sub(MAX_CHOICES);
    folders.truncate(MAX_CHOICES);
    Ok(MoveTo {
        chrome: who.chrome("Move", Section::Files),
        path: entry.path().clone(),
        to: to.path().clone(),
        folders,
        more,
        shares: app.rights.shares_with(who.account(), Right::Write),
        error: None,
    })
}

/// `POST /manage/move`
pub(crate) async fn move_to(
    app: App,
    place: Place,
    form: CsrfForm<Destination>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    app.throttle.act(&who.account().id, app.administration.clock.now())?;
    let actor = Actor::account(who.account(), place.address);
    let entry = manageable(&app, &who, decoded_path(&fields.path))?;
    let to = writable(&app, &who, decoded_path(&fields.to))?;
    let now = app.administration.clock.now();
    match app.manage.move_to(&entry, &to, &actor, now).await {
        Ok(_) => redirect_with_flash(&app, &folder_address(to.path()), Note::Moved),
        Err(error) => {
            let (status, sentence) = shown(error)?;
            let page = move_of(&app, &who, &entry, &to).await?;
            rerender(status, &MoveTo { error: Some(sentence), ..page })
        }
    }
}

/// `GET /manage/trash`
pub(crate) async fn trash_page(
    app: App,
    request: HttpRequest,
    who: SignedIn,
    query: Query<OfShare>,
) -> Result<HttpResponse, WebError> {
    let share: FilePath = query.share.parse().map_err(|_| WebError::NotFound)?;
    let mut page = trash_of(&app, &who, share).await?;
    let note = app.cookies.note(request.headers());
    page.chrome.flash = note.map(Note::flash);
    let answer = html(&page)?;
    without_flash(&app, note, answer)
}

async fn trash_of(app: &State, who: &SignedIn, share: FilePath) -> Result<Trash, WebError> {
    let is_share = share.parent().is_none();
    if !is_share || app.rights.most(who.account(), share.share()) < Some(Right::Manage) {
        return Err(WebError::NotFound);
    }
    Ok(Trash {
        chrome: who.chrome("Trash", Section::Files),
        entries: app.manage.trashed(&[share.share().to_owned()]).await?,
        share,
        error: None,
        now: app.administration.clock.now(),
    })
}

/// What was thrown away, and the right to where it was.
async fn thrown(app: &State, who: &SignedIn, id: &str) -> Result<(Trashed, Manageable), WebError> {
    let thrown = app.manage.thrown(id).await?;
    let right = manageable(app, who, Some(thrown.path.clone()))?;
    Ok((thrown, right))
}

/// `POST /manage/restore`
pub(crate) async fn restore(
    app: App,
    place: Place,
    form: CsrfForm<Thrown>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    app.throttle.act(&who.account().id, app.administration.clock.now())?;
    let (thrown, right) = thrown(&app, &who, &fields.id).await?;
    let actor = Actor::account(who.account(), place.address);
    let now = app.administration.clock.now();
    match app.manage.restore(&thrown, &right, &actor, now).await {
        Ok(back) if back == thrown.path => redirect_with_flash(&app, &holder(&back), Note::Restored),
        Ok(back) => redirect_with_flash(&app, &holder(&back), Note::RestoredElsewhere),
        Err(error) => stays(&app, &who, &thrown, error).await,
    }
}

/// `POST /manage/forget`: gone for good.
pub(crate) async fn forget(app: App, place: Place, form: CsrfForm<Thrown>) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    app.throttle.act(&who.account().id, app.administration.clock.now())?;
    let (thrown, right) = thrown(&app, &who, &fields.id).await?;
    let actor = Actor::account(who.account(), place.address);
    let now = app.administration.clock.now();
    match app.manage.forget(&thrown, &right, &actor, now).await {
        Ok(()) => redirect_with_flash(&app, &trash_address(&thrown.path), Note::Forgotten),
        Err(error) => stays(&app, &who, &thrown, error).await,
    }
}

/// The trash once more, which says why something stays in it.
async fn stays(
    app: &State,
    who: &SignedIn,
    thrown: &Trashed,
    error: StorageError,
) -> Result<HttpResponse, WebError> {
    let (status, sentence) = shown(error)?;
    let share = format!("/{}", thrown.share()).parse().map_err(|_| WebError::NotFound)?;
    let page = trash_of(app, who, share).await?;
    rerender(status, &Trash { error: Some((thrown.id.clone(), sentence)), ..page })
}

fn writable(app: &State, who: &SignedIn, folder: Option<FilePath>) -> Result<Writable, WebError> {
    folder.and_then(|folder| app.rights.writable(who.account(), folder)).ok_or(WebError::NotFound)
}

fn manageable(app: &State, who: &SignedIn, path: Option<FilePath>) -> Result<Manageable, WebError> {
    path.and_then(|path| app.rights.manageable(who.account(), path)).ok_or(WebError::NotFound)
}

/// The address of the folder that holds `path`.
fn holder(path: &FilePath) -> String {
    path.parent().map_or_else(|| "/files/".to_owned(), |folder| folder_address(&folder))
}

/// The status and the sentence of what a person can mend; anything else is the edge's business.
fn shown(error: StorageError) -> Result<(StatusCode, String), WebError> {
    match error {
        StorageError::Missing
        | StorageError::Failed(_)
        | StorageError::Query(_)
        | StorageError::Random(_)
        | StorageError::Interrupted => Err(error.into()),
        error => Ok((error.status(), error.sentence())),
    }
}
