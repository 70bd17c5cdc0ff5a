//! `/admin/accounts`: what administrators do with accounts.

use std::collections::BTreeSet;

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::web::accounts::store::AddOutcome;
use crate::web::http::api::body::ProgramBody;
use crate::web::http::api::list::{List, PageQuery, cursor};
use crate::web::http::api::parameters::{Parameters, wrong};
use crate::web::http::api::respond::{created, json};
use crate::web::http::api::time::Time;
use crate::web::http::api_error::{ApiError, FieldProblem};
use crate::web::http::error::WebError;
use crate::web::http::program::{AdminScope, Program};
use crate::web::http::respond::AppData;
use crate::web::identity::{Account, AccountStage, Email, GroupName, NewAccount, PersonName};
use crate::web::membership::self_service::ChangeOutcome;

/// Cursors of the list.
const LIST: &str = "admin-accounts";

/// An account as administrators see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminAccountView {
    /// Its id.
    #[schema(example = "Fk3X9vYbQ0mU5n1rT7cWzA")]
    id: String,
    /// Its email address.
    #[schema(example = "bob@example.org")]
    email: String,
    /// The name of the person.
    #[schema(example = "Bob")]
    name: String,
    /// `active`, `invited`, `signed-up` (not activated yet) or `disabled`.
    #[schema(example = "active")]
    state: &'static str,
    /// Whether it is an administrator's.
    admin: bool,
    /// The groups that it is in.
    #[schema(example = json!(["staff"]))]
    groups: Vec<String>,
    /// When it was created.
    created_at: Time,
    /// When someone last logged in.
    last_login_at: Option<Time>,
}

impl From<&Account> for AdminAccountView {
    fn from(account: &Account) -> AdminAccountView {
        AdminAccountView {
            id: account.id.as_str().to_owned(),
            email: account.email.as_str().to_owned(),
            name: account.name.as_str().to_owned(),
            state: match (account.disabled, account.stage()) {
                (true, _) => "disabled",
                (false, AccountStage::Active) => "active",
                (false, AccountStage::Invited) => "invited",
                (false, AccountStage::SignedUp) => "signed-up",
            },
            admin: account.admin,
            groups: account.groups.iter().cloned().collect(),
            created_at: account.created_at.into(),
            last_login_at: account.last_login_at.map(Time),
        }
    }
}

/// A person to invite.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvitationBody {
    /// Their email address, to which the invitation is sent.
    #[schema(example = "carol@example.org")]
    email: String,
    /// Their name; taken from the address if missing.
    #[serde(default)]
    #[schema(example = "Carol")]
    name: Option<String>,
    /// The groups that the account is in.
    #[serde(default)]
    #[schema(example = json!(["staff"]))]
    groups: Vec<String>,
    /// Whether it is an administrator's.
    #[serde(default)]
    admin: bool,
}

/// List the accounts
///
/// Sorted by address.
#[utoipa::path(get, path = "/admin/accounts", tag = "admin", operation_id = "listAccounts",
    params(
        ("q" = Option<String>, Query, description = "Only those whose address or name contains this"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Maximum number of items; 100 if missing", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, body = List<AdminAccountView>)), security(("key" = ["admin"])))]
pub(crate) async fn list(
    app: AppData,
    _: Program<AdminScope>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let parameters = Parameters::of(&request, &["q", "cursor", "limit"])?;
    let page = PageQuery::of(&parameters, LIST)?;
    let offset = offset(&page)?;
    let words = parameters.text("q").unwrap_or_default();
    let (found, total) = app.services.accounts.search(words, offset, page.limit).await?;
    let after = offset.saturating_add(page.limit);
    let next = (u64::from(after) < total).then(|| cursor(LIST, &after.to_string()));
    json(&List { items: found.iter().map(AdminAccountView::from).collect(), next })
}

/// Returns the offset in a list whose cursors are offsets.
pub(crate) fn offset(page: &PageQuery) -> Result<u32, ApiError> {
    match &page.after {
        None => Ok(0),
        Some(after) => after.parse().map_err(|_| wrong("cursor", "Send the value of “next” unchanged.")),
    }
}

/// Read an account
#[utoipa::path(get, path = "/admin/accounts/{id}", tag = "admin", operation_id = "readAnyAccount",
    params(("id" = String, Path, description = "The account's id")),
    responses((status = 200, body = AdminAccountView)), security(("key" = ["admin"])))]
pub(crate) async fn read(
    app: AppData,
    _: Program<AdminScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    json(&AdminAccountView::from(&find(&app, &id).await?))
}

