//! The known keys. The embedded `oncelink.example.toml` has their names, the kinds of their values and
//! an example of each.

use toml::{Table, Value};

const EXAMPLE: &str = include_str!("../../oncelink.example.toml");

/// The prefix of our environment variables.
pub(super) const PREFIX: &str = "ONCELINK_";

/// How the text of an environment variable is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    Text,
    /// One text, or a list of them.
    TextOrList,
    Number,
    Flag,
    List,
}

/// One key.
#[derive(Clone, Debug)]
pub(super) struct KnownKey {
    /// The section, `None` for keys at the top.
    pub(super) section: Option<String>,
    pub(super) name: String,
    pub(super) kind: ValueKind,
    /// A line that sets it to its default.
    pub(super) example: String,
    /// The default.
    pub(super) default: Value,
}

impl KnownKey {
    fn new(section: Option<&str>, name: &str, value: &Value) -> KnownKey {
        let kind = match value {
            Value::Array(_) => ValueKind::List,
            Value::Integer(_) => ValueKind::Number,
            Value::Boolean(_) => ValueKind::Flag,
            _ if name == "listen" => ValueKind::TextOrList,
            _ => ValueKind::Text,
        };
        let example = format!("{name} = {value}");
        KnownKey {
            section: section.map(str::to_owned),
            name: name.to_owned(),
            kind,
            example,
            default: value.clone(),
        }
    }

    /// Returns the full name, such as `web.listen`.
    pub(super) fn full_name(&self) -> String {
        match &self.section {
            Some(section) => format!("{section}.{}", self.name),
            None => self.name.clone(),
        }
    }

    /// Returns the environment variable, such as `ONCELINK_WEB__LISTEN`.
    pub(super) fn variable(&self) -> String {
        format!("{}{}", PREFIX, self.full_name().replace('.', "__").to_ascii_uppercase())
    }
}

/// All keys, sorted by name.
pub(super) struct KnownKeys(Vec<KnownKey>);

impl KnownKeys {
    pub(super) fn read() -> KnownKeys {
        // A unit test parses the example, so this never falls back to an empty table.
        let example: Table = toml::from_str(EXAMPLE).unwrap_or_default();
        let mut keys = Vec::new();
        for (name, value) in &example {
            match value {
                Value::Table(section) => {
                    keys.extend(section.iter().map(|(key, value)| KnownKey::new(Some(name), key, value)));
                }
                value => keys.push(KnownKey::new(None, name, value)),
            }
        }
        KnownKeys(keys)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &KnownKey> {
        self.0.iter()
    }

    pub(super) fn find(&self, section: Option<&str>, name: &str) -> Option<&KnownKey> {
        self.0.iter().find(|key| key.section.as_deref() == section && key.name == name)
    }

    /// Returns the name that is most similar to a misspelled one, among the names that `name_of` returns for
    /// the keys; `None` if none is similar.
    pub(super) fn nearest(
        &self,
        misspelt: &str,
        name_of: impl Fn(&KnownKey) -> Option<String>,
    ) -> Option<String> {
        let likeness = |name: &String| strsim::jaro_winkler(misspelt, name);
        let names = self.0.iter().filter_map(name_of).filter(|name| likeness(name) > 0.9);
        names.max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
    }

    pub(super) fn is_section(&self, name: &str) -> bool {
        self.0.iter().any(|key| key.section.as_deref() == Some(name))
    }

    /// Returns the names in a section, or the keys at the top and the sections, for an error message.
    pub(super) fn names_in(&self, section: Option<&str>) -> String {
        let mut names: Vec<String> = self
            .0
            .iter()
            .filter(|key| key.section.as_deref() == section)
            .map(|key| format!("`{}`", key.name))
            .collect();
        if section.is_none() {
            let mut sections: Vec<&str> = self.0.iter().filter_map(|key| key.section.as_deref()).collect();
            sections.dedup();
            names.extend(sections.iter().map(|section| format!("`[{section}]`")));
        }
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_example_is_read() {
        let keys = KnownKeys::read();
        let listen = keys.find(Some("web"), "listen").unwrap();
        assert_eq!(listen.variable(), "ONCELINK_WEB__LISTEN");
        assert_eq!(listen.kind, ValueKind::TextOrList);
        assert_eq!(keys.find(Some("web"), "max_connections").unwrap().kind, ValueKind::Number);
        assert_eq!(keys.find(None, "share").unwrap().kind, ValueKind::List);
        assert_eq!(keys.find(Some("download"), "batch_verification").unwrap().kind, ValueKind::Flag);
    }
}
