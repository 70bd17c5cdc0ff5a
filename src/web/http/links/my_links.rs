//! A person's own links: the list of them, and making one.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::files::{EntryKind, FileError, Shares};
use crate::human;
use crate::id::{FilePath, LinkId};
use crate::web::audit::Actor;
use crate::web::http::conditional::{tag_of, tagged, unchanged};
use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, LARGEST_FORM, SignedIn};
use crate::web::http::flash::Note;
use crate::web::http::layout::Section;
use crate::web::http::links::form_page;
use crate::web::http::links::my_links_page::{LinkRow, MyLinks, State};
use crate::web::http::links::one_link::missing_of;
use crate::web::http::local_path::LocalPath;
use crate::web::http::paths::encoded_path;
use crate::web::http::respond::{App, add_cookie, blocking, html_with_script, redirect_again, see_other};
use crate::web::identity::Email;
use crate::web::identity::passwords::Asker;
use crate::web::identity::place::Place;
use crate::web::links::find::PER_PAGE;
use crate::web::links::make::{Made, NewLink};
use crate::web::links::terms::{TermErrors, Typed};
use crate::web::links::{Standing, moment};
use crate::web::mail::Kind;
use crate::web::shares::error::StorageError;
use crate::web::shares::rights::Readable;

/// Recipients that are named one by one in what is said of them.
const NAMED_MAX: usize = 20;

/// Most files and folders of one link.
const MAX_FILES: usize = 100;

#[derive(Default, Deserialize)]
pub(crate) struct View {
    page: Option<u32>,
}

/// `GET /links`
pub(crate) async fn list(
    app: App,
    request: HttpRequest,
    who: SignedIn,
    view: Option<Query<View>>,
) -> Result<HttpResponse, WebError> {
    let page = view.and_then(|view| view.page).unwrap_or(1).clamp(1, 100_000);
    let administration = &app.administration;
    let offset = (page - 1).saturating_mul(PER_PAGE);
    let (links, more) = administration.links.list(&who.account().id, offset).await?;
    let now = administration.clock.now();
    let ids: Vec<&LinkId> = links.iter().map(|listed| &listed.link.id).collect();
    let files = administration.links.files_of(&ids).await?;
    let missing = missing_of(&app, files.iter().map(|(_, file)| file.clone()).collect()).await?;
    let missing: BTreeSet<FilePath> = missing.into_iter().collect();
    let rows = links.into_iter().map(|listed| {
        let lacks_files = files.iter().any(|(link, file)| *link == listed.link.id && missing.contains(file));
        let uses = listed.link.uses.map(|uses| u64::from(uses) * u64::from(listed.recipients));
        let state = match listed.link.standing(now) {
            Standing::Open if uses.is_some_and(|uses| u64::from(listed.taken) >= uses) => State::UsedUp,
            Standing::Open => State::Open,
            Standing::Paused => State::Paused,
            Standing::Ended => State::Ended,
            Standing::Revoked => State::Revoked,
        };
        LinkRow {
            id: listed.link.id.to_string(),
            title: listed.link.title,
            state,
            files: listed.files,
            recipients: listed.recipients,
            named: listed.named,
            taken: listed.taken,
            uses,
            looks: listed.looks,
            ends_at: listed.link.ends_at,
            // What is over needs no files.
            lacks_files: lacks_files && matches!(state, State::Open | State::Paused),
        }
    });
    let at = |page: u32| format!("/links?page={page}");
    let page = MyLinks {
        rows: rows.collect(),
        chrome: who.chrome("Your links", Section::Links),
        here: at(page),
        pager: ((page > 1).then(|| at(page - 1)), more.then(|| at(page + 1))),
    };
    // The script that refreshes the list asks again and again.
    let tag = tag_of(page.render()?.as_bytes());
    match unchanged(&request, &tag)? {
        Some(unchanged) => Ok(unchanged),
        None => tagged(html_with_script(&app, &page)?, &tag),
    }
}

