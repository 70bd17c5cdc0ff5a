//! How values stand in columns of the database.

use crate::clock::Timestamp;

/// A moment as a BIGINT column holds it.
pub(crate) fn to_column(moment: Timestamp) -> i64 {
    i64::try_from(moment.secs()).unwrap_or(i64::MAX)
}

/// A moment from a BIGINT column.
pub(crate) fn from_column(seconds: i64) -> Timestamp {
    Timestamp::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// A number of bytes for a BIGINT column.
pub(crate) fn bytes_to_column(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A number of bytes from a BIGINT column.
pub(crate) fn bytes_from_column(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or(0)
}

/// What `LIKE … ESCAPE '!'` finds `words` with, wherever they stand. `LOWER` knows the letters of
/// ASCII alone on some databases, so compare lower case with lower case, and what is there with what
/// was typed.
pub(crate) fn pattern(words: &str) -> String {
    let mut pattern = String::from("%");
    // PostgreSQL fails at a NUL, and nothing that is stored has one.
    for letter in words.chars().filter(|letter| *letter != '\0') {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}
