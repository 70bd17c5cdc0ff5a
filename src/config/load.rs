//! Loads the settings: the environment overrides the file, and the file overrides the defaults.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml::{Table, Value};
use url::{Host, Url};

use super::foreign::is_foreign;
use super::known::{KnownKey, KnownKeys, PREFIX, ValueKind};
use super::listen::at_port;
use super::{
    JWKS_PATH, Listen, RECEIPTS_PATH, SettingLine, SettingOrigin, Settings, SettingsError, SettingsTable,
    is_address, validate,
};

/// The settings file in the working directory that is read if no file is named.
pub const DEFAULT_FILE: &str = "oncelink.toml";

/// The variable in which systemd names the sockets that it passes.
const SOCKET_NAMES: &str = "LISTEN_FDNAMES";

/// Variables that control the tests; they aren't settings.
const RESERVED: [&str; 3] = ["ONCELINK_TEST_", "ONCELINK_VECTORS", "ONCELINK_WRITE_VECTORS"];

impl Settings {
    /// Loads the settings of this process from `file` (or from `oncelink.toml` in the working directory, if
    /// it exists) and from the environment.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn of_process(file: Option<&Path>) -> Result<Settings, SettingsError> {
        Settings::of_process_with_table(file).map(|(settings, _)| settings)
    }

    /// The same, with the table of the values in force. Reads the file again at each call.
    ///
    /// # Errors
    /// See [`SettingsError`].
    #[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
    pub fn of_process_with_table(file: Option<&Path>) -> Result<(Settings, SettingsTable), SettingsError> {
        Settings::load_with_table(Settings::file_of_process(file), std::env::vars_os())
    }

    /// Returns the file that [`Settings::of_process`] reads: the named one, or the default one if it exists.
    pub fn file_of_process(file: Option<&Path>) -> Option<&Path> {
        let default = Path::new(DEFAULT_FILE);
        file.or_else(|| default.exists().then_some(default))
    }

    /// Loads the settings from `file`, if any, and the given environment.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Settings, SettingsError> {
        Settings::load_with_table(file, environment).map(|(settings, _)| settings)
    }

    /// The same, with the table of the values in force.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn load_with_table(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Settings, SettingsTable), SettingsError> {
        let mut draft = Draft {
            keys: KnownKeys::read(),
            values: Table::new(),
            file: None,
            variables: Vec::new(),
            derived: Vec::new(),
            socket_names: Vec::new(),
        };
        if let Some(path) = file {
            draft.read_file(path)?;
        }
        draft.overlay(environment)?;
        draft.derive();
        let table = draft.table();
        Ok((draft.finish()?, table))
    }
}

/// Values that will become [`Settings`], with their origins.
struct Draft {
    keys: KnownKeys,
    values: Table,
    /// The file, if one was read.
    file: Option<PathBuf>,
    /// Full names of the keys that the environment set.
    variables: Vec<String>,
    /// Full names of the keys that follow from others.
    derived: Vec<String>,
    socket_names: Vec<String>,
}

