//! `/tokens`: one-time download addresses for files, for programs that hand them out themselves.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::note_issued;
use crate::id::{FilePath, Jti};
use crate::web::http::api::body::ProgramBody;
use crate::web::http::api::respond::created;
use crate::web::http::api::time::Time;
use crate::web::http::api_error::{ApiError, FieldProblem};
use crate::web::http::error::WebError;
use crate::web::http::program::{Program, TokensScope};
use crate::web::http::respond::AppData;
use crate::web::http::token_issuing::{TokenPlan, TokenWishes};
use crate::web::shares::name::FileName;

/// A token to issue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTokenBody {
    /// The path of the file.
    #[schema(example = "/books/report.pdf")]
    file: String,
    /// How long the download can be started, in seconds; what the operator has set (`token.lifetime`) if missing.
    #[serde(default)]
    #[schema(example = 3600, minimum = 1)]
    lifetime: Option<u32>,
    /// The file name to save as; the file's own if missing.
    #[serde(default)]
    #[schema(example = "Your report.pdf")]
    name: Option<String>,
    /// Whether a page with a button is shown first, so that previews and mail scanners can't use up the address.
    #[serde(default)]
    confirm: bool,
    /// The name of the download service that must serve it; any that is ready if missing.
    #[serde(default)]
    node: Option<String>,
}

/// An issued token. Anyone who has its address can download the file, once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenView {
    /// Its id, by which it can be revoked.
    #[schema(example = "Fk3X9vYbQ0mU5n1rT7cWzA")]
    jti: String,
    /// The address of the download.
    #[schema(example = "https://dl.example.org/d/eyJ…/report.pdf")]
    url: String,
    /// The path of the file.
    #[schema(example = "/books/report.pdf")]
    file: String,
    /// When it was issued.
    issued_at: Time,
    /// Until when the download can be started.
    expires_at: Time,
}

/// Issue a one-time download address
///
/// The file is the one that is there now: if it is replaced, the address no longer works. A download that was begun can
/// be continued, but nobody can begin a second one.
#[utoipa::path(post, path = "/tokens", tag = "tokens", operation_id = "issueToken", request_body = NewTokenBody,
    responses((status = 201, body = TokenView)), security(("key" = ["tokens"])))]
pub(crate) async fn issue(
    app: AppData,
    body: ProgramBody<TokensScope, NewTokenBody>,
) -> Result<HttpResponse, WebError> {
    let ProgramBody { program, fields, key } = body;
    let (services, now) = (&app.services, app.services.clock.now());
    let once = app.request_keys.begin(key, now).await?;
    let wanted = wanted(&app, &fields)?;
    let readable = program.readable(&app.rights, wanted.file).ok_or(WebError::NotFound)?;
    let (account, file) = (&program.account().id, readable.path());
    let plan = match once.before().map(serde_json::from_str::<TokenPlan>) {
        Some(plan) => plan.map_err(|error| WebError::Internal(error.into()))?,
        None => {
            let node = match &fields.node {
                Some(name) => app.node_named(name).await?.ok_or_else(|| wrong("node", UNKNOWN_NODE))?,
                None => app.node_for_token().await?,
            };
            let plan = TokenPlan::make(&app, &readable, &node.public_url, wanted.lifetime).await?;
            let made = serde_json::to_string(&plan).map_err(|error| WebError::Internal(error.into()))?;
            if !once.done(&made, now).await? {
                return Err(ApiError::IdempotencyKeyRunning.into());
            }
            plan
        }
    };
    // Also when the same request was interrupted before it was recorded.
    if once.before().is_none() || services.issued.node_of(plan.jti).await?.is_none() {
        plan.record(&app, account, file).await?;
    }
    let wishes = TokenWishes { name: fields.name.as_deref(), confirm: fields.confirm };
    let issued = plan.sign(&app, account, file, wishes)?;
    tracing::debug!(account = %account, jti = %issued.jti, file = ?file, "token issued by API");
    let view = TokenView {
        jti: issued.jti.to_string(),
        url: issued.address,
        file: file.as_str().to_owned(),
        issued_at: plan.issued_at.into(),
        expires_at: issued.expires_at.into(),
    };
    let mut answer = created(&view, &format!("/tokens/{}", issued.jti), None)?;
    note_issued(&mut answer, issued.jti);
    Ok(answer)
}

const UNKNOWN_NODE: &str = "No download service of this name is ready.";

/// What is valid in a body.
struct Wanted {
    file: FilePath,
    lifetime: Option<Duration>,
}

fn wanted(app: &AppData, fields: &NewTokenBody) -> Result<Wanted, ApiError> {
    let file = fields.file.parse();
    let file = file.map_err(|_| wrong("file", "Send the path of a file, such as /books/report.pdf."))?;
    let longest = app.services.token_max.as_secs();
    let lifetime = match fields.lifetime.map(u64::from) {
        Some(seconds) if !(1..=longest).contains(&seconds) => {
            return Err(wrong("lifetime", format!("Send a number of seconds from 1 to {longest}.")));
        }
        lifetime => lifetime.map(Duration::from_secs),
    };
    if fields.name.as_deref().is_some_and(|name| FileName::typed(name).is_err()) {
        return Err(wrong("name", "This name isn’t possible for a file."));
    }
    Ok(Wanted { file, lifetime })
}

fn wrong(member: &str, detail: impl Into<String>) -> ApiError {
    ApiError::InvalidFields(vec![FieldProblem::member(member, detail)])
}

/// Revoke a token
///
/// It can no longer be redeemed, and a download that runs is stopped. Only tokens that the account has requested for
/// itself, and only as long as they can be used.
#[utoipa::path(delete, path = "/tokens/{jti}", tag = "tokens", operation_id = "revokeToken",
    params(("jti" = String, Path, description = "The token's id")),
    responses((status = 204)), security(("key" = ["tokens"])))]
pub(crate) async fn revoke(
    app: AppData,
    program: Program<TokensScope>,
    jti: Path<String>,
) -> Result<HttpResponse, WebError> {
    let jti: Jti = jti.parse().map_err(|_| WebError::NotFound)?;
    let (services, account) = (&app.services, &program.account().id);
    let covers = |file: &FilePath| program.key().covers(file);
    if !services.issued.end_token(account, jti, covers, services.clock.now()).await? {
        return Err(WebError::NotFound);
    }
    services.issued.revocations.wake();
    services.revoke_now().await;
    tracing::info!(account = %account, jti = %jti, "token revoked by API");
    Ok(HttpResponse::NoContent().finish())
}
