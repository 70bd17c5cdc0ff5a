//! Creating a link: the page at `GET /links/new`, and its form.

use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::files::{EntryKind, FileError, Shares};
use crate::id::FilePath;
use crate::web::audit::Actor;
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, LARGEST_FORM, SignedIn};
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::links::new_link_page::NewLinkPage;
use crate::web::http::local_path::LocalPath;
use crate::web::http::paths::{decoded_path, encoded_path, shown_name, shown_path};
use crate::web::http::respond::{
    AppData, allow_script, blocking, html_with_script, redirect_again, redirect_with_flash, unprocessable,
};
use crate::web::identity::Email;
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::passwords::Asker;
use crate::web::links::create::{CreateOutcome, NewLink};
use crate::web::links::moment;
use crate::web::links::terms::{LinkForm, LinkFormErrors};
use crate::web::mail::MailKind;
use crate::web::shares::error::StorageError;
use crate::web::shares::rights::Readable;

/// The maximum number of recipients that an error message names one by one.
const NAMED_MAX: usize = 20;

/// The maximum number of files and folders of one link.
pub(crate) const MAX_FILES: usize = 100;

/// `GET /links/new?file=…`, with `file` or `file_encoded` for each file or folder.
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let NewLinkQuery { from, files } = chosen(request.query_string()).ok_or(WebError::NotFound)?;
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
    let files = readable(&app, &who, files).await?.ok_or(WebError::NotFound)?;
    let now = app.services.clock.now();
    let typed = LinkForm {
        title: title_of(&files, who.home.as_ref()),
        uses_per_recipient: "1".to_owned(),
        ends: moment::field(moment::in_a_week(now)),
        notify: "never".to_owned(),
        ..LinkForm::default()
    };
    html_with_script(&app, &page_of(&app, &who, &files, typed, true, LinkFormErrors::default()).await?)
}

/// The query of the page.
#[derive(Default)]
struct NewLinkQuery {
    /// The page on which the files were selected.
    from: LocalPath,
    files: Vec<FilePath>,
}

/// Reads the query; it has no files where none was selected.
fn chosen(query: &str) -> Option<NewLinkQuery> {
    let (mut from, mut files) = (LocalPath::default(), Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let value = value.replace('+', " ");
        let value = percent_decode_str(&value).decode_utf8().ok()?;
        let path: FilePath = match name {
            "file" => value.parse().ok()?,
            "file_encoded" => decoded_path(&value)?,
            "from" => {
                from = LocalPath::parse(&value).unwrap_or_default();
                continue;
            }
            _ => return None,
        };
        if !files.contains(&path) {
            files.push(path);
        }
    }
    (files.len() <= MAX_FILES).then_some(NewLinkQuery { from, files })
}

