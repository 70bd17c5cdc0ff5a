//! `/keys`: the account's API keys. A key can't make, change or revoke keys: that needs a person who is logged in.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::web::api_keys::{ApiKeyId, ListedKey, Scope};
use crate::web::http::api::list::List;
use crate::web::http::api::respond::json;
use crate::web::http::api::time::Time;
use crate::web::http::error::WebError;
use crate::web::http::program::{AnyScope, Program};
use crate::web::http::respond::AppData;

/// An API key, without the key itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyView {
    /// Its id.
    #[schema(example = "Fk3X9vYbQ0mU5n1rT7cWzA")]
    id: String,
    /// Its name.
    #[schema(example = "Build server")]
    name: String,
    /// Its first characters.
    #[schema(example = "olk_3fGh")]
    begins_with: String,
    /// What it may do.
    #[schema(example = json!(["files:read", "links"]))]
    scopes: Vec<&'static str>,
    /// The shares that it is limited to; `null` for all.
    shares: Option<Vec<String>>,
    /// The networks from which it may be used; empty for all.
    #[schema(example = json!(["10.0.0.0/8"]))]
    networks: Vec<String>,
    /// `active`, `ended` or `revoked`.
    #[schema(example = "active")]
    state: &'static str,
    /// Whether it is the key of this request.
    current: bool,
    /// When it was made.
    created_at: Time,
    /// When it expires; `null` for never.
    ends_at: Option<Time>,
    /// When it was last used, accurate to a minute; `null` for never.
    last_used_at: Option<Time>,
    /// When it was revoked.
    revoked_at: Option<Time>,
}

impl KeyView {
    fn of(key: ListedKey, current: &ApiKeyId, now: Timestamp) -> KeyView {
        KeyView {
            id: key.id.to_string(),
            begins_with: key.hint.clone(),
            scopes: key.scopes.iter().map(Scope::as_str).collect(),
            shares: key.shares.clone().map(|shares| shares.into_iter().collect()),
            networks: key.networks.iter().map(ToString::to_string).collect(),
            state: key.state(now).as_str(),
            current: key.id == *current,
            created_at: key.created_at.into(),
            ends_at: key.ends_at.map(Time),
            last_used_at: key.last_used_at.map(Time),
            revoked_at: key.revoked_at.map(Time),
            name: key.name,
        }
    }
}

/// List the keys
///
/// All keys of the account, the newest first. Keys are made and revoked on the page “API keys” or by an operator.
#[utoipa::path(get, path = "/keys", tag = "keys", operation_id = "listKeys",
    responses((status = 200, body = List<KeyView>)), security(("key" = [])))]
pub(crate) async fn list(app: AppData, program: Program<AnyScope>) -> Result<HttpResponse, WebError> {
    let keys = app.services.api_keys.list(Some(&program.account().id)).await?;
    let now = app.services.clock.now();
    let items = keys.into_iter().map(|key| KeyView::of(key, &program.key().id, now)).collect();
    json(&List { items, next: None })
}

/// Read a key
#[utoipa::path(get, path = "/keys/{id}", tag = "keys", operation_id = "readKey",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 200, body = KeyView)), security(("key" = [])))]
pub(crate) async fn read(
    app: AppData,
    program: Program<AnyScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    let found = app.services.api_keys.by_id(&ApiKeyId::from_store(&id)).await?;
    let key = found.filter(|key| key.account == program.account().id).ok_or(WebError::NotFound)?;
    json(&KeyView::of(key, &program.key().id, app.services.clock.now()))
}
