//! `/files`: listing folders, making, renaming, moving and deleting. Files are put there by `/uploads`.

use actix_web::{HttpRequest, HttpResponse};

use crate::files::{FileError, FolderEntry};
use crate::id::FilePath;
use crate::web::http::api::body::ProgramBody;
use crate::web::http::api::entries::{EntryChange, EntryView, NewFolder};
use crate::web::http::api::list::{List, PageQuery, cursor};
use crate::web::http::api::parameters::Parameters;
use crate::web::http::api::respond::{created, json};
use crate::web::http::api_error::{ApiError, FieldProblem};
use crate::web::http::error::WebError;
use crate::web::http::program::{FilesRead, FilesWrite, Program};
use crate::web::http::respond::{AppData, blocking};
use crate::web::shares::error::StorageError;
use crate::web::shares::name::FileName;
use crate::web::shares::rights::Right;

/// Cursors of the list of a folder.
const LIST: &str = "files";

/// List a folder
///
/// The files and folders in a folder, sorted by name. Without `folder`: the folders at the top, which are the account's
/// own folder and the shares that it may read.
#[utoipa::path(get, path = "/files", tag = "files", operation_id = "listFiles",
    params(
        ("folder" = Option<String>, Query, description = "The path of the folder", example = "/books"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Maximum number of items; 100 if missing", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, body = List<EntryView>)), security(("key" = ["files:read"])))]
pub(crate) async fn list(
    app: AppData,
    program: Program<FilesRead>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let parameters = Parameters::of(&request, &["folder", "cursor", "limit"])?;
    let page = PageQuery::of(&parameters, LIST)?;
    let mut entries = match parameters.text("folder") {
        None => tops(&app, &program).await?,
        Some(_) => in_folder(&app, &program, parameters.path("folder")?).await?,
    };
    if let Some(after) = &page.after {
        entries.retain(|(name, _)| name.as_str() > after.as_str());
    }
    entries.sort_by(|one, other| one.0.cmp(&other.0));
    let limit = page.limit as usize;
    let next = entries.get(limit.saturating_sub(1)).filter(|_| entries.len() > limit);
    let next = next.map(|(name, _)| cursor(LIST, name));
    let items = entries.into_iter().take(limit).map(|(_, entry)| entry).collect();
    json(&List { items, next })
}

/// Returns the folders at the top, each with what the list is sorted by.
async fn tops(app: &AppData, program: &Program<FilesRead>) -> Result<Vec<(String, EntryView)>, WebError> {
    let roots = app.rights.roots_with(program.account(), Right::Read);
    let roots: Vec<FilePath> = roots.into_iter().filter(|root| program.key().covers(root)).collect();
    let shares = app.shares.clone();
    let found: Vec<(FilePath, Option<FolderEntry>)> =
        blocking(move || roots.into_iter().map(|root| (root.clone(), shares.entry(&root).ok())).collect())
            .await?;
    let view = |(path, entry): (FilePath, Option<FolderEntry>)| {
        let view = match entry {
            Some(entry) => EntryView::of(&entry, program, &app.rights),
            None => EntryView::absent(&path, program, &app.rights),
        };
        (path.as_str().to_owned(), view)
    };
    Ok(found.into_iter().map(view).collect())
}

async fn in_folder(
    app: &AppData,
    program: &Program<FilesRead>,
    path: FilePath,
) -> Result<Vec<(String, EntryView)>, WebError> {
    let is_home = app.rights.home(program.account()).as_ref() == Some(&path);
    let folder = program.readable(&app.rights, path).ok_or(WebError::NotFound)?;
    let (shares, path) = (app.shares.clone(), folder.path().clone());
    let entries = match blocking(move || shares.folder(&path)).await? {
        // A person's own folder is created when something is first put there.
        Err(FileError::Missing) if is_home => Vec::new(),
        entries => entries?,
    };
    let view =
        |entry: FolderEntry| (entry.path.name().to_owned(), EntryView::of(&entry, program, &app.rights));
    Ok(entries.into_iter().map(view).collect())
}

/// Read a file or folder
#[utoipa::path(get, path = "/files/entry", tag = "files", operation_id = "readEntry",
    params(("path" = String, Query, description = "Its path", example = "/books/report.pdf")),
    responses((status = 200, body = EntryView)), security(("key" = ["files:read"])))]
pub(crate) async fn read(
    app: AppData,
    program: Program<FilesRead>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let path = Parameters::of(&request, &["path"])?.path("path")?;
    let place = program.readable(&app.rights, path).ok_or(WebError::NotFound)?;
    json(&seen(&app, &program, place.path().clone()).await?)
}

