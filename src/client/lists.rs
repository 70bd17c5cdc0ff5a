//! `oncelink ls`, `links`, `request` and what else is read from, or changed at, a server.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::api::{Account, Api};
use crate::client::credentials::{self, Login};
use crate::client::error::ClientError;

/// The maximum number of items in a list.
const MOST: usize = 100_000;

/// Returns the email address of the account that a key acts for.
///
/// # Errors
/// When the server refuses the key, or doesn't answer.
pub async fn email_of(login: Login) -> Result<String, ClientError> {
    Ok(Api::new(login)?.read::<Account>("/account").await?.email)
}

/// Lists a folder; without one, the folders at the top.
///
/// # Errors
/// See [`ClientError`].
pub async fn files(server: Option<&str>, folder: Option<&str>) -> Result<Vec<Value>, ClientError> {
    let api = api_of(server)?;
    let path = match folder {
        Some(folder) => format!("/files?folder={}", encoded(folder)),
        None => "/files".to_owned(),
    };
    api.list(&path, MOST).await
}

/// Lists the newest `most` links.
///
/// # Errors
/// See [`ClientError`].
pub async fn links(server: Option<&str>, most: usize) -> Result<Vec<Value>, ClientError> {
    api_of(server)?.list("/links", most).await
}

/// Lists the downloads through a link.
///
/// # Errors
/// See [`ClientError`].
pub async fn deliveries(server: Option<&str>, link: &str) -> Result<Vec<Value>, ClientError> {
    api_of(server)?.list(&format!("/links/{}/deliveries", encoded(link)), MOST).await
}

/// Pauses, resumes or revokes a link.
///
/// # Errors
/// See [`ClientError`].
pub async fn change_link(server: Option<&str>, link: &str, action: &str) -> Result<(), ClientError> {
    api_of(server)?.act(Method::POST, &format!("/links/{}/{action}", encoded(link))).await
}

/// Lists the newest `most` file requests.
///
/// # Errors
/// See [`ClientError`].
pub async fn requests(server: Option<&str>, most: usize) -> Result<Vec<Value>, ClientError> {
    api_of(server)?.list("/requests", most).await
}

/// Makes a file request, and returns it as the API shows it.
///
/// # Errors
/// See [`ClientError`].
pub async fn make_request(
    server: Option<&str>,
    title: &str,
    folder: Option<&str>,
) -> Result<Value, ClientError> {
    let api = api_of(server)?;
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => {
            let none = "this account has no folder of its own; name one with `--folder`";
            let home = api.read::<Account>("/account").await?.home;
            home.ok_or_else(|| ClientError::Usage(none.to_owned()))?
        }
    };
    api.make("/requests", &json!({ "title": title, "folder": folder }), None).await
}

/// Lists the API keys of the account.
///
/// # Errors
/// See [`ClientError`].
pub async fn keys(server: Option<&str>) -> Result<Vec<Value>, ClientError> {
    api_of(server)?.list("/keys", MOST).await
}

fn api_of(server: Option<&str>) -> Result<Api, ClientError> {
    Api::new(credentials::find(server)?)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
