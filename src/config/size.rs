//! Sizes as an operator writes them: `500MiB`, `10GiB`, or `0` for no limit.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// The text is not a valid size.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a valid size; write a whole number and a unit, as in `500MiB`, `10GiB` or `2TiB`, or `0`"
)]
pub struct InvalidSize(String);

/// Reads `0`, or a whole number followed by `KiB`, `MiB`, `GiB` or `TiB`.
///
/// # Errors
/// If the text has another format, or the size is larger than any disk.
pub fn parse(text: &str) -> Result<u64, InvalidSize> {
    read(text).ok_or_else(|| InvalidSize(text.to_owned()))
}

fn read(text: &str) -> Option<u64> {
    const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    if text == "0" {
        return Some(0);
    }
    let (number, power) = UNITS.iter().find_map(|(unit, power)| Some((text.strip_suffix(*unit)?, *power)))?;
    // `u64::from_str` would accept a sign.
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // The database stores signed sizes, and sums of them; 2^60 leaves room for both.
    number.parse::<u64>().ok()?.checked_mul(1 << power).filter(|bytes| *bytes <= 1 << 60)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_and_a_unit() {
        for (text, bytes) in [("0", 0), ("1KiB", 1024), ("500MiB", 500 << 20), ("10GiB", 10 << 30)] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "1", "GiB", "-1KiB", "+1KiB", "1.5GiB", "1 GiB", "1GB", "1gib", "9999999999TiB"] {
            assert_eq!(parse(text), Err(InvalidSize(text.to_owned())));
        }
    }
}
