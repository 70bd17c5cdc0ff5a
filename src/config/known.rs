//! The known keys: `oncelink.example.toml`, built in, says how each is named, which kind of value
//! it takes and how one is written.

use toml::{Table, Value};

const EXAMPLE: &str = include_str!("../../oncelink.example.toml");

/// What an environment variable's text is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    List,
}

/// One key.
#[derive(Clone, Debug)]
pub(super) struct KnownKey {
    /// The section, `None` for keys at the top.
    pub(super) section: Option<String>,
    pub(super) name: String,
    pub(super) kind: Kind,
    /// A line that sets it to its default.
    pub(super) example: String,
}

impl KnownKey {
    fn new(section: Option<&str>, name: &str, value: &Value) -> KnownKey {
        let kind = match value {
            Value::Array(_) => Kind::List,
            Value::Integer(_) => Kind::Number,
            _ => Kind::Text,
        };
        let example = format!("{name} = {value}");
        KnownKey { section: section.map(str::to_owned), name: name.to_owned(), kind, example }
    }

    /// The full name, such as `web.listen`.
    pub(super) fn full_name(&self) -> String {
        match &self.section {
            Some(section) => format!("{section}.{}", self.name),
            None => self.name.clone(),
        }
    }

    /// The environment variable, such as `ONCELINK_WEB__LISTEN`.
    pub(super) fn variable(&self) -> String {
        format!("{}{}", super::load::PREFIX, self.full_name().replace('.', "__").to_ascii_uppercase())
    }
}

/// All keys in the order of their names.
pub(super) struct KnownKeys(Vec<KnownKey>);

impl KnownKeys {
    pub(super) fn read() -> KnownKeys {
        // A unit test parses the example, so that this never falls back to knowing nothing.
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

    /// The name most like a misspelt one, among those that `name_of` gives the keys; `None` where none is
    /// much like it.
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

    /// The names in a section, or at the top with the sections, for "known here are …".
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
        assert_eq!(listen.kind, Kind::Text);
        assert_eq!(keys.find(Some("web"), "max_connections").unwrap().kind, Kind::Number);
        assert_eq!(keys.find(None, "share").unwrap().kind, Kind::List);
    }
}
