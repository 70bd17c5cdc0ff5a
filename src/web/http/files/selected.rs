//! Moving and deleting what is selected in a list. Each file or folder is changed by itself, with its own line
//! in the audit log; what could not be changed is reported, and the rest is done.

use std::slice;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::files::FileError;
use crate::id::FilePath;
use crate::secret::Digest;
use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, LARGEST_FORM, SignedIn};
use crate::web::http::files::access::{begin_change, manageable, writable};
use crate::web::http::files::destinations;
use crate::web::http::files::selected_page::{
    CarriedSelection, Deed, DeleteSelectedPage, MoveSelectedPage, RefusedEntry, SelectionFailedPage,
};
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::paths::folder_address;
use crate::web::http::respond::{
    AppData, blocking, html, redirect_again, redirect_with_count, redirect_with_flash, rerender,
};
use crate::web::http::selection::{Picked, Selection, SelectionFields};
use crate::web::http::state::AppState;
use crate::web::identity::client_info::ClientInfo;
use crate::web::shares::error::StorageError;
use crate::web::shares::rights::{Manageable, Writable};

/// The maximum number of files and folders that are changed at once; a flash message names it, too.
const MAX_SELECTED: usize = 5_000;

type SelectionForm = CsrfForm<SelectionFields, LARGEST_FORM>;

/// Returns the selected files and folders, or the message that says why nothing is done with them.
async fn files_of(
    app: &AppState,
    who: &SignedIn,
    picked: &Picked,
) -> Result<Result<Vec<FilePath>, FlashMessage>, WebError> {
    let files = match picked {
        Picked::Files(files) => files.clone(),
        Picked::Everything(folder) => {
            let place = app.rights.readable(who.account(), folder.clone()).ok_or(WebError::NotFound)?;
            let shares = app.shares.clone();
            let entries = blocking(move || shares.folder_up_to(place.path(), MAX_SELECTED + 1)).await?;
            let mut files: Vec<FilePath> = match entries {
                Ok(entries) => entries.into_iter().map(|entry| entry.path).collect(),
                Err(FileError::Missing) => Vec::new(),
                Err(error) => return Err(error.into()),
            };
            files.sort();
            files
        }
    };
    Ok(match files.len() {
        0 => Err(FlashMessage::NothingChosen),
        1..=MAX_SELECTED => Ok(files),
        _ => Err(FlashMessage::TooManyChosen),
    })
}

/// Returns those that the person may change. If there are none, the answer is the same as for files that don't
/// exist.
fn changeable(app: &AppState, who: &SignedIn, files: &[FilePath]) -> Result<Vec<FilePath>, WebError> {
    let may = |file: &&FilePath| app.rights.manageable(who.account(), (*file).clone()).is_some();
    let files: Vec<FilePath> = files.iter().filter(may).cloned().collect();
    if files.is_empty() { Err(WebError::NotFound) } else { Ok(files) }
}

/// Identifies a set of files, so that a confirmed action on everything in a folder doesn't concern files that
/// came later.
fn fingerprint(files: &[FilePath]) -> String {
    let names: Vec<&str> = files.iter().map(FilePath::as_str).collect();
    // No path contains a NUL.
    URL_SAFE_NO_PAD.encode(Digest::of(names.join("\0").as_bytes()).as_bytes())
}

/// `POST /manage/selected/confirm`: asks whether to delete what is selected.
pub(crate) async fn confirm_page(app: AppData, form: SelectionForm) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let selection = Selection::of(fields)?;
    match files_of(&app, &who, &selection.picked).await? {
        Ok(files) => html(&delete_page(&app, &who, &selection, &files, false).await?),
        Err(message) => redirect_with_flash(&app, &selection.back(), message),
    }
}

