//! Converts the values of `datetime-local` form fields, which have a date and a time but no zone. The zone is
//! given separately, in minutes ahead of UTC; if it is missing, the time is in UTC.

use std::time::Duration;

use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

use crate::clock::Timestamp;

/// Parses a field's value; `None` if it is not valid.
pub fn parse(text: &str, minutes_ahead: &str) -> Option<Timestamp> {
    let minutes: i32 = match minutes_ahead.trim() {
        "" => 0,
        minutes => minutes.parse().ok()?,
    };
    let zone = UtcOffset::from_whole_seconds(minutes.checked_mul(60)?).ok()?;
    let text = text.trim();
    // Browsers leave out the seconds if they are zero.
    let with_seconds = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let without = format_description!("[year]-[month]-[day]T[hour]:[minute]");
    let moment =
        PrimitiveDateTime::parse(text, without).or_else(|_| PrimitiveDateTime::parse(text, with_seconds));
    let seconds = moment.ok()?.assume_offset(zone).unix_timestamp();
    u64::try_from(seconds).ok().map(Timestamp::from_secs)
}

/// Formats a time for a field, in UTC and without seconds.
pub fn field(moment: Timestamp) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]");
    let moment =
        i64::try_from(moment.secs()).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    moment.and_then(|moment| moment.format(format).ok()).unwrap_or_default()
}

/// Formats a time so that [`parse`] reads it back exactly.
pub fn exact(moment: Timestamp) -> String {
    format!("{}:{:02}", field(moment), moment.secs() % 60)
}

/// Returns the expiry that forms suggest: in a week, rounded down to a full hour.
pub fn in_a_week(now: Timestamp) -> Timestamp {
    let week = now.plus(Duration::from_secs(7 * 24 * 60 * 60)).secs();
    Timestamp::from_secs(week - week % 3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_and_its_zone_are_converted_to_a_time() {
        let at = |text, minutes| parse(text, minutes).map(Timestamp::secs);
        assert_eq!(at("2027-01-15T08:00", ""), Some(1_800_000_000));
        assert_eq!(at(" 2027-01-15T09:30:00 ", "90"), Some(1_800_000_000));
        assert_eq!(at("2027-01-15T03:00", "-300"), Some(1_800_000_000));
        assert_eq!(field(Timestamp::from_secs(1_800_000_000)), "2027-01-15T08:00");
        let second = Timestamp::from_secs(1_800_000_007);
        assert_eq!(parse(&exact(second), ""), Some(second));
        for (text, minutes) in [
            ("", ""),
            ("2027-01-15", ""),
            ("15.01.2027 08:00", ""),
            ("2027-02-30T08:00", ""),
            ("2027-01-15T25:00", ""),
            ("2027-01-15T08:00", "x"),
            ("2027-01-15T08:00", "99999999999"),
            ("2027-01-15T08:00", "5000"),
            ("1969-12-31T23:59", ""),
            ("99999-01-15T08:00", ""),
        ] {
            assert_eq!(at(text, minutes), None, "{text:?} {minutes:?}");
        }
    }
}
