//! The page on which a person allows a device to log in.

use askama::Template;

use crate::web::http::layout::{Chrome, Section};

/// What a device asks for.
#[derive(Clone, Debug)]
pub struct AskingDevice {
    /// The code that it shows.
    pub code: String,
    /// What it calls itself.
    pub name: String,
    /// The address that it asked from.
    pub address: String,
    /// What its key will allow, in words for people.
    pub allows: Vec<&'static str>,
}

/// What the page shows.
#[derive(Clone, Debug)]
pub enum DeviceStep {
    /// It asks for the code.
    Code {
        /// The code as it was typed.
        typed: String,
        /// What is wrong with it.
        error: Option<String>,
    },
    /// It asks whether to allow the device.
    Decide {
        /// The device.
        device: AskingDevice,
        /// The email address of the account, for password managers.
        email: String,
        /// What is wrong with the password.
        error: Option<String>,
    },
    /// It was allowed or refused.
    Done {
        /// Whether it was allowed.
        is_allowed: bool,
    },
}

/// `GET /device`; posts `code`, `current_password`, `decision` and `csrf` there.
#[derive(Clone, Debug, Template)]
#[template(path = "web/device.html")]
pub struct DevicePage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// What it shows.
    pub step: DeviceStep,
}

impl DevicePage {
    fn has_error(&self) -> bool {
        matches!(
            &self.step,
            DeviceStep::Code { error: Some(_), .. } | DeviceStep::Decide { error: Some(_), .. }
        )
    }
}

/// Returns the page in each of its states, for tests.
pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let device = AskingDevice {
        code: "BCDF-GHJK".to_owned(),
        name: "ada’s \"<laptop>".to_owned(),
        address: "2001:db8:1234:5678:9abc:def0:1234:5678".to_owned(),
        allows: vec!["See shares, folders and files", "Make and manage your links"],
    };
    let email = "ada@example.org".to_owned();
    let error = Some("There is no such code, or it has expired.".to_owned());
    let steps = [
        ("device", DeviceStep::Code { typed: String::new(), error: None }),
        ("device, wrong code", DeviceStep::Code { typed: "\"<b>".to_owned(), error: error.clone() }),
        ("device, decide", DeviceStep::Decide { device: device.clone(), email: email.clone(), error: None }),
        ("device, wrong password", DeviceStep::Decide { device, email, error }),
        ("device, allowed", DeviceStep::Done { is_allowed: true }),
        ("device, refused", DeviceStep::Done { is_allowed: false }),
    ];
    let chrome = Chrome::sample("Log in a device", Section::Account);
    let page = |(name, step)| Ok((name, DevicePage { chrome: chrome.clone(), step }.render()?));
    steps.into_iter().map(page).collect()
}
