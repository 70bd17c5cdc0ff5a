//! Creating a link: the page at `GET /links/new`, and its form.

use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::files::{EntryKind, Shares};
use crate::id::FilePath;
use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, LARGEST_FORM, SignedIn};
use crate::web::http::file_query::{self, FileQuery};
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::link_making::{LinkMaking, LinkOrder, make_link, readable};
use crate::web::http::links::afterwards::{are_own, remember_terms};
use crate::web::http::links::new_link_page::NewLinkPage;
use crate::web::http::local_path::LocalPath;
use crate::web::http::paths::{encoded_path, shown_path};
use crate::web::http::respond::{
    AppData, allow_script, blocking, html_with_script, redirect_again, redirect_with_flash, unprocessable,
};
use crate::web::identity::client_info::ClientInfo;
use crate::web::links::terms::{LinkForm, LinkFormErrors};
use crate::web::mail::MailKind;
use crate::web::shares::error::StorageError;

/// `GET /links/new?file=…`, with `file` or `file_encoded` for each file or folder.
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let FileQuery { from, files } = FileQuery::of(request.query_string()).ok_or(WebError::NotFound)?;
    page_for(app, who, from, files).await
}

/// Responds with the page for a link on `files`, which were selected on the page `from`.
pub(crate) async fn page_for(
    app: AppData,
    who: SignedIn,
    from: LocalPath,
    files: Vec<FilePath>,
) -> Result<HttpResponse, WebError> {
    // Nothing was selected: back to the page where it can be, which says so.
    if files.is_empty() {
        return redirect_with_flash(&app, from.as_str(), FlashMessage::NothingChosen);
    }
    let files = readable(&app, who.account(), files).await?.ok_or(WebError::NotFound)?;
    let now = app.services.clock.now();
    let defaults = app.services.links.defaults(&who.account().id).await?;
    let title = file_query::title_of(&files, who.home.as_ref());
    let typed =
        LinkForm { title, ..defaults.form(are_own(&who, &files), &app.services.links.limits.current(), now) };
    html_with_script(&app, &page_of(&app, &who, &files, typed, true, LinkFormErrors::default()).await?)
}

async fn page_of(
    app: &AppData,
    who: &SignedIn,
    files: &[FilePath],
    typed: LinkForm,
    mail: bool,
    errors: LinkFormErrors,
) -> Result<NewLinkPage, WebError> {
    let (shares, looked) = (app.shares.clone(), files.to_vec());
    let (has_folders, empty_folder) = blocking(move || look_at_folders(&shares, &looked)).await?;
    Ok(NewLinkPage {
        chrome: who.form_chrome("Make a link", Section::Links),
        files: files.iter().map(|file| shown_path(file, who.home.as_ref())).collect(),
        files_field: files.iter().map(encoded_path).collect::<Vec<_>>().join(" "),
        has_folders,
        empty_folder,
        are_own: are_own(who, files),
        limits: *app.services.links.limits.current(),
        typed,
        mail,
        notices_off: app.services.notices.are_off(&who.account().id, MailKind::Taken).await?,
        errors,
    })
}

/// Returns whether a folder is among the files, and whether an empty folder is the only one of them.
fn look_at_folders(shares: &Shares, files: &[FilePath]) -> (bool, bool) {
    let is_folder = |file: &&FilePath| shares.entry(file).is_ok_and(|entry| entry.kind == EntryKind::Folder);
    let has_folders = files.iter().any(|file| is_folder(&file));
    let empty = match files {
        [only] if has_folders => shares.folder_up_to(only, 1).is_ok_and(|entries| entries.is_empty()),
        _ => false,
    };
    (has_folders, empty)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLinkForm {
    files: String,
    title: String,
    note: String,
    uses: String,
    ends: String,
    #[serde(default)]
    ends_zone: String,
    password: String,
    notify: String,
    recipients: String,
    mailed_code: Option<String>,
    hidden_files: Option<String>,
    viewable: Option<String>,
    mail: Option<String>,
    #[serde(default)]
    expires: String,
    delete_files: Option<String>,
    remember: Option<String>,
}

/// `POST /links`
pub(crate) async fn make(
    app: AppData,
    place: ClientInfo,
    form: CsrfForm<NewLinkForm, LARGEST_FORM>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, sent } = form;
    let once = app.sent_forms.begin(sent).await?;
    if let Some(before) = once.before() {
        return redirect_again(&app, before);
    }
    let files = file_query::files_of(&fields.files).ok_or(WebError::Invalid("these are not file paths"))?;
    let (mail, remember) = (fields.mail.is_some(), fields.remember.is_some());
    let typed = LinkForm::from(fields);
    let now = app.services.clock.now();
    let rerender_form = async |typed: LinkForm, errors: LinkFormErrors| {
        let page = page_of(&app, &who, &files, typed, mail, errors).await?;
        Ok::<_, WebError>(allow_script(&app, unprocessable(&page)?))
    };
    let actor = Actor::account(who.account(), place.address);
    let record = once.record(FlashMessage::LinkMade.as_str());
    let order = LinkOrder { owner: who.account(), files: &files, typed: &typed, mail, record };
    match make_link(&app, &order, &actor, now).await? {
        LinkMaking::Made(id) => {
            if remember {
                remember_terms(&app, &who, &typed, are_own(&who, &files)).await?;
            }
            redirect_with_flash(&app, &format!("/links/{id}"), FlashMessage::LinkMade)
        }
        LinkMaking::Invalid(errors) => rerender_form(typed, *errors).await,
        // Another process has created it since we looked.
        LinkMaking::Before => match app.sent_forms.begin(once.into_form()).await?.before() {
            Some(before) => redirect_again(&app, before),
            None => Err(StorageError::Busy.into()),
        },
        LinkMaking::NotAllowed => Err(WebError::NotSignedIn),
    }
}

impl From<NewLinkForm> for LinkForm {
    fn from(fields: NewLinkForm) -> LinkForm {
        LinkForm {
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
            recipients: fields.recipients,
            expires: fields.expires,
            delete_files: fields.delete_files.is_some(),
        }
    }
}
