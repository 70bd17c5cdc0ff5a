//! The pages of a person's second factor.

use askama::Template;

use crate::clock::Timestamp;
use crate::web::http::fields::FieldErrors;
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::qr::{self, Qr};

/// The forms of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorForm {
    /// None of them.
    None,
    /// `POST /account/second-factor`: `current_password`.
    Begin,
    /// `POST /account/second-factor/confirm`: `code`.
    Confirm,
    /// `POST /account/second-factor/codes`: `code`.
    Codes,
    /// `POST /account/second-factor/off`: `current_password`, `code`.
    Off,
}

/// What the page shows.
#[derive(Clone, Debug)]
pub enum FactorView {
    /// There is none.
    Off,
    /// It is being set up.
    Begun {
        /// The address as a QR code.
        qr: Option<Qr>,
        /// The address that opens an app on the same device.
        address: String,
        /// The secret, for typing.
        secret: String,
    },
    /// There is one.
    On {
        /// Since when.
        since: Timestamp,
        /// How many recovery codes are left.
        codes_left: u64,
    },
}

/// `GET /account/second-factor`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/second-factor.html")]
pub struct SecondFactorPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The person's address, for password managers.
    pub email: String,
    /// Whether the person needs one for the administration.
    pub is_required: bool,
    /// What it shows.
    pub view: FactorView,
    /// The form with errors.
    pub errors_for: FactorForm,
    /// The errors in that form.
    pub errors: FieldErrors,
}

impl SecondFactorPage {
    /// Returns the errors in a form.
    fn of(&self, form: FactorForm) -> FieldErrors {
        if self.errors_for == form { self.errors.clone() } else { FieldErrors::default() }
    }
}

/// The recovery codes, which are shown once.
#[derive(Clone, Debug, Template)]
#[template(path = "web/recovery-codes.html")]
pub struct RecoveryCodesPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The codes.
    pub codes: Vec<String>,
    /// Whether the second factor has just been turned on.
    pub is_new: bool,
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let address = "otpauth://totp/Oncelink:lin%40example.org?secret=ABCDEFGH&issuer=Oncelink";
    let page = SecondFactorPage {
        chrome: Chrome::sample("Second factor", Section::Account),
        email: "lin@example.org\"><script>".to_owned(),
        is_required: true,
        view: FactorView::Off,
        errors_for: FactorForm::None,
        errors: FieldErrors::default(),
    };
    let errors = FieldErrors {
        current_password: Some("This is not your current password.".to_owned()),
        code: Some("This code is wrong or was used before.".to_owned()),
        ..FieldErrors::default()
    };
    let begun = FactorView::Begun {
        qr: qr::of(address),
        address: address.to_owned(),
        secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP".to_owned(),
    };
    let on = FactorView::On { since: Timestamp::from_secs(1_790_000_000), codes_left: 9 };
    let with = |view: &FactorView, errors_for| SecondFactorPage {
        view: view.clone(),
        errors_for,
        errors: errors.clone(),
        ..page.clone()
    };
    let codes = RecoveryCodesPage {
        chrome: page.chrome.clone(),
        codes: vec!["abcd-efgh-jkmn".to_owned(); 10],
        is_new: true,
    };
    Ok(vec![
        ("second-factor-off", page.render()?),
        ("second-factor-off-errors", with(&FactorView::Off, FactorForm::Begin).render()?),
        ("second-factor-begun", with(&begun, FactorForm::None).render()?),
        ("second-factor-begun-errors", with(&begun, FactorForm::Confirm).render()?),
        ("second-factor-on", with(&on, FactorForm::None).render()?),
        ("second-factor-on-codes", with(&on, FactorForm::Codes).render()?),
        ("second-factor-on-errors", with(&on, FactorForm::Off).render()?),
        ("recovery-codes", codes.render()?),
        ("recovery-codes-again", RecoveryCodesPage { is_new: false, ..codes }.render()?),
    ])
}