/// Returns the files, if all of them exist and this person may read them.
async fn readable(
    app: &AppData,
    who: &SignedIn,
    files: Vec<FilePath>,
) -> Result<Option<Vec<FilePath>>, WebError> {
    let now = app.services.clock.now();
    if files.iter().any(|file| !app.services.issuer.can_issue(file, now)) {
        return Err(StorageError::Unlinkable.into());
    }
    let readable = |file| app.rights.readable(who.account(), file);
    let Some(places) = files.into_iter().map(readable).collect::<Option<Vec<Readable>>>() else {
        return Ok(None);
    };
    let shares = app.shares.clone();
    let all = blocking(move || {
        let mut paths = Vec::new();
        for place in &places {
            match shares.entry(place.path()) {
                Ok(_) => paths.push(place.path().clone()),
                Err(FileError::Missing) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(paths))
    });
    Ok(all.await??)
}

fn title_of(files: &[FilePath], home: Option<&FilePath>) -> String {
    let first = files.first().map(|file| shown_name(file, home).into_owned()).unwrap_or_default();
    match files.len() {
        0 | 1 => first,
        2 => format!("{first} and 1 more"),
        count => format!("{first} and {} more", count - 1),
    }
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
    mail: Option<String>,
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
    let files = files_of(&fields.files).ok_or(WebError::Invalid("these are not file paths"))?;
    let (mail, typed) = (fields.mail.is_some(), LinkForm::from(fields));
    let now = app.services.clock.now();
    let rerender_form = async |typed: LinkForm, errors: LinkFormErrors| {
        let page = page_of(&app, &who, &files, typed, mail, errors).await?;
        Ok::<_, WebError>(allow_script(&app, unprocessable(&page)?))
    };
    let whole =
        |sentence: &str| LinkFormErrors { form: Some(sentence.to_owned()), ..LinkFormErrors::default() };
    let mut terms = match typed.check(None, now) {
        Ok(terms) => terms,
        Err(errors) => return rerender_form(typed, *errors).await,
    };
    if readable(&app, &who, files.clone()).await?.is_none() {
        return rerender_form(
            typed,
            whole("Some of these files no longer exist, or you may no longer read them."),
        )
        .await;
    }
    if terms.title.is_empty() {
        terms.title = title_of(&files, who.home.as_ref());
    }
    let services = &app.services;
    app.throttle.link(&who.account().id, now)?;
    if mail && let Err(full) = app.throttle.link_mails(&who.account().id, &terms.recipients, now) {
        return rerender_form(
            typed,
            LinkFormErrors { recipients: too_many_mails(&full), ..LinkFormErrors::default() },
        )
        .await;
    }
    let password = match terms.password.clone() {
        Some(password) => {
            Some(services.passwords.hash(Asker::Account(who.account().id.clone()), password).await?)
        }
        None => None,
    };
    let actor = Actor::account(who.account(), place.address);
    let new = NewLink {
        owner: who.account(),
        files: &files,
        terms: &terms,
        password: password.as_ref(),
        mail,
        form: once.record(FlashMessage::LinkMade.as_str()),
    };
    match services.links.create(&new, &actor, now).await? {
        CreateOutcome::Link(id) => {
            tracing::info!(account = %who.account().id, link = %id, "link made");
            redirect_with_flash(&app, &format!("/links/{id}"), FlashMessage::LinkMade)
        }
        CreateOutcome::TooMany => rerender_form(
            typed,
            whole(
                "You can name at most 2,000 recipients within a day. No link was created: try again tomorrow.",
            ),
        )
        .await,
        // Another process has created it since we looked.
        CreateOutcome::Before => match app.sent_forms.begin(once.into_form()).await?.before() {
            Some(before) => redirect_again(&app, before),
            None => Err(StorageError::Busy.into()),
        },
        CreateOutcome::NotAllowed => Err(WebError::NotSignedIn),
    }
}

/// Returns what to say about recipients whom this account has mailed too often.
fn too_many_mails(full: &[&Email]) -> Vec<String> {
    let named = full.iter().take(NAMED_MAX).map(|email| {
        let sentence = "has already received as many mails from you as are allowed within an hour. Try again \
                        later, or make the link without mails and send it yourself.";
        format!("{email} {sentence}")
    });
    let mut sentences: Vec<String> = named.collect();
    let more = full.len().saturating_sub(NAMED_MAX);
    match more {
        0 => {}
        1 => sentences.push("1 more recipient has received too many mails from you.".to_owned()),
        count => sentences.push(format!("{count} more recipients have received too many mails from you.")),
    }
    sentences
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
            notify: fields.notify,
            recipients: fields.recipients,
        }
    }
}

/// Reads the files in the form: their paths, percent-encoded and separated by spaces.
fn files_of(field: &str) -> Option<Vec<FilePath>> {
    let files = field.split(' ').map(decoded_path).collect::<Option<Vec<FilePath>>>()?;
    (files.len() <= MAX_FILES).then_some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_files_in_both_ways() {
        let files = |query: &str| {
            chosen(query).map(|query| query.files.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let two = files("file=%2Fbooks%2Fa+b.txt&file_encoded=%2Fbooks%2Fa%250Ab&file=/books/a%20b.txt");
        assert_eq!(two, Some(vec!["/books/a b.txt".to_owned(), "/books/a\nb".to_owned()]));
        assert_eq!(files("from=%2Ffiles%2Fbooks"), Some(Vec::new()), "nothing was chosen");
        assert_eq!(chosen("from=%2Ffiles%2Fbooks").unwrap().from.as_str(), "/files/books");
        assert_eq!(chosen("from=https%3A%2F%2Fevil.example%2F").unwrap().from.as_str(), "/files/");
        for wrong in ["file=", "file=books", "file", "other=/books/a", "file=/books/..", "file=%ff"] {
            assert_eq!(files(wrong), None, "{wrong}");
        }
        assert_eq!(files_of("/books/a%20b /books/c").map(|files| files.len()), Some(2));
        assert!(files_of("").is_none() && files_of("/books/a  /b").is_none());
    }
}
