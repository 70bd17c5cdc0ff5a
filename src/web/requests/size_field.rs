//! Sizes as people type them: `500 MB`, `2 GiB`, `1.5 GB`.

/// The units, and how many bytes each has.
const UNITS: [(&str, u64); 11] = [
    ("tib", 1 << 40),
    ("gib", 1 << 30),
    ("mib", 1 << 20),
    ("kib", 1 << 10),
    ("tb", 1_000_000_000_000),
    ("gb", 1_000_000_000),
    ("mb", 1_000_000),
    ("kb", 1_000),
    ("bytes", 1),
    ("byte", 1),
    ("b", 1),
];

/// Units in which a size is shown in a field, if it is a whole number of them.
const SHOWN: [(&str, u64); 6] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
];

/// Parses a size with a unit; `None` if it is not valid. A decimal point or comma is allowed.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let (unit, bytes) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    let number = text.strip_suffix(unit)?.trim().replace(',', ".");
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, "0"));
    let is_digits = |text: &str| (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction = fraction.parse::<u64>().ok()?;
    let part = u64::try_from(u128::from(fraction) * u128::from(*bytes) / u128::from(scale)).ok()?;
    whole.parse::<u64>().ok()?.checked_mul(*bytes)?.checked_add(part)
}

/// Returns the text of a field with this size.
pub fn field(bytes: u64) -> String {
    let unit = SHOWN.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    match unit {
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_as_people_write_it() {
        for (text, bytes) in [
            ("2 GiB", 2 << 30),
            ("2gib", 2 << 30),
            (" 1,5 GB ", 1_500_000_000),
            ("1.25 MiB", 1_310_720),
            ("500 MB", 500_000_000),
            ("12 bytes", 12),
            ("1 B", 1),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for wrong in ["", "2", "GiB", "-1 GB", "1.2.3 GB", "1. GB", "٣ GB", "1e9 kB", "9999999999 TB", "2 PB"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        for bytes in [1, 999, 1_000, 1 << 20, 2 << 30, 1_500_000_000, 123_456_789, 1_234_567_890_123, 1 << 50]
        {
            assert_eq!(parse(&field(bytes)), Some(bytes), "{}", field(bytes));
        }
        assert_eq!(field(2 << 30), "2 GiB");
    }
}
