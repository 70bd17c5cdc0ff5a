//! Asking for files: the page at `GET /requests/new`, and its form.

use actix_web::HttpResponse;
use actix_web::web::Query;
use serde::Deserialize;

use crate::id::FilePath;
use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, LARGEST_FORM, SignedIn};
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::paths::{decoded_path, encoded_path, shown_path};
use crate::web::http::request_making::{RequestMaking, RequestOrder, existing, make_request};
use crate::web::http::requests::new_request_page::NewRequestPage;
use crate::web::http::respond::{
    AppData, allow_script, html_with_script, redirect_again, redirect_with_flash, unprocessable,
};
use crate::web::identity::client_info::ClientInfo;
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
    match app.rights.writable(who.account(), folder) {
        Some(folder) => existing(app, folder).await,
        None => Ok(None),
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
    let now = app.services.clock.now();
    let rerender = |typed: RequestForm, errors: RequestFormErrors| {
        let page = page_of(&app, &who, path.as_ref(), typed, errors);
        Ok::<_, WebError>(allow_script(&app, unprocessable(&page)?))
    };
    let folder = path.clone().and_then(|path| app.rights.writable(who.account(), path));
    let actor = Actor::account(who.account(), place.address);
    let record = once.record(FlashMessage::RequestMade.as_str());
    let order = RequestOrder { owner: who.account(), folder, typed: &typed, record };
    match make_request(&app, order, &actor, now).await? {
        RequestMaking::Made(id) => {
            redirect_with_flash(&app, &format!("/requests/{id}"), FlashMessage::RequestMade)
        }
        RequestMaking::Invalid(errors) => rerender(typed, *errors),
        // Another process has created it since we looked.
        RequestMaking::Before => match app.sent_forms.begin(once.into_form()).await?.before() {
            Some(before) => redirect_again(&app, before),
            None => Err(StorageError::Busy.into()),
        },
        RequestMaking::NotAllowed => Err(WebError::NotSignedIn),
    }
}
