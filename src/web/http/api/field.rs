//! A member of a body that may be missing, or `null`, which mean different things.

use serde::{Deserialize, Deserializer};

/// A member that may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Field<T> {
    /// It is missing: what it is about stays as it is, or gets its default.
    #[default]
    Absent,
    /// It is `null`: there is none.
    Null,
    /// It has this value.
    Value(T),
}

impl<T> Field<T> {
    /// Returns the value, or none, or `default` if the member is missing.
    pub(crate) fn or(self, default: Option<T>) -> Option<T> {
        match self {
            Field::Absent => default,
            Field::Null => None,
            Field::Value(value) => Some(value),
        }
    }

    /// Returns whether the member is missing.
    pub(crate) const fn is_absent(&self) -> bool {
        matches!(self, Field::Absent)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Field<T>, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Field::Null, Field::Value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        uses: Field<u32>,
    }

    #[test]
    fn missing_and_null_differ() {
        let uses = |text: &str| serde_json::from_str::<Body>(text).unwrap().uses;
        assert_eq!(uses("{}"), Field::Absent);
        assert_eq!(uses(r#"{"uses":null}"#), Field::Null);
        assert_eq!(uses(r#"{"uses":3}"#), Field::Value(3));
        assert_eq!((Field::Absent.or(Some(1)), Field::Null.or(Some(1))), (Some(1), None));
    }
}
