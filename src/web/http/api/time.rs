//! Times in the API: RFC 3339, such as `2026-11-22T09:30:00Z`.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use crate::clock::Timestamp;

/// A time. It is written in UTC and in whole seconds; when it is read, it may have any offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-12-24T18:00:00Z")]
pub(crate) struct Time(pub(crate) Timestamp);

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Time {
        Time(at)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| D::Error::custom("not RFC 3339"))?;
        let seconds = u64::try_from(moment.unix_timestamp()).map_err(|_| D::Error::custom("before 1970"))?;
        Ok(Time(Timestamp::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_with_any_offset_and_written_in_utc() {
        let read = |text: &str| serde_json::from_value::<Time>(text.into()).map(|time| time.0.secs()).ok();
        assert_eq!(read("2027-01-15T08:00:00Z"), Some(1_800_000_000));
        assert_eq!(read("2027-01-15T09:30:00.999+01:30"), Some(1_800_000_000));
        for text in
            ["", "2027-01-15", "2027-01-15T08:00", "1960-01-01T00:00:00Z", "2027-02-30T08:00:00Z", "1e9"]
        {
            assert_eq!(read(text), None, "{text}");
        }
        let written = serde_json::to_value(Time(Timestamp::from_secs(1_800_000_000))).unwrap();
        assert_eq!(written, "2027-01-15T08:00:00Z");
    }
}
