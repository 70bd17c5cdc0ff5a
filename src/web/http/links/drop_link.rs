//! Dropping files becomes one link: it is created first, and the files are uploaded for it.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::human;
use crate::id::FilePath;
use crate::web::arrivals::FILES_MAX;
use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, EmptyForm, SignedIn};
use crate::web::http::flash::FlashMessage;
use crate::web::http::links::own_link::{own_link, redirect_to_link};
use crate::web::http::respond::{AppData, see_other};
use crate::web::identity::client_info::ClientInfo;
use crate::web::links::create::{AwaitedFiles, CreateOutcome, NewLink};
use crate::web::links::typed::MAX_TITLE;
use crate::web::shares::drop_folder;
use crate::web::shares::error::StorageError;
use crate::web::shares::name::FileName;
use crate::web::shares::rights::Writable;

/// What was dropped.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DropForm {
    /// The number of files, including those in folders.
    files: u32,
    /// The number of files and folders that were dropped.
    items: u32,
    /// The name of the first of them.
    name: String,
    /// Whether that is a folder.
    folder: Option<String>,
    /// Chosen by the page, so that the same files can be dropped twice and become two links.
    drop: String,
}

/// `POST /links/uploading`: creates a link with the person's usual terms that waits for these files, and
/// redirects to its sheet. A single file goes to *My files*; anything else to a new folder in it, which has
/// nothing else in it and so shares nothing else.
pub(crate) async fn make(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<DropForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, sent } = form;
    let once = app.sent_forms.begin(sent).await?;
    if let Some(before) = once.before() {
        return Ok(see_other(&sheet_address(&before.location)));
    }
    if fields.files == 0 || fields.items == 0 || fields.drop.len() > 64 {
        return Err(WebError::Invalid("there are no files"));
    }
    if fields.files > FILES_MAX {
        return Err(StorageError::TooMany.into());
    }
    let services = &app.services;
    let now = services.clock.now();
    let account = who.account();
    let home = who.home.clone().and_then(|home| app.rights.writable(account, home));
    let home = home.ok_or(StorageError::Missing)?;
    app.throttle.link(&account.id, now)?;
    let defaults = services.links.defaults(&account.id).await?;
    let mut typed = defaults.form(true, &services.links.limits.current(), now);
    typed.title = title_of(&fields);
    // The defaults are valid and within the limits, and so is a title without control characters.
    let terms =
        services.links.check(&typed, None, now).map_err(|_| WebError::Invalid("the name is not valid"))?;
    let actor = Actor::account(account, place.address);
    let is_one_file = fields.items == 1 && fields.folder.is_none();
    let files = match is_one_file {
        true => Vec::new(),
        false => vec![new_folder(&app, &who, &home, &fields, &actor, now).await?],
    };
    let new = NewLink {
        owner: account,
        files: &files,
        awaits: Some(AwaitedFiles { count: fields.files, until: now.plus(app.uploads.retention()) }),
        terms: &terms,
        password: None,
        mail: false,
        form: once.record(FlashMessage::LinkMade.as_str()),
    };
    match services.links.create(&new, &actor, now).await? {
        CreateOutcome::Link(id) => {
            tracing::info!(account = %account.id, link = %id, files = fields.files, "link made for an upload");
            Ok(see_other(&sheet_address(&format!("/links/{id}"))))
        }
        // Another process has created it since we looked.
        CreateOutcome::Before => match app.sent_forms.begin(once.into_form()).await?.before() {
            Some(before) => Ok(see_other(&sheet_address(&before.location))),
            None => Err(StorageError::Busy.into()),
        },
        // It names no recipients.
        CreateOutcome::TooMany => Err(StorageError::Busy.into()),
        CreateOutcome::NotAllowed => Err(WebError::NotSignedIn),
    }
}

fn sheet_address(page: &str) -> String {
    format!("{page}/sheet")
}

/// Returns the title in the words of the page for new links.
fn title_of(form: &DropForm) -> String {
    let name = human::name(&form.name);
    let clean: String = name.chars().filter(|c| !c.is_control()).collect();
    let more = match form.items {
        0 | 1 => String::new(),
        2 => " and 1 more".to_owned(),
        items => format!(" and {} more", items - 1),
    };
    let first: String = clean.trim().chars().take(MAX_TITLE - more.chars().count()).collect();
    let first = if first.is_empty() { "Files" } else { &first };
    format!("{first}{more}")
}

/// Creates the folder for what was dropped.
async fn new_folder(
    app: &AppData,
    who: &SignedIn,
    home: &Writable,
    form: &DropForm,
    actor: &Actor,
    now: Timestamp,
) -> Result<FilePath, WebError> {
    let dated = FileName::typed(&drop_folder::name(now));
    let own = (form.items == 1).then(|| FileName::uploaded(&form.name).ok()).flatten();
    // A name that no folder can have doesn't keep its files from being shared.
    let name = own.map_or(dated, Ok).map_err(StorageError::from)?;
    let account = &who.account().id;
    app.throttle.act(account, now)?;
    app.uploads.admits_folder(account, home.path().share(), now).await?;
    Ok(app.editor.new_folder_like(home, &name, actor, now).await?)
}

/// `POST /links/{id}/settle`: the link does without the files that have not arrived.
pub(crate) async fn settle(
    app: AppData,
    id: Path<String>,
    place: ClientInfo,
    form: CsrfForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields: EmptyForm {}, .. } = form;
    let link = own_link(&app, &who, &id).await?;
    let now = app.services.clock.now();
    app.throttle.link(&who.account().id, now)?;
    let actor = Actor::account(who.account(), place.address);
    let changed = app.services.links.settle_for_less(&link, &actor, now).await?;
    redirect_to_link(&app, &link, changed.then_some(FlashMessage::LinkChanged))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_names_the_first_file_and_counts_the_others() {
        let title = |name: &str, items| {
            title_of(&DropForm { files: 9, items, name: name.to_owned(), folder: None, drop: String::new() })
        };
        assert_eq!(title("report.pdf", 1), "report.pdf");
        assert_eq!(title(" report.pdf ", 2), "report.pdf and 1 more");
        assert_eq!(title("a\nb", 3).matches('\n').count(), 0);
        assert_eq!(title(&"x".repeat(300), 10_000).chars().count(), MAX_TITLE);
    }
}
