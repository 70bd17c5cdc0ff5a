//! The page that says what went wrong and what to do next, for every status.

use askama::Template;

use crate::web::http::layout::{Chrome, Section};

/// The page about a refused request.
#[derive(Clone, Debug, Template)]
#[template(path = "web/refusal.html")]
pub struct RefusalPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The answer's status.
    pub status: u16,
    /// What went wrong, in a few words.
    pub headline: String,
    /// What happened: one sentence, without a cause that only the operator should see.
    pub what: String,
    /// What the person can do now.
    pub next: String,
    /// The button that leads on.
    pub action: Option<RefusalButton>,
    /// The request's id, by which the operator finds the log lines.
    pub request_id: Option<String>,
}

/// A button that leads on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalButton {
    /// The address.
    pub href: String,
    /// The button's text.
    pub label: String,
}

impl RefusalPage {
    /// Returns the page with the usual words for `status`.
    pub fn of(status: u16) -> RefusalPage {
        let (headline, what, next) = words(status);
        let (href, label) = match status {
            401 => ("/login", "Log in"),
            _ => ("/files/", "Go to your files"),
        };
        RefusalPage {
            chrome: Chrome::public(headline),
            status,
            headline: headline.to_owned(),
            what: what.to_owned(),
            next: next.to_owned(),
            action: Some(RefusalButton { href: href.to_owned(), label: label.to_owned() }),
            request_id: None,
        }
    }

    /// Returns the page for `status` with a sentence that says more precisely what happened.
    pub fn saying(status: u16, what: String) -> RefusalPage {
        RefusalPage { what, ..RefusalPage::of(status) }
    }

    /// Returns the page for a link from a mail or chat that leads nowhere: most have lost their end.
    pub fn of_incomplete_link() -> RefusalPage {
        RefusalPage {
            chrome: Chrome::public("This link is incomplete"),
            headline: "This link is incomplete".to_owned(),
            what: "Part of the link seems to be missing, so we can't tell what it is for.".to_owned(),
            next: "Copy all of it, to the very last character, and open it again. If that doesn't help, ask the person \
                   who sent it to you for a new one."
                .to_owned(),
            action: None,
            ..RefusalPage::of(404)
        }
    }

    /// Returns the page for a browser that returns no cookies.
    pub fn without_cookies() -> RefusalPage {
        RefusalPage {
            chrome: Chrome::public("Cookies are needed"),
            headline: "Cookies are needed".to_owned(),
            what: "Your browser did not send our cookie back. You can't log in or sign up here without it."
                .to_owned(),
            next: "Allow cookies for this site in your browser's settings, then log in again.".to_owned(),
            action: Some(RefusalButton { href: "/login".to_owned(), label: "Log in".to_owned() }),
            ..RefusalPage::of(403)
        }
    }

    /// Returns the page for a file that isn't shown in the browser.
    pub fn not_viewable(status: u16, why: &str) -> RefusalPage {
        RefusalPage {
            chrome: Chrome::public("This file can’t be viewed here"),
            headline: "This file can’t be viewed here".to_owned(),
            what: why.to_owned(),
            next: "Go back and download it instead.".to_owned(),
            action: None,
            ..RefusalPage::of(status)
        }
    }

    /// Leads whoever has no account back to the link or file request that they opened; their own files are nowhere.
    pub fn for_visitor_of(mut self, path: &str) -> RefusalPage {
        let is_public = path.starts_with("/l/") || path.starts_with("/r/");
        let public_page =
            path.match_indices('/').nth(2).map_or(path, |(end, _)| path.get(..end).unwrap_or(path));
        if !is_public || self.action.is_none() {
            return self;
        }
        if self.status == 403 {
            "This page was open for too long".clone_into(&mut self.headline);
            "Its form is no longer valid.".clone_into(&mut self.what);
            "Open the link again, then press the button once more.".clone_into(&mut self.next);
            self.chrome.title.clone_from(&self.headline);
        }
        self.action =
            Some(RefusalButton { href: public_page.to_owned(), label: "Open the link again".to_owned() });
        self
    }

    /// Adds how long to wait, for 429 and 503.
    pub fn wait(mut self, seconds: u64) -> RefusalPage {
        self.next = format!("Wait {}, then try again.", crate::human::wait(seconds));
        self
    }