/// `GET /links/new?file=…`, with `file` or `file_encoded` for each file or folder.
pub(crate) async fn new(app: App, request: HttpRequest, who: SignedIn) -> Result<HttpResponse, WebError> {
    let Wanted { from, files } = wanted(request.query_string()).ok_or(WebError::NotFound)?;
    // Nothing was ticked: back to where it can be, and say so there.
    if files.is_empty() {
        let mut answer = see_other(from.as_str());
        add_cookie(&mut answer, &app.cookies.set_note(Note::NothingChosen))?;
        return Ok(answer);
    }
    let files = readable(&app, &who, files).await?.ok_or(WebError::NotFound)?;
    let now = app.administration.clock.now();
    let typed = Typed {
        title: title_of(&files),
        uses: "1".to_owned(),
        ends: moment::field(moment::in_a_week(now)),
        notify: "never".to_owned(),
        ..Typed::default()
    };
    html_with_script(&app, &page_of(&app, &who, &files, typed, true, TermErrors::default()).await?)
}

/// What a query asks for.
#[derive(Default)]
struct Wanted {
    /// The page on which files were chosen.
    from: LocalPath,
    files: Vec<FilePath>,
}

/// What is asked for: a link to files, or none where none was chosen.
fn wanted(query: &str) -> Option<Wanted> {
    let (mut from, mut files) = (LocalPath::default(), Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let value = value.replace('+', " ");
        let value = percent_decode_str(&value).decode_utf8().ok()?;
        let path: FilePath = match name {
            "file" => value.parse().ok()?,
            "file_encoded" => percent_decode_str(&value).decode_utf8().ok()?.parse().ok()?,
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
    (files.len() <= MAX_FILES).then_some(Wanted { from, files })
}

/// The files, if all are there and this person may read them.
async fn readable(
    app: &App,
    who: &SignedIn,
    files: Vec<FilePath>,
) -> Result<Option<Vec<FilePath>>, WebError> {
    let now = app.administration.clock.now();
    if files.iter().any(|file| !app.administration.issuer.can_issue(file, now)) {
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

fn title_of(files: &[FilePath]) -> String {
    let first = files.first().map(|file| human::name(file.name()).into_owned()).unwrap_or_default();
    match files.len() {
        0 | 1 => first,
        2 => format!("{first} and 1 more"),
        count => format!("{first} and {} more", count - 1),
    }
}

async fn page_of(
    app: &App,
    who: &SignedIn,
    files: &[FilePath],
    typed: Typed,
    mail: bool,
    errors: TermErrors,
) -> Result<form_page::NewLink, WebError> {
    let (shares, looked) = (app.shares.clone(), files.to_vec());
    let (has_folders, empty_folder) = blocking(move || look_at_folders(&shares, &looked)).await?;
    Ok(form_page::NewLink {
        chrome: who.form_chrome("Make a link", Section::Links),
        files: files.iter().map(|file| human::name(file.as_str()).into_owned()).collect(),
        files_field: files.iter().map(encoded_path).collect::<Vec<_>>().join(" "),
        has_folders,
        empty_folder,
        typed,
        mail,
        notices_off: app.administration.notices.are_off(&who.account().id, Kind::Taken).await?,
        errors,
    })
}

/// Whether a folder is among the files, and whether it is one alone with nothing in it.
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
pub(crate) struct Wish {
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
    app: App,
    place: Place,
    form: CsrfForm<Wish, LARGEST_FORM>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, sent } = form;
    let once = app.sent_forms.begin(sent).await?;
    if let Some(before) = once.before() {
        return redirect_again(&app, before);
    }
    let files = files_of(&fields.files).ok_or(WebError::Invalid("these are no files"))?;
    let (mail, typed) = (fields.mail.is_some(), typed_in(fields));
    let now = app.administration.clock.now();
    let again = async |typed: Typed, errors: TermErrors| {
        let page = page_of(&app, &who, &files, typed, mail, errors).await?;
        let mut answer = html_with_script(&app, &page)?;
        *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        Ok::<_, WebError>(answer)
    };
    let whole = |sentence: &str| TermErrors { form: Some(sentence.to_owned()), ..TermErrors::default() };
    let mut terms = match typed.check(None, now) {
        Ok(terms) => terms,
        Err(errors) => return again(typed, *errors).await,
    };
    if readable(&app, &who, files.clone()).await?.is_none() {
        return again(typed, whole("Not all of these files are there any more.")).await;
    }
    if terms.title.is_empty() {
        terms.title = title_of(&files);
    }
    let administration = &app.administration;
    app.throttle.link(&who.account().id, now)?;
    if mail && let Err(full) = app.throttle.link_mails(&who.account().id, &terms.recipients, now) {
        return again(typed, TermErrors { recipients: too_many_mails(&full), ..TermErrors::default() }).await;
    }
    let password = match terms.password.clone() {
        Some(password) => {
            Some(administration.passwords.hash(Asker::Account(who.account().id.clone()), password).await?)
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
        form: once.record(Note::LinkMade.as_str()),
    };
    match administration.links.make(&new, &actor, now).await? {
        Made::Link(id) => {
            tracing::info!(account = %who.account().id, link = %id, "link made");
            let mut answer = see_other(&format!("/links/{id}"));
            add_cookie(&mut answer, &app.cookies.set_note(Note::LinkMade))?;
            Ok(answer)
        }
        Made::TooMany => again(
            typed,
            whole(
                "You can name at most 2,000 recipients within a day. Nothing was made: try again tomorrow.",
            ),
        )
        .await,
        // Another process has made it since we looked.
        Made::Before => match app.sent_forms.begin(once.into_form()).await?.before() {
            Some(before) => redirect_again(&app, before),
            None => Err(StorageError::Busy.into()),
        },
        Made::NotAllowed => Err(WebError::NotSignedIn),
    }
}

/// What to say of recipients whom this account has mailed too often.
fn too_many_mails(full: &[&Email]) -> Vec<String> {
    let named = full.iter().take(NAMED_MAX).map(|email| {
        let sentence = "has had as many mails from you as one mailbox gets within an hour. Try again later, or \
                        make the link without mails and pass it on yourself.";
        format!("{email} {sentence}")
    });
    let mut sentences: Vec<String> = named.collect();
    let more = full.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        sentences.push(format!("{more} more recipients have had too many mails."));
    }
    sentences
}

fn typed_in(fields: Wish) -> Typed {
    Typed {
        title: fields.title,
        note: fields.note,
        uses: fields.uses,
        ends: fields.ends,
        ends_zone: fields.ends_zone,
        password: fields.password,
        mailed_code: fields.mailed_code.is_some(),
        notify: fields.notify,
        recipients: fields.recipients,
    }
}

/// The files that the form carries: their paths, percent-encoded, with spaces in between.
fn files_of(field: &str) -> Option<Vec<FilePath>> {
    let path = |text: &str| percent_decode_str(text).decode_utf8().ok()?.parse().ok();
    let files = field.split(' ').map(path).collect::<Option<Vec<FilePath>>>()?;
    (files.len() <= MAX_FILES).then_some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_files_in_both_ways() {
        let files = |query: &str| {
            wanted(query).map(|wanted| wanted.files.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let two = files("file=%2Fbooks%2Fa+b.txt&file_encoded=%2Fbooks%2Fa%250Ab&file=/books/a%20b.txt");
        assert_eq!(two, Some(vec!["/books/a b.txt".to_owned(), "/books/a\nb".to_owned()]));
        assert_eq!(files("from=%2Ffiles%2Fbooks"), Some(Vec::new()), "nothing was chosen");
        assert_eq!(wanted("from=%2Ffiles%2Fbooks").unwrap().from.as_str(), "/files/books");
        assert_eq!(wanted("from=https%3A%2F%2Fevil.example%2F").unwrap().from.as_str(), "/files/");
        for wrong in ["file=", "file=books", "file", "other=/books/a", "file=/books/..", "file=%ff"] {
            assert_eq!(files(wrong), None, "{wrong}");
        }
        assert_eq!(files_of("/books/a%20b /books/c").map(|files| files.len()), Some(2));
        assert!(files_of("").is_none() && files_of("/books/a  /b").is_none());
    }
}
