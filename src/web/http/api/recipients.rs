//! `/links/{id}/recipients`: who a link is for.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Path;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::RecipientId;
use crate::web::http::api::body::ProgramBody;
use crate::web::http::api::links::{REVOKED, find_link};
use crate::web::http::api::list::List;
use crate::web::http::api::respond::{json, with_status};
use crate::web::http::api::time::Time;
use crate::web::http::api_error::{ApiError, FieldProblem};
use crate::web::http::error::WebError;
use crate::web::http::link_making::too_many_mails;
use crate::web::http::program::{LinksScope, Program};
use crate::web::http::respond::AppData;
use crate::web::http::state::AppState;
use crate::web::links::roster::{AddRecipientsOutcome, NewRecipients, RemoveRecipientOutcome};
use crate::web::links::{Link, Recipient, recipients};

/// A recipient of a link.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecipientView {
    /// Their id.
    #[schema(example = "Qx2b8KfYhT0vE9rLmA4sDw")]
    id: String,
    /// Their email address; `null` for anyone who has the link.
    #[schema(example = "bob@example.org")]
    email: Option<String>,
    /// Their own address of the link; `null` once they were removed.
    #[schema(example = "https://files.example.org/l/0a1b2c3d4e5f6g7h8i9j")]
    url: Option<String>,
    /// How many times they have downloaded, or are downloading.
    used: u32,
    /// How often they opened the page.
    views: u32,
    /// When they last opened it.
    viewed_at: Option<Time>,
    /// When they were removed.
    removed_at: Option<Time>,
}

impl RecipientView {
    fn of(recipient: &Recipient, app: &AppState) -> RecipientView {
        let is_active = recipient.removed_at.is_none();
        RecipientView {
            id: recipient.id.to_string(),
            email: recipient.email.as_ref().map(|email| email.as_str().to_owned()),
            url: is_active.then(|| app.services.links.address(&app.public_url, recipient)),
            used: recipient.taken,
            views: recipient.views,
            viewed_at: recipient.viewed_at.map(Time),
            removed_at: recipient.removed_at.map(Time),
        }
    }
}

/// Recipients to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRecipientsBody {
    /// Their email addresses. Those who already have the link keep theirs.
    #[schema(example = json!(["carol@example.org"]), min_items = 1, max_items = 1000)]
    recipients: Vec<String>,
    /// Whether to email them the link.
    #[serde(default)]
    mail: bool,
}

/// List the recipients of a link
///
/// All of them on one page, in the order in which they were added, including those who were removed.
#[utoipa::path(get, path = "/links/{id}/recipients", tag = "links", operation_id = "listRecipients",
    params(("id" = String, Path, description = "The link's id")),
    responses((status = 200, body = List<RecipientView>)), security(("key" = ["links"])))]
pub(crate) async fn list(
    app: AppData,
    program: Program<LinksScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    let link = find_link(&app, &program, &id).await?;
    json(&all(&app, &link).await?)
}

async fn all(app: &AppData, link: &Link) -> Result<List<RecipientView>, WebError> {
    let recipients = app.services.links.recipients(link).await?;
    let items = recipients.iter().map(|recipient| RecipientView::of(recipient, app)).collect();
    Ok(List { items, next: None })
}

/// Add recipients to a link
///
/// Responds with all recipients.
#[utoipa::path(post, path = "/links/{id}/recipients", tag = "links", operation_id = "addRecipients",
    request_body = NewRecipientsBody, params(("id" = String, Path, description = "The link's id")),
    responses((status = 201, body = List<RecipientView>)), security(("key" = ["links"])))]
pub(crate) async fn add(
    app: AppData,
    id: Path<String>,
    body: ProgramBody<LinksScope, NewRecipientsBody>,
) -> Result<HttpResponse, WebError> {
    let ProgramBody { program, fields, key } = body;
    let link = find_link(&app, &program, &id).await?;
    let (services, now) = (&app.services, app.services.clock.now());
    let once = app.request_keys.begin(key, now).await?;
    if once.before().is_some() {
        return with_status(StatusCode::CREATED, &all(&app, &link).await?);
    }
    let emails = recipients::parse(&fields.recipients.join("\n")).map_err(wrong)?;
    if emails.is_empty() {
        return Err(wrong(vec!["Send at least one email address.".to_owned()]).into());
    }
    app.throttle.link(&program.account().id, now)?;
    if fields.mail
        && let Err(full) = app.throttle.link_mails(&program.account().id, &emails, now)
    {
        return Err(wrong(too_many_mails(&full)).into());
    }
    let new = NewRecipients { emails: &emails, mail: fields.mail, form: once.record() };
    let sentence = match services.links.add_recipients(&link, &new, &program.actor(), now).await? {
        AddRecipientsOutcome::Added(_) => {
            return with_status(StatusCode::CREATED, &all(&app, &link).await?);
        }
        AddRecipientsOutcome::NobodyNew => "All of them already have this link.",
        AddRecipientsOutcome::TooManyToday => {
            "You can name at most 2,000 recipients within a day. Nobody was added: try again tomorrow."
        }
        AddRecipientsOutcome::TooManyOnLink => "A link can have at most 1,000 recipients. Nobody was added.",
        AddRecipientsOutcome::Revoked => return Err(REVOKED.into()),
        AddRecipientsOutcome::Before => return Err(ApiError::IdempotencyKeyRunning.into()),
        AddRecipientsOutcome::NotAllowed => return Err(ApiError::KeyInvalid.into()),
    };
    Err(wrong(vec![sentence.to_owned()]).into())
}

fn wrong(sentences: Vec<String>) -> ApiError {
    let problems = sentences.into_iter().map(|sentence| FieldProblem::member("recipients", sentence));
    ApiError::InvalidFields(problems.collect())
}

/// Remove a recipient
///
/// Their address stops working for good, and downloads that they have begun are stopped.
#[utoipa::path(delete, path = "/links/{id}/recipients/{recipient}", tag = "links", operation_id = "removeRecipient",
    params(
        ("id" = String, Path, description = "The link's id"),
        ("recipient" = String, Path, description = "The recipient's id"),
    ),
    responses((status = 204)), security(("key" = ["links"])))]
pub(crate) async fn remove(
    app: AppData,
    program: Program<LinksScope>,
    ids: Path<(String, String)>,
) -> Result<HttpResponse, WebError> {
    let (id, recipient) = ids.into_inner();
    let link = find_link(&app, &program, &id).await?;
    let (services, now) = (&app.services, app.services.clock.now());
    let found = services.links.by_recipient(&RecipientId::from_store(&recipient)).await?;
    let (_, recipient) = found.filter(|(other, _)| other.id == link.id).ok_or(WebError::NotFound)?;
    app.throttle.link(&program.account().id, now)?;
    match services.links.remove_recipient(&link, &recipient, &program.actor(), now).await? {
        RemoveRecipientOutcome::Removed => {
            services.revoke_now().await;
            tracing::info!(account = %program.account().id, link = %link.id, recipient = %recipient.id, "recipient removed");
            Ok(HttpResponse::NoContent().finish())
        }
        RemoveRecipientOutcome::Last => Err(ApiError::Conflict {
            slug: "last-recipient",
            detail: "This is the link’s only recipient. To end the link, revoke it.",
        }
        .into()),
        RemoveRecipientOutcome::NotAllowed => Err(ApiError::KeyInvalid.into()),
    }
}
