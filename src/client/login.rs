//! `oncelink login`: a key for this computer, which the person allows in a browser, on any device (RFC 8628).

use std::fmt;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use tokio::time::Instant;

use crate::client::error::ClientError;
use crate::client::http::{Http, parsed, refusal, unexpected};
use crate::secret::Secret;

/// What the key is for.
const SCOPE: &str = "files:read files:write links requests";

/// How long to wait between two questions if the server doesn't say (RFC 8628 section 3.2), and how much longer if it
/// says that this was too short (section 3.5).
const INTERVAL: u64 = 5;

/// What the person has to do.
pub struct LoginPrompt {
    code: String,
    address: String,
}

impl fmt::Display for LoginPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LoginPrompt { code, address } = self;
        write!(f, "open {address} in a browser, compare the code {code}, and allow it")
    }
}

#[derive(Deserialize)]
struct Started {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
}

#[derive(Deserialize)]
struct Denied {
    error: String,
}

/// Asks the server at `url` for a key, calls `show` with what the person has to do, and waits until they have done it.
///
/// # Errors
/// When they refuse, or don't do it in time, and when the server doesn't answer.
pub async fn log_in(url: &Url, show: impl Fn(LoginPrompt)) -> Result<Secret, ClientError> {
    let http = Http::new()?;
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let form = form(&[("client_id", "oncelink"), ("scope", SCOPE), ("name", &name)]);
    let at = below(url, "/device/code")?;
    let request = http.request(Method::POST, &at).header(ACCEPT, "application/json");
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
    let started: Started = http.json(&at, request).await?;
    let address = started.verification_uri_complete.unwrap_or(started.verification_uri);
    show(LoginPrompt { code: printable(&started.user_code), address: printable(&address) });
    let deadline = Instant::now() + Duration::from_secs(started.expires_in.min(3600));
    let mut interval = started.interval.unwrap_or(INTERVAL);
    while Instant::now() < deadline {
        tokio::time::sleep(Duration::from_secs(interval.clamp(1, 60))).await;
        match ask(&http, url, &started.device_code).await {
            Ok(Answer::Key(key)) => return Ok(key),
            Ok(Answer::Pending) => {}
            Ok(Answer::SlowDown) => interval += INTERVAL,
            // It may be back in time.
            Err(error) if error.is_passing() => {}
            Err(error) => return Err(error),
        }
    }
    Err(ClientError::Login("nobody allowed it in time; run the command again"))
}

enum Answer {
    Key(Secret),
    Pending,
    SlowDown,
}

async fn ask(http: &Http, url: &Url, device_code: &str) -> Result<Answer, ClientError> {
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let form = form(&[("grant_type", grant), ("device_code", device_code), ("client_id", "oncelink")]);
    let at = below(url, "/device/token")?;
    let request = http.request(Method::POST, &at).header(ACCEPT, "application/json");
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
    let response = http.send(&at, request).await?;
    match response.status() {
        StatusCode::OK => {
            let granted = parsed::<Granted>(&at, response).await?;
            Ok(Answer::Key(Secret::presented(&granted.access_token)))
        }
        StatusCode::BAD_REQUEST => match parsed::<Denied>(&at, response).await?.error.as_str() {
            "authorization_pending" => Ok(Answer::Pending),
            "slow_down" => Ok(Answer::SlowDown),
            "access_denied" => Err(ClientError::Login("the login was refused in the browser")),
            _ => Err(ClientError::Login("the login has expired; run the command again")),
        },
        _ => Err(refusal(&at, response).await),
    }
}

fn below(url: &Url, path: &str) -> Result<Url, ClientError> {
    let base = url.as_str().trim_end_matches('/');
    Url::parse(&format!("{base}{path}")).map_err(|_| unexpected(url, "an invalid address"))
}

fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// Without what controls a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