/// Returns what is at a path that the program may reach.
async fn seen<S>(app: &AppData, program: &Program<S>, path: FilePath) -> Result<EntryView, WebError> {
    let shares = app.shares.clone();
    let entry = blocking(move || shares.entry(&path)).await??;
    Ok(EntryView::of(&entry, program, &app.rights))
}

/// Make a folder
#[utoipa::path(post, path = "/files", tag = "files", operation_id = "makeFolder", request_body = NewFolder,
    responses((status = 201, body = EntryView)), security(("key" = ["files:write"])))]
pub(crate) async fn make_folder(
    app: AppData,
    body: ProgramBody<FilesWrite, NewFolder>,
) -> Result<HttpResponse, WebError> {
    let ProgramBody { program, fields, key } = body;
    let now = app.services.clock.now();
    let once = app.request_keys.begin(key, now).await?;
    let path = match once.before() {
        Some(made) => made.parse().map_err(|_| WebError::NotFound)?,
        None => {
            let folder = folder_in("folder", &fields.folder)?;
            let folder = program.writable(&app.rights, folder).ok_or(WebError::NotFound)?;
            let name = FileName::typed(&fields.name).map_err(StorageError::from)?;
            let account = &program.account().id;
            app.throttle.act(account, now)?;
            app.uploads.admits_folder(account, folder.path().share(), now).await?;
            let path = app.editor.new_folder(&folder, &name, &program.actor(), now).await?;
            once.done(path.as_str(), now).await?;
            path
        }
    };
    let view = seen(&app, &program, path.clone()).await?;
    created(&view, &format!("/files/entry?path={}", crate::web::http::paths::encoded_path(&path)), None)
}

/// Rename or move a file or folder
///
/// Nothing is ever replaced. Links lead to it also in its new place, if their owners may read it there.
#[utoipa::path(patch, path = "/files/entry", tag = "files", operation_id = "changeEntry", request_body = EntryChange,
    params(("path" = String, Query, description = "Its path", example = "/books/report.pdf")),
    responses((status = 200, body = EntryView)), security(("key" = ["files:write"])))]
pub(crate) async fn change(
    app: AppData,
    request: HttpRequest,
    body: ProgramBody<FilesWrite, EntryChange>,
) -> Result<HttpResponse, WebError> {
    let ProgramBody { program, fields, .. } = body;
    let path = Parameters::of(&request, &["path"])?.path("path")?;
    let entry = program.manageable(&app.rights, path).ok_or(WebError::NotFound)?;
    let (actor, now) = (program.actor(), app.services.clock.now());
    app.throttle.act(&program.account().id, now)?;
    let path = match (fields.name, fields.folder) {
        (Some(name), None) => {
            let name = FileName::typed(&name).map_err(StorageError::from)?;
            app.editor.rename(&entry, &name, &actor, now).await?
        }
        (None, Some(folder)) => {
            let folder = folder_in("folder", &folder)?;
            let folder = program.writable(&app.rights, folder).ok_or(WebError::NotFound)?;
            app.editor.move_to(&entry, &folder, &actor, now).await?
        }
        _ => {
            let either = FieldProblem::member("name", "Send either a name or a folder.");
            return Err(ApiError::InvalidFields(vec![either]).into());
        }
    };
    json(&seen(&app, &program, path).await?)
}

/// Delete a file or folder
///
/// It goes to the trash, from which it can be restored for a while.
#[utoipa::path(delete, path = "/files/entry", tag = "files", operation_id = "deleteEntry",
    params(("path" = String, Query, description = "Its path", example = "/books/report.pdf")),
    responses((status = 204)), security(("key" = ["files:write"])))]
pub(crate) async fn delete(
    app: AppData,
    program: Program<FilesWrite>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let path = Parameters::of(&request, &["path"])?.path("path")?;
    let entry = program.manageable(&app.rights, path).ok_or(WebError::NotFound)?;
    let now = app.services.clock.now();
    app.throttle.act(&program.account().id, now)?;
    app.editor.trash(&entry, program.account(), &program.actor(), now).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn folder_in(member: &str, text: &str) -> Result<FilePath, ApiError> {
    text.parse().map_err(|_| {
        let wrong = FieldProblem::member(member, "Send the path of a folder, such as /books/2026.");
        ApiError::InvalidFields(vec![wrong])
    })
}
