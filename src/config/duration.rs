//! Durations as an operator writes them: `30s`, `2m`, `1h`, `7d`.

use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// The text is not a valid duration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a valid duration; write a whole number and a unit: `30s`, `2m`, `1h` or `7d`")]
pub struct InvalidDuration(String);

/// Reads a whole number followed by `s`, `m`, `h` or `d`.
///
/// # Errors
/// If the text has another format, or the number is too large.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    read(text).ok_or_else(|| InvalidDuration(text.to_owned()))
}

fn read(text: &str) -> Option<Duration> {
    const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    let (number, unit) =
        UNITS.iter().find_map(|(letter, seconds)| Some((text.strip_suffix(*letter)?, *seconds)))?;
    // `u64::from_str` would accept a sign.
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // No setting needs more than a century, and this limit keeps every sum of times exact.
    const CENTURY: u64 = 100 * 366 * 86_400;
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(unit)
        .filter(|seconds| *seconds <= CENTURY)
        .map(Duration::from_secs)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, seconds) in
            [("30s", 30), ("2m", 120), ("1h", 3600), ("7d", 604_800), ("0s", 0), ("007s", 7)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "s",
            "30",
            "-1s",
            "+1s",
            "1.5h",
            "1 h",
            " 1h",
            "1h ",
            "1h30m",
            "1w",
            "1ms",
            "1S",
            "٣s",
            "99999999999999999999s",
            "999999999999d",
            "200000d",
        ] {
            assert_eq!(parse(text), Err(InvalidDuration(text.to_owned())));
        }
    }
}
