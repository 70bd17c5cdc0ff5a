//! Downloading several of one's own files, or a folder, as one archive: `GET /zip` shows what was selected,
//! and its form makes the archive.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use crate::files::FileError;
use crate::id::{FilePath, Jti};
use crate::web::archives::{
    ArchiveJobId, ArchiveOrder, ArchiveOutcome, ArchiveReaders, BuiltArchive, HiddenFiles,
};
use crate::web::http::accept::prefers_json;
use crate::web::http::error::{PREPARING, WebError};
use crate::web::http::extract::{CsrfForm, LARGEST_FORM, SignedIn};
use crate::web::http::file_query::{self, FileQuery};
use crate::web::http::files::zip_page::ZipPage;
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::local_path::LocalPath;
use crate::web::http::paths::{encoded_path, shown_path};
use crate::web::http::respond::{
    AppData, allow_script, blocking, html, redirect_to_download, redirect_with_flash, rerender,
};
use crate::web::http::zip_words;
use crate::web::revocations::issued::{NewToken, TokenBasis};
use crate::web::shares::archive_path;
use crate::web::shares::rights::Readable;
use crate::web::tokens::issuer::DownloadTokenRequest;

/// `GET /zip?file=…`, with `file` or `file_encoded` for each file or folder.
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let FileQuery { from, files } = FileQuery::of(request.query_string()).ok_or(WebError::NotFound)?;
    page_for(app, who, from, files).await
}

/// Responds with the page for `files`, which were selected on the page `from`.
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
    readable(&app, &who, files.clone()).await?;
    html(&page_of(&who, &files, from.as_str(), None))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ZipForm {
    files: String,
}

/// `POST /zip`: 303 to the download service, with a token for an archive of the files as they are now.
pub(crate) async fn download(
    app: AppData,
    request: HttpRequest,
    form: CsrfForm<ZipForm, LARGEST_FORM>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let files = file_query::files_of(&fields.files).ok_or(WebError::Invalid("these are not file paths"))?;
    let now = app.services.clock.now();
    app.throttle.download(&who.account().id, now)?;
    let places = readable(&app, &who, files.clone()).await?;
    let order = ArchiveOrder {
        places,
        readers: ArchiveReaders::Owner,
        hidden: HiddenFiles::Included,
        requester: who.account().id.to_string(),
        client: who.account().id.to_string(),
    };
    match app.archives.make(&order, now).await? {
        ArchiveOutcome::Ready(archive) => issue(&app, &who, &files, &order.places, &archive).await,
        ArchiveOutcome::Preparing(progress) if !prefers_json(request.headers()) => {
            let page = ZipPage {
                job: Some(order.id().as_str().to_owned()),
                ..page_of(&who, &files, "", Some(zip_words::preparing(progress)))
            };
            let mut answer = rerender(StatusCode::CONFLICT, &page)?;
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(PREPARING));
            Ok(allow_script(&app, answer))
        }
        ArchiveOutcome::Preparing(progress) => Err(WebError::StillPreparing(progress)),
        ArchiveOutcome::Nothing if prefers_json(request.headers()) => Err(WebError::NotFound),
        ArchiveOutcome::Nothing => {
            let nothing = "There are no files in this selection.".to_owned();
            rerender(StatusCode::CONFLICT, &page_of(&who, &files, "", Some(nothing)))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobQuery {
    job: String,
}

/// `GET /zip/state?job=…`: how far an archive is, for the script on the page that waits for it.
pub(crate) async fn state(app: AppData, who: SignedIn, query: Query<JobQuery>) -> HttpResponse {
    // The id is known only to whoever requested the archive.
    let (SignedIn { .. }, Query(JobQuery { job })) = (who, query);
    let progress = app.archives.progress(&ArchiveJobId::presented(&job));
    HttpResponse::Ok().json(json!({ "preparing": progress.map(zip_words::preparing_live) }))
}

async fn issue(
    app: &AppData,
    who: &SignedIn,
    files: &[FilePath],
    places: &[Readable],
    archive: &BuiltArchive,
) -> Result<HttpResponse, WebError> {
    let services = &app.services;
    let now = services.clock.now();
    let path = archive_path::of(places.iter()).ok_or(WebError::NotFound)?;
    let name = zip_words::file_name(&file_query::title_of(files, who.home.as_ref()));
    let order = DownloadTokenRequest {
        size: Some(archive.size),
        ..DownloadTokenRequest::archive(who.account().id.as_str(), &archive.digest, &name)
    };
    let node = app.node_for_token().await?;
    let (jti, kid) = (Jti::random()?, services.issuer.signer.active_kid(now));
    let token = NewToken {
        account: &who.account().id,
        jti,
        file: &path,
        expires_at: now.plus(services.issuer.lifetime),
        basis: TokenBasis { node: &node.public_url, kid: &kid, link: None },
    };
    // Recorded before it is issued, so that revoking the right can't miss it.
    if !services.issued.record(&token, now).await? {
        return Err(WebError::NotFound);
    }
    let issued = services.issuer.for_audience(&node.public_url).issue_download_as(jti, &order, now)?;
    let (account, jti) = (&who.account().id, issued.jti);
    tracing::info!(%account, %jti, files = archive.files, "token issued for an archive");
    Ok(redirect_to_download(&issued))
}

/// Returns the files and folders, if all of them exist and this person may read them.
async fn readable(app: &AppData, who: &SignedIn, files: Vec<FilePath>) -> Result<Vec<Readable>, WebError> {
    let readable = |file| app.rights.readable(who.account(), file);
    let places = files.into_iter().map(readable).collect::<Option<Vec<Readable>>>();
    let places = places.ok_or(WebError::NotFound)?;
    let shares = app.shares.clone();
    let looking = blocking(move || {
        places.iter().try_for_each(|place| shares.entry(place.path()).map(drop))?;
        Ok::<_, FileError>(places)
    });
    Ok(looking.await??)
}

fn page_of(who: &SignedIn, files: &[FilePath], back: &str, news: Option<String>) -> ZipPage {
    ZipPage {
        chrome: who.chrome("Download as ZIP", Section::Files),
        files: files.iter().map(|file| shown_path(file, who.home.as_ref())).collect(),
        files_field: files.iter().map(encoded_path).collect::<Vec<_>>().join(" "),
        back: if back.is_empty() { "/files/".to_owned() } else { back.to_owned() },
        news,
        job: None,
    }
}
