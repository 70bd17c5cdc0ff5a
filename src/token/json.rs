//! Parses JSON more strictly than serde_json: no duplicate members at any level, and limited nesting.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Why a JSON text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonFault {
    /// It isn't JSON.
    #[error("not JSON")]
    Syntax,
    /// An object has a duplicate member.
    #[error("a member occurs twice")]
    Duplicate,
    /// Objects or arrays are nested too deeply.
    #[error("nested too deeply")]
    Depth,
}

/// Checks all of `text` without keeping anything. The outermost object or array is the first of at most
/// `depth` levels.
pub(crate) fn check(text: &str, depth: u8) -> Result<(), JsonFault> {
    let fault = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_str(text);
    StrictJson { depth, fault: &fault }
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .map_err(|_| fault.get().unwrap_or(JsonFault::Syntax))
}

/// Checks any value without keeping it. Stores the reason in `fault` if it stops, unless the syntax is wrong.
pub(super) struct StrictJson<'f> {
    /// How many more levels are allowed.
    pub(super) depth: u8,
    /// Where to store the reason.
    pub(super) fault: &'f Cell<Option<JsonFault>>,
}

impl StrictJson<'_> {
    fn fail<E: Error>(&self, fault: JsonFault) -> E {
        self.fault.set(Some(fault));
        E::custom(fault)
    }

    fn open_level<E: Error>(&self) -> Result<u8, E> {
        self.depth.checked_sub(1).ok_or_else(|| self.fail(JsonFault::Depth))
    }
}

impl<'de> DeserializeSeed<'de> for StrictJson<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictJson<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let depth = self.open_level()?;
        while seq.next_element_seed(StrictJson { depth, fault: self.fault })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let depth = self.open_level()?;
        let mut names = HashSet::new();
        while let Some(JsonString(name)) = map.next_key()? {
            if !names.insert(name) {
                return Err(self.fail(JsonFault::Duplicate));
            }
            map.next_value_seed(StrictJson { depth, fault: self.fault })?;
        }
        Ok(())
    }
}

/// A JSON string, borrowed if it has no escapes.
pub(super) struct JsonString<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for JsonString<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = JsonString<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<JsonString<'de>, E> {
                Ok(JsonString(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<JsonString<'de>, E> {
                Ok(JsonString(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// A whole number from 0 to 2⁵³ - 1, which all JSON parsers read alike (RFC 8259 section 6).
pub(super) struct JsonInteger(pub(super) u64);

impl<'de> Deserialize<'de> for JsonInteger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor;
        impl Visitor<'_> for WholeVisitor {
            type Value = JsonInteger;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number below 2^53")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<JsonInteger, E> {
                if number < 1 << 53 { Ok(JsonInteger(number)) } else { Err(E::custom("too large")) }
            }
        }
        deserializer.deserialize_u64(WholeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_twice_is_found_at_every_level() {
        assert_eq!(check(r#"{"a":1,"b":[{"a":1},{"a":2}]}"#, 4), Ok(()));
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":[{"b":1,"\u0062":2}]}"#, r#"[{"x":{"":0,"":0}}]"#] {
            assert_eq!(check(text, 4), Err(JsonFault::Duplicate), "{text}");
        }
    }

    #[test]
    fn levels_are_counted_from_the_outermost() {
        assert_eq!(check("[[[[1]]]]", 4), Ok(()));
        assert_eq!(check("[[[[]]]]", 4), Ok(()));
        for text in ["[[[[[]]]]]", "[[[[{}]]]]", r#"{"a":{"a":{"a":{"a":{}}}}}"#] {
            assert_eq!(check(text, 4), Err(JsonFault::Depth), "{text}");
        }
        assert_eq!(check(&"[".repeat(100_000), 4), Err(JsonFault::Depth));
        assert_eq!(check("{} {}", 4), Err(JsonFault::Syntax));
    }
}
