//! Which uses of a link a visitor may still take files from: the newest that were not released. The press and
//! the page look at the same ones.

use std::time::Duration;

/// After this time, a redemption has almost certainly been reported: reports are sent every second or two.
pub(super) const NEWS: Duration = Duration::from_secs(5);

/// How many uses are looked at if the link has no limit: another use costs nothing there.
const UNLIMITED: i64 = 100;

/// Maximum number of uses that are looked at.
const MAX: i64 = 1_000;

/// Returns how many of a visitor's uses are looked at, for a link with this limit: all that it allows, up to a
/// bound, so that no link is slow because it is used often.
pub(super) fn looked_at(uses_per_recipient: Option<u32>) -> i64 {
    uses_per_recipient.map_or(UNLIMITED, |uses| i64::from(uses).min(MAX))
}

/// Returns the query for the newest uses of recipient `$1`, at most `$3`. If the recipient is named, all uses
/// are theirs; otherwise only those of the browser with the mark `$2`.
pub(super) const fn newest(named: bool) -> &'static str {
    if named {
        // Both engines require that `$2` occurs, and PostgreSQL must know its type.
        "SELECT id, made_at FROM link_uses WHERE recipient = $1 AND CAST($2 AS TEXT) IS NOT NULL \
         AND state <> 'released' ORDER BY made_at DESC, id LIMIT $3"
    } else {
        "SELECT id, made_at FROM link_uses WHERE recipient = $1 AND visitor = $2 \
         AND state <> 'released' ORDER BY made_at DESC, id LIMIT $3"
    }
}

/// Returns the condition that a row of `link_tokens` was not redeemed, as far as is known, and still can be:
/// then the file is not begun. `now` and `before` are the placeholders of the present moment and of [`NEWS`]
/// before it.
pub(super) fn unbegun(now: &str, before: &str) -> String {
    format!(
        "link_tokens.state = 'reserved' AND link_tokens.expires_at > {now} AND link_tokens.issued_at <= {before} \
         AND link_tokens.handed_at <= {before} \
         AND NOT EXISTS (SELECT 1 FROM receipts WHERE receipts.jti = link_tokens.jti) \
         AND EXISTS (SELECT 1 FROM issued_tokens WHERE issued_tokens.jti = link_tokens.jti \
         AND issued_tokens.revoke = 0)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_uses_of_a_limited_link_are_looked_at_up_to_a_bound() {
        assert_eq!([Some(1), Some(1_000), Some(1_000_000), None].map(looked_at), [1, 1_000, 1_000, 100]);
    }
}
