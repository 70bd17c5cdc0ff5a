//! `GET /`: the page for people who aren't logged in. It says what this is, and nothing about the content.

use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::config::Signup;
use crate::web::http::error::WebError;
use crate::web::http::extract::session_of;
use crate::web::http::layout::Chrome;
use crate::web::http::respond::{AppData, html, see_other};

/// The page for strangers.
#[derive(Clone, Debug, Template)]
#[template(path = "web/landing.html")]
pub struct LandingPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// Whether anyone can sign up.
    pub open: bool,
}

impl LandingPage {
    fn new(open: bool) -> LandingPage {
        LandingPage { chrome: Chrome::public("Send files with links that work once"), open }
    }
}

/// `GET /`. People who are logged in go to their files.
pub(crate) async fn page(app: AppData, request: HttpRequest) -> Result<HttpResponse, WebError> {
    if session_of(&request, &app).await?.is_some() {
        return Ok(see_other("/files/"));
    }
    html(&LandingPage::new(app.signup.mode == Signup::Open))
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    Ok(vec![
        ("landing", LandingPage::new(true).render()?),
        ("landing-by-invitation", LandingPage::new(false).render()?),
    ])
}