    /// Puts the page into the frame of the other pages of the person who is logged in.
    pub fn within(mut self, chrome: Chrome) -> RefusalPage {
        self.chrome = Chrome { title: self.chrome.title, ..chrome };
        self
    }

    /// Returns a page with values that an attacker might send.
    pub fn sample() -> RefusalPage {
        RefusalPage {
            what: "There is no file named <script>alert(1)</script>.".to_owned(),
            request_id: Some("01JD\"><script>".to_owned()),
            ..RefusalPage::of(404)
        }
    }
}

fn words(status: u16) -> (&'static str, &'static str, &'static str) {
    match status {
        408 => (
            "That took too long",
            "The form did not arrive in time; perhaps the connection is slow or broke off.",
            "Go back and send it again.",
        ),
        401 => ("Please log in", "This page is only for people who are logged in.", "Log in to see it."),
        403 => (
            "You can't do this",
            "You are not allowed to do this, or the page was open for so long that its form is no longer valid.",
            "Reload the page and try again. If you should have access, ask the person who runs this server for it.",
        ),
        404 => (
            "Not found",
            "There is no such page or file, or you are not allowed to see it.",
            "It may have been moved or renamed: look for it in your files.",
        ),
        405 => (
            "That does not work here",
            "This address does not accept this kind of request.",
            "Use the buttons on the pages instead of opening the address directly.",
        ),
        409 => (
            "It changed in the meantime",
            "It is no longer as it was when you opened the page.",
            "Reload the page, look at what is there now, and try again.",
        ),
        410 => (
            "This link no longer works",
            "This link works once and for a limited time: it was already used, or it has expired.",
            "Ask the person who sent it to you for a new one.",
        ),
        413 => {
            ("That is too large", "The request is larger than this service accepts.", "Send less at once.")
        }
        422 => (
            "That name does not work",
            "A file or folder can't have this name.",
            "Go back and choose another one.",
        ),
        423 => ("It is in use", "Another operation is using it right now.", "Wait a moment, then try again."),
        429 => (
            "Too many attempts",
            "Too many requests came in a short time, so this one was refused.",
            "Wait a minute, then try again.",
        ),
        400..=499 => (
            "That request was not valid",
            "Something in the address or the form was not right.",
            "Go back, check what you typed and try again.",
        ),
        507 => (
            "The disk is full",
            "There is not enough space for it right now.",
            "Try again later, or ask the person who runs this server for more space.",
        ),
        503 => (
            "Not available right now",
            "The service is unavailable at the moment. Nothing was lost.",
            "Wait a little, then try again.",
        ),
        _ => (
            "Something went wrong on our side",
            "The request failed because of a fault in this service, not because of you.",
            "Try again in a moment. If it keeps failing, tell the person who runs this server.",
        ),
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    Ok(vec![
        ("refusal-400", RefusalPage::of(400).render()?),
        ("refusal-401", RefusalPage::of(401).render()?),
        ("refusal-403", RefusalPage::of(403).render()?),
        ("refusal-incomplete-link", RefusalPage::of_incomplete_link().render()?),
        ("refusal-cookies", RefusalPage::without_cookies().render()?),
        ("refusal-view", RefusalPage::not_viewable(415, "It can’t be shown.").render()?),
        ("refusal-404", RefusalPage::sample().render()?),
        ("refusal-404-logged-in", RefusalPage::sample().within(Chrome::sample("", Section::None)).render()?),
        ("refusal-408", RefusalPage::of(408).render()?),
        ("refusal-405", RefusalPage::of(405).render()?),
        ("refusal-409", RefusalPage::of(409).render()?),
        ("refusal-410", RefusalPage::of(410).render()?),
        ("refusal-413", RefusalPage::of(413).render()?),
        ("refusal-415", RefusalPage::of(415).render()?),
        ("refusal-422", RefusalPage::of(422).render()?),
        ("refusal-423", RefusalPage::of(423).render()?),
        ("refusal-507", RefusalPage::of(507).render()?),
        ("refusal-429", RefusalPage::of(429).wait(90).render()?),
        ("refusal-500", RefusalPage::of(500).render()?),
        ("refusal-503", RefusalPage::of(503).wait(5).render()?),
    ])
}
