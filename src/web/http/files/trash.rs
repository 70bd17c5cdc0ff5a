//! The trash of a share, or of a person's own files: looking into it, restoring from it, and deleting permanently.

use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::id::FilePath;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, SignedIn};
use crate::web::http::files::access::{begin_change, manageable};
use crate::web::http::files::addresses::{parent_address, trash_address};
use crate::web::http::files::row::ShownFolder;
use crate::web::http::files::trash_page::TrashPage;
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::respond::{AppData, html_with_flash, redirect_with_flash, rerender};
use crate::web::http::state::AppState;
use crate::web::identity::client_info::ClientInfo;
use crate::web::shares::editor::TrashEntry;
use crate::web::shares::error::StorageError;
use crate::web::shares::rights::{Manageable, Right};

#[derive(Deserialize)]
pub(crate) struct TrashQuery {
    share: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrashForm {
    id: String,
}

/// `GET /manage/trash`
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    who: SignedIn,
    query: Query<TrashQuery>,
) -> Result<HttpResponse, WebError> {
    let share: FilePath = query.share.parse().map_err(|_| WebError::NotFound)?;
    let mut page = page_of(&app, &who, share).await?;
    html_with_flash(&app, &request, |flash| {
        page.chrome.flash = flash;
        page
    })
}

async fn page_of(app: &AppState, who: &SignedIn, share: FilePath) -> Result<TrashPage, WebError> {
    if !app.rights.roots_with(who.account(), Right::Manage).contains(&share) {
        return Err(WebError::NotFound);
    }
    Ok(TrashPage {
        chrome: who.chrome("Trash", Section::Files),
        entries: app.editor.list_trash(&share).await?,
        share: ShownFolder::new(share, who.home.as_ref()),
        error: None,
    })
}

/// Returns an entry of the trash, and the right to the path that it was deleted from.
async fn find(app: &AppState, who: &SignedIn, id: &str) -> Result<(TrashEntry, Manageable), WebError> {
    let entry = app.editor.trash_entry(id).await?;
    let right = manageable(app, who, Some(entry.path.clone()))?;
    Ok((entry, right))
}

/// `POST /manage/restore`
pub(crate) async fn restore(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<TrashForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let (actor, now) = begin_change(&app, &who, &place)?;
    let (entry, right) = find(&app, &who, &fields.id).await?;
    match app.editor.restore(&entry, &right, &actor, now).await {
        Ok(back) if back == entry.path => {
            redirect_with_flash(&app, &parent_address(&back, who.home.as_ref()), FlashMessage::Restored)
        }
        Ok(back) => redirect_with_flash(
            &app,
            &parent_address(&back, who.home.as_ref()),
            FlashMessage::RestoredElsewhere,
        ),
        Err(error) => rerender_with_error(&app, &who, &entry, error).await,
    }
}

/// `POST /manage/forget`: deletes the entry permanently.
pub(crate) async fn forget(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<TrashForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let (actor, now) = begin_change(&app, &who, &place)?;
    let (entry, right) = find(&app, &who, &fields.id).await?;
    match app.editor.purge(&entry, &right, &actor, now).await {
        Ok(()) => {
            redirect_with_flash(&app, &trash_address(&entry.path, who.home.as_ref()), FlashMessage::Forgotten)
        }
        Err(error) => rerender_with_error(&app, &who, &entry, error).await,
    }
}

/// Shows the trash again with the reason why an entry is still in it.
async fn rerender_with_error(
    app: &AppState,
    who: &SignedIn,
    entry: &TrashEntry,
    error: StorageError,
) -> Result<HttpResponse, WebError> {
    let (status, sentence) = error.for_user()?;
    let share = match &who.home {
        Some(home) if entry.path.is_within(home) => home.clone(),
        _ => format!("/{}", entry.share()).parse().map_err(|_| WebError::NotFound)?,
    };
    let page = page_of(app, who, share).await?;
    rerender(status, &TrashPage { error: Some((entry.id.clone(), sentence)), ..page })
}
