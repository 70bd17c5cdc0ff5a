//! When a failed message is tried again, and when its webhook is given up.

use std::time::Duration;

use crate::secret::{RandomError, random_bytes};

/// How long to wait after each failure in a row, in seconds; the last value repeats.
const WAITS: [u64; 8] = [5, 30, 2 * 60, 10 * 60, 30 * 60, 60 * 60, 3 * 3_600, 6 * 3_600];

/// After so many failures in a row, nothing but probes is sent.
pub(super) const OPENS_AFTER: i64 = 5;

/// How long a message, or a webhook that always fails, is tried.
pub(super) const GIVE_UP: Duration = Duration::from_secs(3 * 24 * 3_600);

/// The longest wait that a receiver can ask for.
const ASKED_MAX: u64 = 6 * 3_600;

/// Returns how long to wait after this many failures in a row, of which there is at least one. Up to a fifth is
/// added by chance, so that what failed together isn't tried together.
///
/// # Errors
/// If the operating system provides no random bytes.
pub(super) fn wait(failures: i64, asked: Option<u64>) -> Result<Duration, RandomError> {
    let before = usize::try_from(failures.saturating_sub(1)).unwrap_or(0);
    let seconds = WAITS.get(before).or(WAITS.last()).copied().unwrap_or(60);
    let seconds = seconds.max(asked.unwrap_or(0).min(ASKED_MAX));
    let dice = u64::from(u16::from_be_bytes(random_bytes()?));
    Ok(Duration::from_secs(seconds + seconds * dice / (5 * 0x1_0000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_six_hours_and_vary_by_a_fifth() {
        for (failures, from, to) in
            [(0, 5, 6), (1, 5, 6), (2, 30, 36), (4, 600, 720), (8, 21_600, 25_920), (99, 21_600, 25_920)]
        {
            for _ in 0..50 {
                let seconds = wait(failures, None).unwrap().as_secs();
                assert!((from..to + 1).contains(&seconds), "{failures}: {seconds}");
            }
        }
        assert!((100..=120).contains(&wait(1, Some(100)).unwrap().as_secs()));
        assert!(wait(1, Some(u64::MAX)).unwrap().as_secs() <= 25_920, "at most as long as ours");
    }

    #[test]
    fn three_days_have_room_for_many_attempts() {
        let until_longest: u64 = WAITS.iter().sum();
        assert!(until_longest < 12 * 3_600 && GIVE_UP.as_secs() / 21_600 >= 12);
    }
}
