//! `PUT /put/{name}`: `curl -T FILE https://…/put/` with an API key uploads a file to *My files* and prints a link.
//!
//! For scripts that know how others do this: `Max-Downloads` and `Max-Days` mean what they mean at transfer.sh. A broken
//! upload starts again from the beginning; `/api/v1/uploads` can go on.

use actix_web::http::header::{CONTENT_LENGTH, HeaderMap};
use actix_web::web::{Bytes, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;

use crate::clock::Timestamp;
use crate::id::FilePath;
use crate::web::api_keys::Scope;
use crate::web::arrivals::LinkFate;
use crate::web::http::api_error::{ApiError, FieldProblem};
use crate::web::http::error::WebError;
use crate::web::http::files::access::may_continue_program;
use crate::web::http::link_making::{LinkMaking, LinkOrder, make_link};
use crate::web::http::program::{FilesWrite, Program};
use crate::web::http::respond::AppData;
use crate::web::links::lifetime::Lifetime;
use crate::web::links::limits::LinkLimits;
use crate::web::links::moment;
use crate::web::links::terms::LinkForm;
use crate::web::shares::error::StorageError;
use crate::web::shares::name::FileName;
use crate::web::uploads::intake::UploadBody;
use crate::web::uploads::{NewUpload, Upload, UploadPurpose, UploadStage};

/// The name of a file that has none, as of standard input.
const NAMELESS: &str = "upload";

/// How many days a link may be open at most.
const DAYS_MAX: u64 = 3_650;

/// `PUT /put/` and `PUT /put/{name}`: responds with the link and a line break.
pub(crate) async fn put(
    app: AppData,
    request: HttpRequest,
    name: Option<Path<String>>,
    body: Payload,
) -> Result<HttpResponse, WebError> {
    let program = Program::<FilesWrite>::of(&request, &app).await?;
    if !program.key().scopes.contains(Scope::Links) {
        return Err(ApiError::ScopeMissing(Scope::Links).into());
    }
    let now = app.services.clock.now();
    // Looked at first: a file whose link can't be made is of no use.
    let typed = terms(request.headers(), &app.services.links.limits.current(), now)?;
    let name = name.map(Path::into_inner).filter(|name| !matches!(name.as_str(), "" | "-"));
    let name = FileName::uploaded(name.as_deref().unwrap_or(NAMELESS)).map_err(StorageError::from)?;
    app.throttle.act(&program.account().id, now)?;
    let upload = receive(&app, &request, &program, name, body, now).await?;
    let path = upload.path.ok_or(StorageError::Interrupted)?;
    let files = [path];
    let order =
        LinkOrder { owner: program.account(), files: &files, typed: &typed, mail: false, record: None };
    match make_link(&app, &order, &program.actor(), now).await? {
        LinkMaking::Made(id) => {
            let links = &app.services.links;
            let link = links.of_owner(&program.account().id, &id).await?.ok_or(WebError::NotFound)?;
            let recipients = links.recipients(&link).await?;
            let recipient = recipients.first().ok_or(WebError::NotFound)?;
            let address = links.address(&app.public_url, recipient);
            let mut answer = HttpResponse::Created();
            answer.content_type("text/plain; charset=utf-8");
            answer.insert_header(("location", address.clone()));
            Ok(answer.body(format!("{address}\n")))
        }
        LinkMaking::Invalid(errors) => {
            let sentence = [errors.uses_per_recipient, errors.ends, errors.form].into_iter().flatten().next();
            Err(wrong("Max-Downloads", &sentence.unwrap_or_default()))
        }
        LinkMaking::Before | LinkMaking::NotAllowed => Err(ApiError::KeyInvalid.into()),
    }
}

/// Reads the terms from the headers: one download and 7 days, unless they say otherwise.
fn terms(headers: &HeaderMap, limits: &LinkLimits, now: Timestamp) -> Result<LinkForm, WebError> {
    let number = |name: &str, most: u64| -> Result<Option<u64>, WebError> {
        let Some(value) = headers.get(name) else { return Ok(None) };
        let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
        let number = number.filter(|number| (1..=most).contains(number));
        number.map(Some).ok_or_else(|| wrong(name, &format!("Send a whole number from 1 to {most}.")))
    };
    let uses = number("Max-Downloads", 1_000_000)?.unwrap_or(1);
    let ends_at = match number("Max-Days", DAYS_MAX)? {
        Some(days) => Some(now.plus(std::time::Duration::from_secs(days * 24 * 60 * 60))),
        None => limits.clamp_end(Lifetime::default().end(now), now),
    };
    Ok(LinkForm {
        uses_per_recipient: uses.to_string(),
        ends: ends_at.map(moment::exact).unwrap_or_default(),
        notify: "never".to_owned(),
        ..LinkForm::default()
    })
}

fn wrong(header: &str, sentence: &str) -> WebError {
    ApiError::InvalidParameters(vec![FieldProblem::parameter(header, sentence)]).into()
}

/// Receives the body as a new file in the account's own folder.
async fn receive(
    app: &AppData,
    request: &HttpRequest,
    program: &Program<FilesWrite>,
    name: FileName,
    body: Payload,
    now: Timestamp,
) -> Result<Upload, WebError> {
    let home: FilePath = app.rights.home(program.account()).ok_or(StorageError::Missing)?;
    let folder = program.writable(&app.rights, home).ok_or(StorageError::Missing)?;
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let purpose = UploadPurpose::File { folder, below: Vec::new(), name };
    let new = NewUpload { purpose, size: length, metadata: String::new(), expected: None };
    let upload = app.uploads.begin(&program.actor(), new, now).await?;
    let whole = whole(app, request, &upload, body, now).await;
    if whole.is_err() {
        // Nobody knows its address, so nobody could continue it.
        app.uploads.abandon(&upload, LinkFate::Waits).await?;
    }
    Ok(whole?)
}

async fn whole(
    app: &AppData,
    request: &HttpRequest,
    upload: &Upload,
    body: Payload,
    now: Timestamp,
) -> Result<Upload, StorageError> {
    if upload.stage == UploadStage::Done {
        return Ok(upload.clone());
    }
    let may_go_on = async || may_continue_program(app, request, &upload.folder).await;
    let incoming = UploadBody { body, checksum: None, may_go_on };
    let received = app.uploads.append(upload, 0, incoming, now).await?;
    if received.size.is_some() {
        return match received.stage {
            UploadStage::Done => Ok(received),
            _ => Err(StorageError::Interrupted),
        };
    }
    // Its length is known only now.
    let sized = app.uploads.set_size(&received, received.offset).await?;
    let nothing = stream::empty::<Result<Bytes, std::io::Error>>();
    let may_go_on = async || true;
    let incoming = UploadBody { body: nothing, checksum: None, may_go_on };
    app.uploads.append(&sized, sized.offset, incoming, now).await
}
