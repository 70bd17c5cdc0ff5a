//! `/requests`: the account's file requests, by which it asks others for files.

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};

use crate::id::RequestId;
use crate::web::http::api::body::ProgramBody;
use crate::web::http::api::list::{List, PageQuery, cursor};
use crate::web::http::api::parameters::Parameters;
use crate::web::http::api::request_body::{NewRequestBody, RequestChangeBody, refusal};
use crate::web::http::api::request_view::{ReceivedView, RequestView, request_tag};
use crate::web::http::api::respond::{created, json, versioned};
use crate::web::http::api::version::{Precondition, if_match};
use crate::web::http::api_error::ApiError;
use crate::web::http::error::WebError;
use crate::web::http::program::{Program, RequestsScope};
use crate::web::http::request_making::{
    RequestChange, RequestMaking, RequestOrder, change_request, make_request, stop_request,
};
use crate::web::http::respond::AppData;
use crate::web::links::change::{EditBase, EditOutcome};
use crate::web::requests::find::ListedRequest;
use crate::web::requests::terms::RequestForm;

/// Cursors of the list.
const LIST: &str = "requests";

/// List the file requests
///
/// The account's file requests, the newest first. A key that is limited to shares sees only those whose folder is
/// there.
#[utoipa::path(get, path = "/requests", tag = "requests", operation_id = "listRequests",
    params(
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Maximum number of items; 100 if missing", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, body = List<RequestView>)), security(("key" = ["requests"])))]
pub(crate) async fn list(
    app: AppData,
    program: Program<RequestsScope>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let page = PageQuery::of(&Parameters::of(&request, &["cursor", "limit"])?, LIST)?;
    let requests = &app.services.requests;
    let (found, next) = requests.page(&program.account().id, &page.position()?, page.limit).await?;
    let now = app.services.clock.now();
    let seen = found.iter().filter(|listed| program.key().covers(&listed.request.folder));
    let items: Vec<RequestView> = seen.map(|listed| RequestView::of(listed, &app, now)).collect();
    json(&List { items, next: next.map(|next| cursor(LIST, &next.to_string())) })
}

/// Make a file request
///
/// Whoever has its address can send files to the folder, without an account. They see nothing of what is there.
#[utoipa::path(post, path = "/requests", tag = "requests", operation_id = "makeRequest",
    request_body = NewRequestBody, responses((status = 201, body = RequestView)), security(("key" = ["requests"])))]
pub(crate) async fn make(
    app: AppData,
    body: ProgramBody<RequestsScope, NewRequestBody>,
) -> Result<HttpResponse, WebError> {
    let ProgramBody { program, fields, key } = body;
    let now = app.services.clock.now();
    let once = app.request_keys.begin(key, now).await?;
    if let Some(before) = once.before() {
        let id = before.rsplit('/').next().unwrap_or_default();
        return answer(&app, &program, id, true).await;
    }
    let folder = program.writable(&app.rights, fields.path()?).ok_or(WebError::NotFound)?;
    let typed = fields.form(&app.services.requests.limits.current(), now)?;
    let (owner, record) = (program.account(), once.record());
    let order = RequestOrder { owner, folder: Some(folder), typed: &typed, record };
    match make_request(&app, order, &program.actor(), now).await? {
        RequestMaking::Made(id) => answer(&app, &program, id.as_str(), true).await,
        RequestMaking::Invalid(errors) => Err(refusal(*errors).into()),
        RequestMaking::Before => Err(ApiError::IdempotencyKeyRunning.into()),
        RequestMaking::NotAllowed => Err(ApiError::KeyInvalid.into()),
    }
}

/// Read a file request
#[utoipa::path(get, path = "/requests/{id}", tag = "requests", operation_id = "readRequest",
    params(("id" = String, Path, description = "The request's id")),
    responses((status = 200, body = RequestView)), security(("key" = ["requests"])))]
