//! The settings in force, key by key, with where each value comes from. Passwords in addresses are left out, so that
//! the table can be shown.

use std::fmt::Write;

use toml::Value;
use url::Url;

use super::SettingOrigin;

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingLine {
    /// The full name, such as `web.listen`.
    pub key: String,
    /// The value as the settings file writes it, without passwords.
    pub value: String,
    /// Where it comes from.
    pub origin: SettingOrigin,
    /// The value with passwords, to notice that one changed.
    pub(super) whole: String,
}

/// All keys in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsTable(pub(super) Vec<SettingLine>);

impl SettingLine {
    pub(super) fn new(key: String, value: &Value, origin: SettingOrigin) -> SettingLine {
        SettingLine { key, value: without_passwords(value).to_string(), whole: value.to_string(), origin }
    }

    /// Returns where the value comes from, in a word or two: a file, a variable, or nowhere.
    pub fn source(&self) -> String {
        match &self.origin {
            SettingOrigin::File(path) => path.display().to_string(),
            SettingOrigin::Variable(name) => name.clone(),
            SettingOrigin::Default => "default".to_owned(),
        }
    }
}

impl SettingsTable {
    /// Returns the keys.
    pub fn lines(&self) -> &[SettingLine] {
        &self.0
    }

    /// Returns the keys whose values differ in `other`.
    pub fn changed(&self, other: &SettingsTable) -> Vec<String> {
        let pairs = self.0.iter().zip(&other.0);
        pairs.filter(|(old, new)| old.whole != new.whole).map(|(old, _)| old.key.clone()).collect()
    }

    /// Returns this table with the values that `other` has for the keys that `takes` accepts.
    #[must_use]
    pub fn with(&self, other: &SettingsTable, takes: impl Fn(&str) -> bool) -> SettingsTable {
        let pairs = self.0.iter().zip(&other.0);
        SettingsTable(pairs.map(|(old, new)| if takes(&old.key) { new } else { old }.clone()).collect())
    }
}

/// Replaces the passwords of addresses in a value, wherever they are in it.
fn without_passwords(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(shown(text)),
        Value::Array(items) => Value::Array(items.iter().map(without_passwords).collect()),
        Value::Table(table) => {
            Value::Table(table.iter().map(|(key, value)| (key.clone(), without_passwords(value))).collect())
        }
        other => other.clone(),
    }
}

/// An address that may hold a password is shown as scheme, host, port and path. A user alone is left out, too:
/// where addresses have one, it often is a key.
fn shown(text: &str) -> String {
    let Some((scheme, _)) = text.split_once("://") else { return text.to_owned() };
    let Ok(url) = Url::parse(text) else { return format!("{scheme}://…") };
    let is_plain = url.username().is_empty() && url.password().is_none();
    if is_plain && matches!(scheme, "http" | "https" | "smtp" | "smtps") {
        return text.to_owned();
    }
    let mut shown = format!("{scheme}://");
    if !is_plain {
        shown.push_str("…@");
    }
    shown.push_str(url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        let _ = write!(shown, ":{port}");
    }
    // A query may name a password, too.
    shown.push_str(url.path());
    if url.query().is_some() {
        shown.push_str("?…");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (text, expected) in [
            ("sqlite", "sqlite"),
            ("postgres://oncelink:hunter2@db.example:5433/oncelink", "postgres://…@db.example:5433/oncelink"),
            ("postgres://db/oncelink?password=hunter2", "postgres://db/oncelink?…"),
            ("postgres://u:hunter2@", "postgres://…"),
            ("https://files.example.org", "https://files.example.org"),
            ("smtp://mail.example:587?tls=required", "smtp://mail.example:587?tls=required"),
            ("smtp://user:hunter2@mail.example", "smtp://…@mail.example"),
        ] {
            let line =
                SettingLine::new("k".to_owned(), &Value::String(text.to_owned()), SettingOrigin::Default);
            assert_eq!(line.value, format!("\"{expected}\""));
        }
        let list = Value::Array(vec![Value::String("redis://:hunter2@h/0".to_owned())]);
        assert!(!SettingLine::new(String::new(), &list, SettingOrigin::Default).value.contains("hunter2"));
    }

    #[test]
    fn a_change_of_a_password_is_a_change() {
        let table = |password: &str| {
            let value = Value::String(format!("postgres://u:{password}@h/d"));
            SettingsTable(vec![SettingLine::new("web.database".to_owned(), &value, SettingOrigin::Default)])
        };
        assert_eq!(table("a").changed(&table("b")), ["web.database"]);
        assert!(table("a").changed(&table("a")).is_empty());
        let kept = table("a").with(&table("b"), |_| false);
        assert_eq!(kept, table("a"));
        assert_eq!(table("a").with(&table("b"), |key| key == "web.database"), table("b"));
    }
}