async fn find(app: &AppData, id: &str) -> Result<Account, WebError> {
    app.services.account_admin.find(id).await?.ok_or(WebError::NotFound)
}

/// Invite a person
///
/// They get an email with a link to choose their password.
#[utoipa::path(post, path = "/admin/accounts", tag = "admin", operation_id = "inviteAccount",
    request_body = InvitationBody, responses((status = 201, body = AdminAccountView)), security(("key" = ["admin"])))]
pub(crate) async fn invite(
    app: AppData,
    body: ProgramBody<AdminScope, InvitationBody>,
) -> Result<HttpResponse, WebError> {
    let ProgramBody { program, fields, key } = body;
    let now = app.services.clock.now();
    let once = app.request_keys.begin(key, now).await?;
    let account = match once.before() {
        Some(id) => find(&app, id).await?,
        None => {
            let (new, admin) = (invitation(&fields)?, &app.services.account_admin);
            let forget_at = now.plus(app.signup.unactivated_max);
            match admin.invite(new, program.account(), &program.actor(), forget_at, now).await? {
                AddOutcome::New(account) => {
                    once.done(account.id.as_str(), now).await?;
                    account
                }
                AddOutcome::EmailTaken | AddOutcome::NotTheFirst => {
                    return Err(ApiError::Conflict {
                        slug: "email-taken",
                        detail: "There is an account with this address already.",
                    }
                    .into());
                }
            }
        }
    };
    created(&AdminAccountView::from(&account), &format!("/admin/accounts/{}", account.id), None)
}

fn invitation(fields: &InvitationBody) -> Result<NewAccount, ApiError> {
    let mut problems = Vec::new();
    let email = fields.email.parse::<Email>();
    let name = match (&fields.name, &email) {
        (Some(name), _) => name.parse::<PersonName>().map(Some),
        (None, Ok(email)) => Ok(Some(PersonName::from_email(email))),
        (None, Err(_)) => Ok(None),
    };
    let groups: Result<BTreeSet<GroupName>, _> =
        fields.groups.iter().map(|group| group.parse::<GroupName>()).collect();
    if email.is_err() {
        problems.push(FieldProblem::member("email", "This is not a valid email address."));
    }
    if name.is_err() {
        problems.push(FieldProblem::member("name", "This is not a valid name."));
    }
    if groups.is_err() {
        problems.push(FieldProblem::member("groups", "One of these is not a valid name of a group."));
    }
    match (email, name, groups) {
        (Ok(email), Ok(Some(name)), Ok(groups)) => {
            Ok(NewAccount { email, name, admin: fields.admin, groups, password: None })
        }
        _ => Err(ApiError::InvalidFields(problems)),
    }
}

/// Disable an account
///
/// It is logged out everywhere, its API keys are revoked, and what it issued stops working.
#[utoipa::path(post, path = "/admin/accounts/{id}/disable", tag = "admin", operation_id = "disableAccount",
    params(("id" = String, Path, description = "The account's id")),
    responses((status = 200, body = AdminAccountView)), security(("key" = ["admin"])))]
pub(crate) async fn disable(
    app: AppData,
    program: Program<AdminScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    set_disabled(app, program, id, true).await
}

/// Enable an account
#[utoipa::path(post, path = "/admin/accounts/{id}/enable", tag = "admin", operation_id = "enableAccount",
    params(("id" = String, Path, description = "The account's id")),
    responses((status = 200, body = AdminAccountView)), security(("key" = ["admin"])))]
pub(crate) async fn enable(
    app: AppData,
    program: Program<AdminScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    set_disabled(app, program, id, false).await
}

async fn set_disabled(
    app: AppData,
    program: Program<AdminScope>,
    id: Path<String>,
    disabled: bool,
) -> Result<HttpResponse, WebError> {
    let account = find(&app, &id).await?;
    let (services, now) = (&app.services, app.services.clock.now());
    match services.account_admin.set_disabled(&account, disabled, &program.actor(), now).await? {
        ChangeOutcome::Done => {
            services.revoke_now().await;
            json(&AdminAccountView::from(&find(&app, &id).await?))
        }
        ChangeOutcome::LastAdministrator => Err(ApiError::Conflict {
            slug: "last-administrator",
            detail: "This is the only administrator. Make someone else an administrator first.",
        }
        .into()),
        ChangeOutcome::Overtaken | ChangeOutcome::EmailTaken => Err(WebError::NotFound),
    }
}