pub(crate) async fn read(
    app: AppData,
    program: Program<RequestsScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    answer(&app, &program, &id, false).await
}

/// Change the terms of a file request
///
/// What is missing stays as it is.
#[utoipa::path(patch, path = "/requests/{id}", tag = "requests", operation_id = "changeRequest",
    request_body = RequestChangeBody,
    params(
        ("id" = String, Path, description = "The request's id"),
        ("If-Match" = String, Header, description = "The `ETag` of the request as you read it, or `*`"),
    ),
    responses((status = 200, body = RequestView)), security(("key" = ["requests"])))]
pub(crate) async fn change(
    app: AppData,
    request: HttpRequest,
    id: Path<String>,
    body: ProgramBody<RequestsScope, RequestChangeBody>,
) -> Result<HttpResponse, WebError> {
    let ProgramBody { program, fields, .. } = body;
    let found = find(&app, &program, &id).await?.request;
    let base = match if_match(&request, &request_tag(&found))? {
        Precondition::Any => EditBase::Any,
        Precondition::Present => EditBase::Seen,
    };
    let (typed, remove) = fields.form(RequestForm::of(&found), app.services.clock.now())?;
    let actor = program.actor();
    match change_request(&app, (program.account(), &actor), (&found, base), &typed, remove).await? {
        RequestChange::Done(EditOutcome::Changed) => answer(&app, &program, &id, false).await,
        RequestChange::Done(EditOutcome::Revoked) => Err(ApiError::Conflict {
            slug: "request-stopped",
            detail: "This file request was stopped, which is final.",
        }
        .into()),
        RequestChange::Done(EditOutcome::Outdated) => Err(ApiError::VersionChanged.into()),
        RequestChange::Invalid(errors) => Err(refusal(*errors).into()),
    }
}

/// Stop a file request
///
/// It takes no more files, for good. What has arrived stays. Stopping it again changes nothing.
#[utoipa::path(post, path = "/requests/{id}/stop", tag = "requests", operation_id = "stopRequest",
    params(("id" = String, Path, description = "The request's id")),
    responses((status = 200, body = RequestView)), security(("key" = ["requests"])))]
pub(crate) async fn stop(
    app: AppData,
    program: Program<RequestsScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    let found = find(&app, &program, &id).await?.request;
    stop_request(&app, &found, &program.actor()).await?;
    answer(&app, &program, &id, false).await
}

/// List what has arrived for a file request
///
/// The newest 200 files, the newest first.
#[utoipa::path(get, path = "/requests/{id}/files", tag = "requests", operation_id = "listReceivedFiles",
    params(("id" = String, Path, description = "The request's id")),
    responses((status = 200, body = List<ReceivedView>)), security(("key" = ["requests"])))]
pub(crate) async fn received(
    app: AppData,
    program: Program<RequestsScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    let found = find(&app, &program, &id).await?.request;
    let files = app.services.requests.received(&found).await?;
    json(&List { items: files.into_iter().map(ReceivedView::from).collect(), next: None })
}

/// Returns a file request of the account that the key covers.
async fn find(app: &AppData, program: &Program<RequestsScope>, id: &str) -> Result<ListedRequest, WebError> {
    let requests = &app.services.requests;
    let found = requests.listed(&program.account().id, &RequestId::from_store(id)).await?;
    found.filter(|listed| program.key().covers(&listed.request.folder)).ok_or(WebError::NotFound)
}

/// Responds with a file request as it is now.
async fn answer(
    app: &AppData,
    program: &Program<RequestsScope>,
    id: &str,
    is_new: bool,
) -> Result<HttpResponse, WebError> {
    let listed = find(app, program, id).await?;
    let tag = request_tag(&listed.request);
    let view = RequestView::of(&listed, app, app.services.clock.now());
    match is_new {
        true => created(&view, &format!("/requests/{}", listed.request.id), Some(&tag)),
        false => versioned(&view, &tag),
    }
}
