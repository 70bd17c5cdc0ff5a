//! `/account`: the account that a key acts for.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::web::http::api::respond::json;
use crate::web::http::api::time::Time;
use crate::web::http::error::WebError;
use crate::web::http::program::{AnyScope, Program};
use crate::web::http::respond::AppData;

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountView {
    /// Its id.
    #[schema(example = "Fk3X9vYbQ0mU5n1rT7cWzA")]
    id: String,
    /// Its email address.
    #[schema(example = "ada@example.org")]
    email: String,
    /// The name of the person.
    #[schema(example = "Ada Lovelace")]
    name: String,
    /// Whether it is an administrator's.
    admin: bool,
    /// The groups that it is in.
    groups: Vec<String>,
    /// The path of its own folder, *My files*; `null` if it has none.
    #[schema(example = "/home/Fk3X9vYbQ0mU5n1rT7cWzA")]
    home: Option<String>,
    /// When it was created.
    created_at: Time,
}

/// Read the account
///
/// Any key may read the account that it acts for.
#[utoipa::path(get, path = "/account", tag = "account", operation_id = "readAccount",
    responses((status = 200, body = AccountView)), security(("key" = [])))]
pub(crate) async fn read(app: AppData, program: Program<AnyScope>) -> Result<HttpResponse, WebError> {
    let account = program.account();
    json(&AccountView {
        id: account.id.as_str().to_owned(),
        email: account.email.as_str().to_owned(),
        name: account.name.as_str().to_owned(),
        admin: account.admin,
        groups: account.groups.iter().cloned().collect(),
        home: app.rights.home(account).map(|home| home.as_str().to_owned()),
        created_at: account.created_at.into(),
    })
}