async fn delete_page(
    app: &AppState,
    who: &SignedIn,
    selection: &Selection,
    files: &[FilePath],
    has_changed: bool,
) -> Result<DeleteSelectedPage, WebError> {
    let now = app.services.clock.now();
    let changeable = changeable(app, who, files)?;
    let links = app.services.links.leading_to(&changeable, now).await?;
    let known = matches!(selection.picked, Picked::Everything(_)).then(|| fingerprint(files));
    Ok(DeleteSelectedPage {
        chrome: who.form_chrome("Delete", Section::Files),
        carried: CarriedSelection::of(selection, known),
        back: selection.back(),
        untouchable: files.len() - changeable.len(),
        files: changeable,
        links,
        kept: app.editor.retention().as_secs(),
        has_changed,
        now,
    })
}

/// `POST /manage/selected/delete`: moves what is selected to the trash.
pub(crate) async fn delete(
    app: AppData,
    place: ClientInfo,
    form: SelectionForm,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, sent } = form;
    let once = app.sent_forms.begin(sent).await?;
    if let Some(before) = once.before() {
        return redirect_again(&app, before);
    }
    let selection = Selection::of(fields)?;
    let files = match files_of(&app, &who, &selection.picked).await? {
        Ok(files) => files,
        Err(message) => return redirect_with_flash(&app, &selection.back(), message),
    };
    let is_everything = matches!(selection.picked, Picked::Everything(_));
    if is_everything && selection.known.as_deref() != Some(&fingerprint(&files)) {
        let page = delete_page(&app, &who, &selection, &files, true).await?;
        return rerender(StatusCode::CONFLICT, &page);
    }
    let files = changeable(&app, &who, &files)?;
    let mut done = Progress::new(&files);
    while let Some(file) = done.next() {
        let result = match begin(&app, &who, &place, &file) {
            Ok((actor, what)) => {
                let now = app.services.clock.now();
                app.editor.trash(&what, who.account(), &actor, now).await.map(drop).map_err(WebError::from)
            }
            Err(error) => Err(error),
        };
        done.record(file, result)?;
    }
    if done.refused.is_empty() {
        let to = selection.from.as_str();
        let now = app.services.clock.now();
        once.done(to, FlashMessage::SelectionTrashed.as_str(), now).await?;
        return redirect_with_count(&app, to, FlashMessage::SelectionTrashed, done.count);
    }
    done.page(&who, &selection, Deed::Deleted)
}

/// `POST /manage/selected/to`: asks where to move what is selected.
pub(crate) async fn move_page(app: AppData, form: SelectionForm) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let selection = Selection::of(fields)?;
    let files = match files_of(&app, &who, &selection.picked).await? {
        Ok(files) => files,
        Err(message) => return redirect_with_flash(&app, &selection.back(), message),
    };
    let changeable = changeable(&app, &who, &files)?;
    // At first where the files are, and with several folders, where all of them are.
    let to = selection.to.clone().or_else(|| common_folder(&changeable));
    let to = match to.and_then(|to| app.rights.writable(who.account(), to)) {
        Some(to) => to,
        None if selection.to.is_some() => return Err(WebError::NotFound),
        None => writable(&app, &who, changeable.first().and_then(FilePath::parent))?,
    };
    let destinations = destinations::of(&app, &who, &to, &changeable).await?;
    html(&MoveSelectedPage {
        chrome: who.form_chrome("Move", Section::Files),
        carried: CarriedSelection::of(&selection, None),
        back: selection.back(),
        untouchable: files.len() - changeable.len(),
        files: changeable,
        to: to.path().clone(),
        destinations,
    })
}

/// Returns the innermost folder that contains all of `files`.
fn common_folder(files: &[FilePath]) -> Option<FilePath> {
    let first = files.first()?.parent()?;
    let mut above = std::iter::successors(Some(first), FilePath::parent);
    above.find(|folder| files.iter().all(|file| file.is_within(folder)))
}

