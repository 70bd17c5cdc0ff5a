//! Changing what is in a share: creating a folder, renaming, moving and deleting.
//!
//! Forms carry paths percent-encoded (see [`crate::web::http::files::edit_page`]).

use std::slice;

use actix_web::HttpResponse;
use actix_web::web::Query;
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::files::EntryKind;
use crate::id::FilePath;
use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, SignedIn};
use crate::web::http::files::access::{begin_change, manageable, writable};
use crate::web::http::files::addresses::parent_address;
use crate::web::http::files::destinations;
use crate::web::http::files::destinations::Destinations;
use crate::web::http::files::edit_page::{ManageError, ManagePage, NewFolderPage};
use crate::web::http::files::move_page::MovePage;
use crate::web::http::files::row::{Row, ShownFolder};
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::paths::{decoded_path, folder_address};
use crate::web::http::respond::{AppData, blocking, html, redirect_again, redirect_with_flash, rerender};
use crate::web::http::state::AppState;
use crate::web::identity::AccountId;
use crate::web::identity::client_info::ClientInfo;
use crate::web::shares::error::StorageError;
use crate::web::shares::name::FileName;
use crate::web::shares::rights::{Manageable, Writable};

#[derive(Deserialize)]
pub(crate) struct FolderQuery {
    folder: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFolderForm {
    folder: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenameForm {
    path: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntryForm {
    path: String,
}

#[derive(Deserialize)]
pub(crate) struct MoveQuery {
    path: String,
    to: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveForm {
    path: String,
    to: String,
}

/// `GET /manage/new-folder`
pub(crate) async fn new_folder_page(
    app: AppData,
    who: SignedIn,
    query: Query<FolderQuery>,
) -> Result<HttpResponse, WebError> {
    // A query is already decoded.
    let folder = writable(&app, &who, query.folder.parse().ok())?;
    html(&empty_page(&who, &folder))
}

fn empty_page(who: &SignedIn, folder: &Writable) -> NewFolderPage {
    NewFolderPage {
        chrome: who.form_chrome("New folder", Section::Files),
        folder: ShownFolder::new(folder.path().clone(), who.home.as_ref()),
        typed_name: String::new(),
        error: None,
    }
}

/// `POST /manage/make-folder`
pub(crate) async fn make_folder(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<NewFolderForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, sent } = form;
    let once = app.sent_forms.begin(sent).await?;
    if let Some(before) = once.before() {
        return redirect_again(&app, before);
    }
    let (actor, now) = begin_change(&app, &who, &place)?;
    let folder = writable(&app, &who, decoded_path(&fields.folder))?;
    match create_folder(&app, &folder, &fields.name, &actor, now).await {
        Ok(_) => {
            let to = folder_address(folder.path());
            once.done(&to, FlashMessage::FolderMade.as_str(), now).await?;
            redirect_with_flash(&app, &to, FlashMessage::FolderMade)
        }
        Err(error) => {
            let (status, sentence) = error.for_user()?;
            let page = empty_page(&who, &folder);
            rerender(status, &NewFolderPage { typed_name: fields.name, error: Some(sentence), ..page })
        }
    }
}

async fn create_folder(
    app: &AppState,
    folder: &Writable,
    name: &str,
    actor: &Actor,
    now: Timestamp,
) -> Result<FilePath, StorageError> {
    let name = FileName::typed(name)?;
    let account = AccountId::from_store(&actor.id);
    app.uploads.admits_folder(&account, folder.path().share(), now).await?;
    app.editor.new_folder(folder, &name, actor, now).await
}

/// `GET /manage/entry`
pub(crate) async fn entry_page(
    app: AppData,
    who: SignedIn,
    query: Query<EntryForm>,
) -> Result<HttpResponse, WebError> {
    let entry = manageable(&app, &who, query.path.parse().ok())?;
    html(&entry_page_of(&app, &who, &entry).await?)
}

async fn entry_page_of(app: &AppState, who: &SignedIn, entry: &Manageable) -> Result<ManagePage, WebError> {
    let (shares, path) = (app.shares.clone(), entry.path().clone());
    let found = blocking(move || shares.entry(&path)).await??;
    let size = match found.kind {
        EntryKind::Folder => None,
        EntryKind::File(version) => Some(version.len),
    };
    let path = entry.path().clone();
    let now = app.services.clock.now();
    let links = app.services.links.leading_to(slice::from_ref(&path), now).await?;
    Ok(ManagePage {
        chrome: who.chrome(path.name(), Section::Files),
        typed_name: path.name().to_owned(),
        entry: Row { path, size, modified: found.modified, too_long: false, can_view: false },
        kept: app.editor.retention().as_secs(),
        links,
        error: None,
        now,
    })
}

/// `POST /manage/rename`
pub(crate) async fn rename(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<RenameForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let (actor, now) = begin_change(&app, &who, &place)?;
    let entry = manageable(&app, &who, decoded_path(&fields.path))?;
    match rename_entry(&app, &entry, &fields.name, &actor, now).await {
        Ok(_) => {
            redirect_with_flash(&app, &parent_address(entry.path(), who.home.as_ref()), FlashMessage::Renamed)
        }
        Err(error) => {
            let (status, sentence) = error.for_user()?;
            let page = ManagePage {
                typed_name: fields.name,
                error: Some(ManageError::Rename(sentence)),
                ..entry_page_of(&app, &who, &entry).await?
            };
            rerender(status, &page)
        }
    }
}

async fn rename_entry(
    app: &AppState,
    entry: &Manageable,
    name: &str,
    actor: &Actor,
    now: Timestamp,
) -> Result<FilePath, StorageError> {
    let name = FileName::typed(name)?;
    app.editor.rename(entry, &name, actor, now).await
}

/// `POST /manage/delete`: moves the entry to the trash.
pub(crate) async fn delete(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<EntryForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let (actor, now) = begin_change(&app, &who, &place)?;
    let entry = manageable(&app, &who, decoded_path(&fields.path))?;
    match app.editor.trash(&entry, who.account(), &actor, now).await {
        Ok(_) => {
            redirect_with_flash(&app, &parent_address(entry.path(), who.home.as_ref()), FlashMessage::Trashed)
        }
        Err(error) => {
            let (status, sentence) = error.for_user()?;
            let page = entry_page_of(&app, &who, &entry).await?;
            rerender(status, &ManagePage { error: Some(ManageError::Delete(sentence)), ..page })
        }
    }
}

/// `GET /manage/to`: asks where to move an entry, starting in the folder that contains it.
pub(crate) async fn move_page(
    app: AppData,
    who: SignedIn,
    query: Query<MoveQuery>,
) -> Result<HttpResponse, WebError> {
    let entry = manageable(&app, &who, query.path.parse().ok())?;
    let to = match &query.to {
        Some(to) => to.parse().ok(),
        None => entry.path().parent(),
    };
    let to = writable(&app, &who, to)?;
    html(&move_page_of(&app, &who, &entry, &to).await?)
}

async fn move_page_of(
    app: &AppState,
    who: &SignedIn,
    entry: &Manageable,
    to: &Writable,
) -> Result<MovePage, WebError> {
    let (shares, moved) = (app.shares.clone(), entry.path().clone());
    blocking(move || shares.entry(&moved)).await??;
    let Destinations { folders, more, roots } =
        destinations::of(app, who, to, slice::from_ref(entry.path())).await?;
    Ok(MovePage {
        chrome: who.chrome("Move", Section::Files),
        path: entry.path().clone(),
        to: to.path().clone(),
        folders,
        more,
        roots,
        error: None,
    })
}

/// `POST /manage/move`
pub(crate) async fn move_to(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<MoveForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let (actor, now) = begin_change(&app, &who, &place)?;
    let entry = manageable(&app, &who, decoded_path(&fields.path))?;
    let to = writable(&app, &who, decoded_path(&fields.to))?;
    match app.editor.move_to(&entry, &to, &actor, now).await {
        Ok(_) => redirect_with_flash(&app, &folder_address(to.path()), FlashMessage::Moved),
        Err(error) => {
            let (status, sentence) = error.for_user()?;
            let page = move_page_of(&app, &who, &entry, &to).await?;
            rerender(status, &MovePage { error: Some(sentence), ..page })
        }
    }
}
