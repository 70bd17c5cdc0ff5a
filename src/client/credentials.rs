//! The API keys of this person, in a file that only they can read. The environment comes first, for build servers:
//! `ONCELINK_URL` and `ONCELINK_KEY`.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::client::environment;
use crate::client::error::{ClientError, file_error};
use crate::client::visit_file::write_private;
use crate::secret::Secret;

const URL_VARIABLE: &str = "ONCELINK_URL";
const KEY_VARIABLE: &str = "ONCELINK_KEY";

/// A server, and the key for it.
#[derive(Clone, Debug)]
pub struct Login {
    /// The web app's public address, without a slash at its end.
    pub url: Url,
    /// The API key.
    pub key: Secret,
}

#[derive(Serialize, Deserialize)]
struct StoredLogin {
    url: String,
    key: String,
}

/// The file. The login that was used last is the first.
#[derive(Default, Serialize, Deserialize)]
struct Stored {
    #[serde(default, rename = "server")]
    servers: Vec<StoredLogin>,
}

/// Returns the login for the server at `url`, or without one the newest login.
///
/// # Errors
/// When this computer isn't logged in there, or the file can't be read.
pub fn find(url: Option<&str>) -> Result<Login, ClientError> {
    let asked = url.map(server_url).transpose()?;
    if let (Some(url), Some(key)) = (environment::text(URL_VARIABLE), environment::text(KEY_VARIABLE)) {
        let login = Login { url: server_url(&url)?, key: Secret::presented(&key) };
        if asked.as_ref().is_none_or(|asked| *asked == login.url) {
            return Ok(login);
        }
    }
    let stored = read()?;
    let found = match &asked {
        Some(asked) => stored.servers.iter().find(|one| one.url == text(asked)),
        None => stored.servers.first(),
    };
    match (found, asked) {
        (Some(found), _) => Ok(Login { url: server_url(&found.url)?, key: Secret::presented(&found.key) }),
        (None, Some(asked)) => Err(ClientError::NotLoggedIn(text(&asked))),
        (None, None) => Err(ClientError::NoServer),
    }
}

/// Keeps a login, in place of an earlier one for that server.
///
/// # Errors
/// When the file can't be written.
pub fn keep(login: &Login) -> Result<PathBuf, ClientError> {
    let mut stored = read()?;
    stored.servers.retain(|one| one.url != text(&login.url));
    stored.servers.insert(0, StoredLogin { url: text(&login.url), key: login.key.reveal().to_owned() });
    write(&stored)
}

/// Forgets the login for the server at `url`, and returns whether there was one.
///
/// # Errors
/// When the file can't be written.
pub fn forget(url: &Url) -> Result<bool, ClientError> {
    let mut stored = read()?;
    let before = stored.servers.len();
    stored.servers.retain(|one| one.url != text(url));
    let forgotten = stored.servers.len() < before;
    if forgotten {
        write(&stored)?;
    }
    Ok(forgotten)
}

/// Reads the address of a server as it is typed: `files.example.org` is enough.
///
/// # Errors
/// [`ClientError::Address`].
pub fn server_url(typed: &str) -> Result<Url, ClientError> {
    let wrong = || ClientError::Address {
        address: typed.to_owned(),
        expected: "the address of a server, like https://files.example.org",
    };
    let full = match typed.contains("://") {
        true => typed.trim().to_owned(),
        false => format!("https://{}", typed.trim()),
    };
    let mut url = Url::parse(&full).map_err(|_| wrong())?;
    let is_usable =
        matches!(url.scheme(), "http" | "https") && url.host_str().is_some() && url.username().is_empty();
    if !is_usable || url.password().is_some() {
        return Err(wrong());
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Returns the address as it is shown and stored.
pub(crate) fn text(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// Returns the folder for what the client keeps: `$XDG_CONFIG_HOME/oncelink`, or `~/.config/oncelink`.
fn folder() -> PathBuf {
    environment::folder("XDG_CONFIG_HOME", ".config")
}

/// Returns the folder for uploads that are not finished: `$XDG_STATE_HOME/oncelink`, or `~/.local/state/oncelink`.
///
/// # Errors
/// When it can't be created.
pub(crate) fn state_folder() -> Result<PathBuf, ClientError> {
    private_folder(environment::folder("XDG_STATE_HOME", ".local/state"))
}

fn private_folder(path: PathBuf) -> Result<PathBuf, ClientError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(file_error("create", &path))?;
    Ok(path)
}

fn file() -> PathBuf {
    folder().join("credentials.toml")
}

fn read() -> Result<Stored, ClientError> {
    let path = file();
    match fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).map_err(|source| ClientError::Credentials { path, source }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Stored::default()),
        Err(error) => Err(file_error("read", path)(error)),
    }
}

fn write(stored: &Stored) -> Result<PathBuf, ClientError> {
    private_folder(folder())?;
    let path = file();
    let text =
        toml::to_string(stored).map_err(|error| file_error("write", &path)(std::io::Error::other(error)))?;
    write_private(&path, text.as_bytes())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_server_may_be_typed_in_several_ways() {
        for typed in ["files.example.org", "https://files.example.org/", " https://files.example.org/?a#b "] {
            assert_eq!(text(&server_url(typed).unwrap()), "https://files.example.org", "{typed}");
        }
        assert_eq!(text(&server_url("http://127.0.0.1:8080").unwrap()), "http://127.0.0.1:8080");
        for typed in ["", "ftp://files.example.org", "https://", "https://ada:secret@files.example.org"] {
            assert!(server_url(typed).is_err(), "{typed}");
        }
    }
}
