//! The page about the settings in force.

use askama::Template;

use crate::config::{SettingLine, SettingOrigin};
use crate::web::http::layout::{Chrome, Section};

/// One setting.
#[derive(Clone, Debug)]
pub struct SettingRow {
    /// Its full name.
    pub key: String,
    /// Its value, without passwords.
    pub value: String,
    /// Where it comes from; `None` for the default.
    pub source: Option<String>,
}

impl SettingRow {
    pub(crate) fn new(line: &SettingLine) -> SettingRow {
        let is_default = line.origin == SettingOrigin::Default;
        SettingRow {
            key: line.key.clone(),
            value: line.value.clone(),
            source: (!is_default).then(|| line.source()),
        }
    }

    /// Whether another page shows it better.
    fn is_share(&self) -> bool {
        self.key == "share"
    }
}

/// `GET /admin/settings`
#[derive(Clone, Debug, Template)]
#[template(path = "web/admin/settings.html")]
pub struct SettingsPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The settings by name.
    pub rows: Vec<SettingRow>,
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let row = |key: &str, value: &str, source: Option<&str>| SettingRow {
        key: key.to_owned(),
        value: value.to_owned(),
        source: source.map(str::to_owned),
    };
    let page = SettingsPage {
        chrome: Chrome::sample("Site settings", Section::Admin),
        rows: vec![
            row("brand.name", "\"<script>\"", Some("/etc/oncelink/oncelink.toml")),
            row("share", "[]", None),
            row("web.database", "\"postgres://…@db.example/oncelink\"", Some("ONCELINK_WEB__DATABASE")),
        ],
    };
    let none = SettingsPage { rows: Vec::new(), ..page.clone() };
    Ok(vec![("admin-settings", page.render()?), ("admin-settings-none", none.render()?)])
}
