//! A link as its page describes it to programs, and presses on its buttons.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{ACCEPT, CONTENT_TYPE, COOKIE, LOCATION};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;

use crate::client::error::ClientError;
use crate::client::http::{Http, refusal, unexpected};
use crate::cookie_name;
use crate::secret::Secret;

/// How many pages of a link's files are read.
const PAGES: usize = 1_000;

/// What the page of a link says.
#[derive(Debug, Deserialize)]
pub(crate) struct LinkFacts {
    /// Its full address, below the public address of the web app.
    pub(crate) address: String,
    /// Its files.
    pub(crate) files: Vec<LinkFile>,
    /// All of them as one archive, if there are several.
    pub(crate) zip: Option<LinkFile>,
    #[serde(default)]
    pages: usize,
    /// Whether it asks for a password.
    pub(crate) password: bool,
    /// Whether it asks for a code that is emailed.
    pub(crate) mailed_code: bool,
}

/// A file of a link.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LinkFile {
    /// By which it is requested.
    #[serde(rename = "file")]
    pub(crate) key: String,
    /// Its name, or its path below the link's folder.
    pub(crate) name: String,
    /// Its size in bytes.
    pub(crate) size: Option<u64>,
}

/// What a link asks for before it gives anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proof {
    pub(crate) password: Option<String>,
    pub(crate) code: Option<String>,
}

/// What a press led to.
pub(crate) enum Pressed {
    /// The address of the download.
    Address(Url),
    /// Nothing yet: the files are still being uploaded, or their archive is being prepared.
    Wait(Duration, String),
}

/// A link, visited by one visitor.
pub(crate) struct LinkVisit<'h> {
    http: &'h Http,
    url: Url,
    /// By this secret the web app recognizes the visitor, who may continue what they began.
    visitor: &'h Secret,
    /// The name and value of the cookie; unknown until the public address is.
    cookie: Option<String>,
}

impl<'h> LinkVisit<'h> {
    /// Begins a visit at `url`. `public_url` is the web app's public address, if it is known from an earlier visit.
    pub(crate) fn new(
        http: &'h Http,
        url: Url,
        visitor: &'h Secret,
        public_url: Option<&str>,
    ) -> LinkVisit<'h> {
        let cookie = public_url.map(|public_url| cookie(public_url, visitor));
        LinkVisit { http, url, visitor, cookie }
    }

    /// Reads what the link has, all pages of its files.
    ///
    /// # Errors
    /// When it is closed, or doesn't answer.
    pub(crate) async fn facts(&mut self) -> Result<LinkFacts, ClientError> {
        let mut facts = self.page(1).await?;
        self.cookie = public_url(&facts.address).map(|public_url| cookie(public_url, self.visitor));
        for page in 2..=facts.pages.min(PAGES) {
            facts.files.extend(self.page(page).await?.files);
        }
        Ok(facts)
    }

    async fn page(&self, page: usize) -> Result<LinkFacts, ClientError> {
        let mut url = self.url.clone();
        if page > 1 {
            url.query_pairs_mut().append_pair("page", &page.to_string());
        }
        let request = self.http.request(Method::GET, &url);
        self.http.json(&url, self.as_visitor(request)).await
    }

    /// Presses the button of a file.
    ///
    /// # Errors
    /// When the press is refused.
    pub(crate) async fn press(&self, key: &str, proof: &Proof) -> Result<Pressed, ClientError> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("file", key).append_pair("again", "1");
        for (name, value) in [("password", &proof.password), ("code", &proof.code)] {
            if let Some(value) = value {
                form.append_pair(name, value);
            }
        }
        let response = self.post(&self.url, form.finish()).await?;
        if response.status() == StatusCode::SEE_OTHER {
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let address = location.and_then(|location| self.url.join(location).ok());
            return address
                .map(Pressed::Address)
                .ok_or_else(|| unexpected(&self.url, "a redirect without an address"));
        }
        match refusal(&self.url, response).await {
            ClientError::Refused { status: 409, slug, detail, retry_after }
                if matches!(slug.as_str(), "still-preparing" | "still-uploading") =>
            {
                Ok(Pressed::Wait(retry_after.unwrap_or(Duration::from_secs(3)), detail))
            }
            error => Err(error),
        }
    }

    /// Has a code emailed to the recipient.
    ///
    /// # Errors
    /// When the link asks for none, or doesn't answer.
    pub(crate) async fn mail_code(&self) -> Result<(), ClientError> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/code", self.url.path()));
        let response = self.post(&url, String::new()).await?;
        match response.status() {
            StatusCode::SEE_OTHER => Ok(()),
            _ => Err(refusal(&url, response).await),
        }
    }

    async fn post(&self, url: &Url, form: String) -> Result<reqwest::Response, ClientError> {
        let request = self.http.request(Method::POST, url).body(form);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.http.send(url, self.as_visitor(request)).await
    }

    fn as_visitor(&self, request: RequestBuilder) -> RequestBuilder {
        let request = request.header(ACCEPT, "application/json");
        match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }
}

/// Whether an address continues a download that was begun, in the same version (claim `again`). Any other begins a new
/// one, perhaps of a file that was replaced meanwhile.
pub(crate) fn is_continuation(address: &Url) -> bool {
    let continues = || {
        let token = address.path().rsplit_once("/d/")?.1;
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
        claims.get("again")?.as_bool()
    };
    continues().unwrap_or(false)
}

/// Returns the cookie by which the web app at `public_url` recognizes a visitor.
fn cookie(public_url: &str, visitor: &Secret) -> String {
    format!("{}={}", cookie_name::full(public_url, cookie_name::FORM), visitor.reveal())
}

/// Returns the public address of the web app of a link with this address.
pub(crate) fn public_url(address: &str) -> Option<&str> {
    address.rsplit_once("/l/").map(|(public_url, _)| public_url)
}