/// `POST /manage/selected/move`
pub(crate) async fn move_to(
    app: AppData,
    place: ClientInfo,
    form: SelectionForm,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, sent } = form;
    let once = app.sent_forms.begin(sent).await?;
    if let Some(before) = once.before() {
        return redirect_again(&app, before);
    }
    let selection = Selection::of(fields)?;
    let to = writable(&app, &who, selection.to.clone())?;
    let files = match files_of(&app, &who, &selection.picked).await? {
        Ok(files) => files,
        Err(message) => return redirect_with_flash(&app, &selection.back(), message),
    };
    let files = changeable(&app, &who, &files)?;
    let mut done = Progress::new(&files);
    while let Some(file) = done.next() {
        let result = match begin(&app, &who, &place, &file) {
            Ok((actor, what)) => move_one(&app, &what, &to, &actor).await,
            Err(error) => Err(error),
        };
        done.record(file, result)?;
    }
    if done.refused.is_empty() {
        let address = folder_address(to.path());
        let now = app.services.clock.now();
        once.done(&address, FlashMessage::SelectionMoved.as_str(), now).await?;
        return redirect_with_count(&app, &address, FlashMessage::SelectionMoved, done.count);
    }
    done.page(&who, &selection, Deed::Moved)
}

async fn move_one(app: &AppState, what: &Manageable, to: &Writable, actor: &Actor) -> Result<(), WebError> {
    let now = app.services.clock.now();
    Ok(app.editor.move_to(what, to, actor, now).await.map(drop)?)
}

/// Checks the right to one file, and counts its change against the person's budget.
fn begin(
    app: &AppState,
    who: &SignedIn,
    place: &ClientInfo,
    file: &FilePath,
) -> Result<(Actor, Manageable), WebError> {
    let what = manageable(app, who, Some(file.clone()))?;
    let (actor, _) = begin_change(app, who, place)?;
    Ok((actor, what))
}

/// How far an action has come.
struct Progress<'f> {
    left: slice::Iter<'f, FilePath>,
    count: usize,
    refused: Vec<RefusedEntry>,
    status: StatusCode,
}

impl Progress<'_> {
    fn new(files: &[FilePath]) -> Progress<'_> {
        Progress { left: files.iter(), count: 0, refused: Vec::new(), status: StatusCode::OK }
    }

    fn next(&mut self) -> Option<FilePath> {
        self.left.next().cloned()
    }

    /// Records the result for one file. If the others can't be changed now either, they are not tried.
    ///
    /// # Errors
    /// The error itself, if nothing was changed yet.
    fn record(&mut self, file: FilePath, result: Result<(), WebError>) -> Result<(), WebError> {
        let error = match result {
            Ok(()) => {
                self.count += 1;
                return Ok(());
            }
            Err(WebError::NotFound) => StorageError::Missing,
            Err(WebError::Storage(error)) => error,
            Err(error) if self.count == 0 => return Err(error),
            Err(_) => {
                let why = "This was not tried: it is too much at once. Try again later.";
                self.refuse_rest(file, why, StatusCode::TOO_MANY_REQUESTS);
                return Ok(());
            }
        };
        let (status, why) = (error.status(), error.sentence());
        let concerns_all = matches!(
            error,
            StorageError::ShareGone
                | StorageError::NoRoom
                | StorageError::Failed(_)
                | StorageError::Query(_)
                | StorageError::Random(_)
                | StorageError::Interrupted
        );
        if concerns_all {
            self.refuse_rest(file, &why, status);
        } else {
            self.refuse(file, &why, status);
        }
        Ok(())
    }

    fn refuse(&mut self, file: FilePath, why: &str, status: StatusCode) {
        if self.refused.is_empty() {
            self.status = status;
        }
        self.refused.push(RefusedEntry { path: file, why: why.to_owned() });
    }

    fn refuse_rest(&mut self, file: FilePath, why: &str, status: StatusCode) {
        self.refuse(file, why, status);
        while let Some(file) = self.next() {
            self.refuse(file, why, status);
        }
    }

    /// Says what was done and what was not, with the rest still selected.
    fn page(self, who: &SignedIn, selection: &Selection, deed: Deed) -> Result<HttpResponse, WebError> {
        let left = self.refused.iter().map(|entry| entry.path.clone()).collect();
        let rest = Selection { picked: Picked::Files(left), ..selection.clone() };
        let page = SelectionFailedPage {
            chrome: who.chrome(deed.title(), Section::Files),
            deed,
            done: self.count,
            refused: self.refused,
            back: rest.back(),
        };
        rerender(self.status, &page)
    }
}
