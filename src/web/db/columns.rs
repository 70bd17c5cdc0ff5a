//! How values are stored in columns of the database.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::secret::Digest;

/// Converts a time for a BIGINT column.
pub(crate) fn to_column(moment: Timestamp) -> i64 {
    i64::try_from(moment.secs()).unwrap_or(i64::MAX)
}

/// Converts a time from a BIGINT column.
pub(crate) fn from_column(seconds: i64) -> Timestamp {
    Timestamp::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// Converts a number of bytes for a BIGINT column.
pub(crate) fn bytes_to_column(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Converts a number of bytes from a BIGINT column.
pub(crate) fn bytes_from_column(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or(0)
}

/// Converts a digest, which is stored in place of a secret, for a text column.
pub(crate) fn digest_to_column(digest: &Digest) -> String {
    URL_SAFE_NO_PAD.encode(digest.as_bytes())
}

/// Returns `count` placeholders for a list, beginning with `$first`.
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

/// Returns the `LIKE … ESCAPE '!'` pattern for text that contains `words`. Some databases apply `LOWER` only
/// to ASCII letters, so compare both lower case with lower case and the stored text with the text as typed.
pub(crate) fn pattern(words: &str) -> String {
    let mut pattern = String::from("%");
    // PostgreSQL returns an error for a NUL, and no stored text contains one.
    for letter in words.chars().filter(|letter| *letter != '\0') {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

/// Returns the `LIKE … ESCAPE '!'` pattern for everything below `path`.
pub(crate) fn below(path: &str) -> String {
    let words = pattern(path);
    let words = words.strip_prefix('%').unwrap_or(&words);
    format!("{}/%", words.strip_suffix('%').unwrap_or(words))
}