impl Draft {
    fn read_file(&mut self, path: &Path) -> Result<(), SettingsError> {
        let text = fs::read_to_string(path)
            .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
        self.values = toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let last_line = before.rsplit('\n').next().unwrap_or_default();
            SettingsError::Syntax {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                column: last_line.chars().count() + 1,
                problem: error.message().to_owned(),
            }
        })?;
        self.file = Some(path.to_owned());
        self.refuse_unknown()
    }

    fn refuse_unknown(&self) -> Result<(), SettingsError> {
        for (name, value) in &self.values {
            if self.keys.is_section(name) {
                let Value::Table(section) = value else {
                    let problem = format!("it is a section, not {}", kind_of(value));
                    let remedy = format!("write a line `[{name}]` and put its keys below it");
                    return Err(self.wrong(name, problem, remedy));
                };
                for key in section.keys() {
                    if self.keys.find(Some(name), key).is_none() {
                        return Err(self.unknown(Some(name), key));
                    }
                }
            } else if self.keys.find(None, name).is_none() {
                return Err(self.unknown(None, name));
            }
        }
        Ok(())
    }

    fn unknown(&self, section: Option<&str>, key: &str) -> SettingsError {
        let full_name = section.map_or_else(|| key.to_owned(), |section| format!("{section}.{key}"));
        let place = section.map_or_else(|| "at the top".to_owned(), |section| format!("in `[{section}]`"));
        let near =
            self.keys.nearest(key, |known| (known.section.as_deref() == section).then(|| known.name.clone()));
        let meant = near.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
        let remedy = format!(
            "{meant}remove it or correct its name; the keys {place} are {}",
            self.keys.names_in(section)
        );
        self.wrong(&full_name, "there is no such setting".to_owned(), remedy)
    }

    fn overlay(
        &mut self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(), SettingsError> {
        for (name, text) in environment {
            if name == SOCKET_NAMES {
                self.socket_names = text.to_string_lossy().split(':').map(str::to_owned).collect();
            }
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            if RESERVED.iter().any(|reserved| name.starts_with(reserved)) {
                continue;
            }
            let key = self.keys.all().find(|key| key.variable() == name).cloned();
            if key.is_none() && is_foreign(name, &text.to_string_lossy()) {
                continue;
            }
            let key = key.ok_or_else(|| self.no_such_variable(name))?;
            let value = text.to_str().map_or(Err("it is not UTF-8".to_owned()), |text| read(key.kind, text));
            let value = value.map_err(|problem| SettingsError::Key {
                key: key.full_name(),
                origin: SettingOrigin::Variable(name.to_owned()),
                problem,
                remedy: format!("write it as in `{}`", key.example),
            })?;
            self.variables.push(key.full_name());
            self.set(&key, value);
        }
        Ok(())
    }

    fn no_such_variable(&self, name: &str) -> SettingsError {
        let key = name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
        let section = key.split("__").next().filter(|section| self.keys.is_section(section));
        let known: Vec<String> = self
            .keys
            .all()
            .filter(|key| section.is_none() || key.section.as_deref() == section)
            .map(KnownKey::variable)
            .collect();
        let near = self.keys.nearest(name, |known| Some(known.variable()));
        let meant = near.map(|name| format!("did you mean {name}? ")).unwrap_or_default();
        SettingsError::Variable {
            name: name.to_owned(),
            remedy: format!("{meant}unset it or correct its name; settings are {}", known.join(", ")),
        }
    }

    fn set(&mut self, key: &KnownKey, value: Value) {
        let table = match &key.section {
            None => &mut self.values,
            Some(section) => {
                let entry = self.values.entry(section.clone()).or_insert_with(|| Table::new().into());
                // `refuse_unknown` has checked that a section is a table.
                let Value::Table(table) = entry else { return };
                table
            }
        };
        table.insert(key.name.clone(), value);
    }

    fn text(&self, section: &str, name: &str) -> Option<String> {
        Some(self.values.get(section)?.get(name)?.as_str()?.to_owned())
    }

    /// Sets defaults that depend on other keys: an address follows its listener.
    fn derive(&mut self) {
        for section in ["web", "download"] {
            let written = self.values.get(section).and_then(|section| section.get("listen")).cloned();
            let Some(Ok(listen)) = written.map(Value::try_into::<Listen>) else { continue };
            // A socket doesn't say at which address people reach it: then there is no default.
            self.set_default(section, "public_url", listen.tcp().next().map(at_port).unwrap_or_default());
        }
        if let Some(public_url) = self.text("web", "public_url") {
            self.set_default("download", "keys", format!("{public_url}{JWKS_PATH}"));
            self.set_default("download", "receipts", format!("{public_url}{RECEIPTS_PATH}"));
            // Strangers reach it, so nobody gets an account without being invited, unless the operator says so.
            if Url::parse(&public_url).is_ok_and(|url| !is_loopback(&url)) {
                self.set_default("web", "signup", "invite".to_owned());
            }
        }
    }

    fn set_default(&mut self, section: &str, name: &str, value: String) {
        let is_set = self.values.get(section).is_some_and(|section| section.get(name).is_some());
        if let Some(key) = self.keys.find(Some(section), name).filter(|_| !is_set).cloned() {
            self.derived.push(key.full_name());
            self.set(&key, Value::String(value));
        }
    }

    fn finish(self) -> Result<Settings, SettingsError> {
        let values = Value::Table(self.values.clone());
        let mut settings: Settings = serde_path_to_error::deserialize(values).map_err(|error| {
            let path = error.path().to_string();
            let known = self.known(&path);
            let remedy = known.map_or_else(
                || "`oncelink.example.toml` shows how it is written".to_owned(),
                |key| format!("write it as in `{}`", key.example),
            );
            self.wrong(&path, error.inner().message().trim_end().to_owned(), remedy)
        })?;
        settings.socket_names.clone_from(&self.socket_names);
        validate::check(&settings).map_err(|fault| self.wrong(&fault.key, fault.problem, fault.remedy))?;
        self.anchor(&mut settings);
        Ok(settings)
    }

    /// Returns the value of a key, if it is set or follows from others.
    fn value_of(&self, key: &KnownKey) -> Option<&Value> {
        match &key.section {
            None => self.values.get(&key.name),
            Some(section) => self.values.get(section)?.as_table()?.get(&key.name),
        }
    }

    /// Returns the values in force, as they are written.
    fn table(&self) -> SettingsTable {
        let line = |key: &KnownKey| {
            let value = self.value_of(key).unwrap_or(&key.default);
            SettingLine::new(key.full_name(), value, self.origin(&key.full_name()))
        };
        let mut lines: Vec<SettingLine> = self.keys.all().map(line).collect();
        lines.sort_by(|one, other| one.key.cmp(&other.key));
        SettingsTable(lines)
    }

    /// Resolves relative paths in the file relative to the file's folder.
    fn anchor(&self, settings: &mut Settings) {
        let Some(folder) = self.file.as_deref().and_then(Path::parent) else { return };
        if self.is_from_file("data_dir") {
            settings.data_dir = folder.join(&settings.data_dir);
        }
        if self.is_from_file("download.keys") && !is_address(&settings.download.keys) {
            settings.download.keys = folder.join(&settings.download.keys).to_string_lossy().into_owned();
        }
        if self.is_from_file("token.shared_secret") {
            settings
                .token
                .shared_secrets
                .iter_mut()
                .for_each(|secret| secret.file = folder.join(&secret.file));
        }
        for (key, path) in [
            ("download.node_key", &mut settings.download.node_key),
            ("mail.credentials", &mut settings.mail.credentials),
            ("mail.certificates", &mut settings.mail.certificates),
            ("brand.logo", &mut settings.brand.logo),
        ] {
            if self.is_from_file(key) && !path.as_os_str().is_empty() {
                *path = folder.join(&path);
            }
        }
        if self.is_from_file("share") {
            settings.shares.iter_mut().for_each(|share| share.path = folder.join(&share.path));
        }
    }

    fn is_from_file(&self, full_name: &str) -> bool {
        matches!(self.origin(full_name), SettingOrigin::File(_))
    }

    /// Returns the known key that `path` names or belongs to: `share` for `share[0].path`.
    fn known(&self, path: &str) -> Option<&KnownKey> {
        let path = path.split('[').next().unwrap_or(path);
        let (section, name) = match path.split_once('.') {
            Some((section, name)) => (Some(section), name),
            None => (None, path),
        };
        self.keys.find(section, name)
    }

    fn origin(&self, path: &str) -> SettingOrigin {
        if let Some(key) = self.known(path) {
            if self.variables.contains(&key.full_name()) {
                return SettingOrigin::Variable(key.variable());
            }
            if self.derived.contains(&key.full_name()) || self.value_of(key).is_none() {
                return SettingOrigin::Default;
            }
        }
        self.of_file()
    }

    fn of_file(&self) -> SettingOrigin {
        self.file.clone().map_or(SettingOrigin::Default, SettingOrigin::File)
    }

    fn wrong(&self, path: &str, problem: String, remedy: String) -> SettingsError {
        // What follows from the file is mended there.
        let origin =
            if self.derived.iter().any(|key| key == path) { self.of_file() } else { self.origin(path) };
        SettingsError::Key { key: path.to_owned(), origin, problem, remedy }
    }
}

/// Parses the text of a variable as the kind of value that its key needs.
fn read(kind: ValueKind, text: &str) -> Result<Value, String> {
    match kind {
        ValueKind::Text => Ok(Value::String(text.to_owned())),
        ValueKind::TextOrList => {
            let list = Value::from_str(text).ok().filter(Value::is_array);
            Ok(list.unwrap_or_else(|| Value::String(text.to_owned())))
        }
        ValueKind::Number => {
            text.parse().map(Value::Integer).map_err(|_| format!("`{text}` is not a whole number"))
        }
        ValueKind::Flag => {
            text.parse().map(Value::Boolean).map_err(|_| format!("`{text}` is neither `true` nor `false`"))
        }
        ValueKind::List => Value::from_str(text)
            .ok()
            .or_else(|| serde_json::from_str(text).ok())
            .filter(Value::is_array)
            .ok_or_else(|| format!("`{text}` is not a list; lists are written in TOML or JSON")),
    }
}

/// Returns whether only this machine can reach the address.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
        _ => "a value",
    }
}
