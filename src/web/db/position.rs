//! A place in a list that is read newest first, a page at a time: the time and id of the last entry that was read.
//! Finding it again costs the same however far down it is, and entries that are added meanwhile move nothing.

use std::fmt;
use std::str::FromStr;

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::clock::Timestamp;
use crate::web::db::columns::{from_column, to_column};

/// The longest id of an entry.
const ID_MAX: usize = 64;

/// The text is not a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position in a list")]
pub struct InvalidPosition;

/// The last entry of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    at: Timestamp,
    id: String,
}

impl Position {
    /// Before all entries.
    pub fn start() -> Position {
        Position { at: Timestamp::from_secs(u64::MAX), id: String::new() }
    }

    /// The time, for the condition `time <= $1 AND (time < $1 OR id > $2)`.
    pub(crate) fn time(&self) -> i64 {
        to_column(self.at)
    }

    /// The id, for the same condition.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the position of the last of `most` rows if there are more, from the columns `time` and `id`.
    pub(crate) fn after(
        rows: &[AnyRow],
        most: u32,
        time: &str,
        id: &str,
    ) -> Result<Option<Position>, sqlx::Error> {
        let most = most as usize;
        let last = rows.get(most.saturating_sub(1)).filter(|_| rows.len() > most);
        let position =
            |row: &AnyRow| Ok(Position { at: from_column(row.try_get(time)?), id: row.try_get(id)? });
        last.map(position).transpose()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at.secs(), self.id)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Position, InvalidPosition> {
        let (at, id) = text.split_once('.').ok_or(InvalidPosition)?;
        let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        let at = at.parse().map_err(|_| InvalidPosition)?;
        let position = Position { at: Timestamp::from_secs(at), id: id.to_owned() };
        (is_plain && id.len() <= ID_MAX).then_some(position).ok_or(InvalidPosition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_an_address_and_nothing_else_is_one() {
        let position = Position { at: Timestamp::from_secs(1_800_000_000), id: "-AZ_09az".to_owned() };
        assert_eq!(position.to_string().parse(), Ok(position));
        let long = format!("1.{}", "a".repeat(65));
        for text in ["", ".", "1", "x.a", "-1.a", "1.a b", "1.a\0", "1.é", long.as_str()] {
            assert_eq!(text.parse::<Position>(), Err(InvalidPosition), "{text}");
        }
    }
}
