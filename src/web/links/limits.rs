//! What the operator allows links at most. The rules are here once: forms show them, the check of a form applies
//! them, and so does what extends a link.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::human;
use crate::web::links::lifetime::Lifetime;
use crate::web::links::moment;

/// Maximum number of uses that can be set; for more, leave it unlimited.
pub const MAX_USES: u32 = 1_000_000;

/// The operator's limits for links. They apply to links that are made or changed from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkLimits {
    /// How long a link may last, counted from when it is made or changed; `None` for no limit.
    pub longest: Option<Duration>,
    /// How many downloads each recipient may have; `None` for no limit.
    pub most_downloads: Option<u32>,
    /// Whether every link must expire.
    pub end_required: bool,
}

impl LinkLimits {
    /// Returns whether every link must expire. A longest lifetime implies that.
    pub fn needs_end(&self) -> bool {
        self.end_required || self.longest.is_some()
    }

    /// Returns whether a link may last that long.
    pub fn allows(&self, lifetime: Lifetime) -> bool {
        match lifetime.duration() {
            Some(lasts) => self.longest.is_none_or(|longest| lasts <= longest),
            None => !self.needs_end(),
        }
    }

    /// Checks when a link that is made or changed at `now` ends; `None` for never.
    ///
    /// # Errors
    /// The sentence beside the field.
    pub fn check_end(&self, ends_at: Option<Timestamp>, now: Timestamp) -> Result<(), String> {
        match (ends_at, self.longest) {
            (None, None) if self.end_required => Err("Links must expire here. Choose when.".to_owned()),
            (None, Some(longest)) => Err(too_long(longest)),
            (Some(end), Some(longest)) if end > now.plus(longest) => Err(too_long(longest)),
            _ => Ok(()),
        }
    }

    /// Checks the number of downloads of each recipient; `None` for no limit.
    ///
    /// # Errors
    /// The sentence beside the field.
    pub fn check_uses(&self, uses: Option<u32>) -> Result<(), String> {
        match (uses, self.most_downloads) {
            (None, Some(_)) => Err(self.uses_sentence()),
            (Some(uses), Some(most)) if uses > most => Err(self.uses_sentence()),
            _ => Ok(()),
        }
    }

    /// Returns what to enter as the number of downloads.
    pub fn uses_sentence(&self) -> String {
        let most = human::grouped(u64::from(self.most_uses()));
        match self.most_downloads {
            Some(_) => format!("Enter a whole number from 1 to {most}."),
            None => format!("Enter a whole number from 1 to {most}, or leave this empty for no limit."),
        }
    }

    /// Returns the highest number of downloads that can be set.
    pub fn most_uses(&self) -> u32 {
        self.most_downloads.unwrap_or(MAX_USES).min(MAX_USES)
    }

    /// Returns the nearest number of downloads that is allowed.
    pub fn clamp_uses(&self, uses: Option<u32>) -> Option<u32> {
        match self.most_downloads {
            Some(most) => Some(uses.unwrap_or(most).min(most)),
            None => uses,
        }
    }

    /// Returns the nearest end that is allowed for a link that is made or changed at `now`.
    pub fn clamp_end(&self, ends_at: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let ends_at = match ends_at {
            None if self.needs_end() => Some(moment::in_a_week(now)),
            ends_at => ends_at,
        };
        match self.longest {
            Some(longest) => ends_at.map(|end| end.min(now.plus(longest))),
            None => ends_at,
        }
    }

    /// Returns the nearest usual lifetime that is allowed; `None` if all are longer than links may last.
    pub fn clamp_lifetime(&self, lifetime: Lifetime) -> Option<Lifetime> {
        let shorter = Lifetime::ALL.into_iter().rev().skip_while(|one| *one != lifetime);
        let allowed = |lifetime: &Lifetime| self.allows(*lifetime);
        match lifetime {
            // A week is usual, and nobody chose an end.
            Lifetime::Never if self.needs_end() => self.clamp_lifetime(Lifetime::Week),
            _ => shorter.into_iter().find(allowed),
        }
    }

    /// Returns the usual lifetimes that a form offers: those that are allowed, and the one that is chosen.
    pub fn lifetimes(&self, chosen: Option<Lifetime>) -> Vec<Lifetime> {
        Lifetime::ALL.into_iter().filter(|one| self.allows(*one) || Some(*one) == chosen).collect()
    }

    /// Returns the highest number of downloads in words, for a form; `None` if that is not limited.
    pub fn most_words(&self) -> Option<String> {
        self.most_downloads.map(|most| human::grouped(u64::from(most)))
    }

    /// Returns the longest lifetime in words, for a form.
    pub fn longest_words(&self) -> Option<String> {
        self.longest.map(|longest| human::period(longest.as_secs()))
    }

    /// Returns all limits in one sentence; `None` if there are none.
    pub fn words(&self) -> Option<String> {
        let end = match self.longest_words() {
            Some(longest) => Some(format!("last at most {longest}")),
            None => self.end_required.then(|| "must expire".to_owned()),
        };
        let uses = self.most_downloads.map(|most| {
            let downloads = human::counted(u64::from(most), "download");
            format!("allow at most {downloads} per recipient")
        });
        let parts: Vec<String> = [end, uses].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| format!("Links {}.", parts.join(" and ")))
    }
}

fn too_long(longest: Duration) -> String {
    format!("It can be open for at most {}. Choose an earlier time.", human::period(longest.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn limits() -> LinkLimits {
        LinkLimits { longest: Some(DAY * 7), most_downloads: Some(5), end_required: false }
    }

    #[test]
    fn a_link_ends_at_the_longest_at_the_last_moment_that_is_allowed() {
        let longest = NOW.plus(DAY * 7);
        assert_eq!(limits().check_end(Some(longest), NOW), Ok(()));
        let second = Duration::from_secs(1);
        assert!(limits().check_end(Some(longest.plus(second)), NOW).unwrap_err().contains("at most 7 days"));
        assert!(limits().check_end(None, NOW).is_err());
        let required = LinkLimits { end_required: true, ..LinkLimits::default() };
        assert!(required.check_end(None, NOW).unwrap_err().contains("must expire"));
        assert_eq!(required.check_end(Some(NOW.plus(DAY * 9_999)), NOW), Ok(()));
        assert_eq!(LinkLimits::default().check_end(None, NOW), Ok(()));
    }

    #[test]
    fn whatever_is_clamped_is_allowed() {
        let hour = LinkLimits { longest: Some(DAY / 24), ..limits() };
        let minute = LinkLimits { longest: Some(Duration::from_secs(60)), ..limits() };
        let required = LinkLimits { end_required: true, ..LinkLimits::default() };
        for limits in [limits(), hour, minute, required, LinkLimits::default()] {
            for lifetime in Lifetime::ALL {
                match limits.clamp_lifetime(lifetime) {
                    Some(clamped) => assert!(limits.allows(clamped), "{lifetime:?} {limits:?}"),
                    None => assert!(!Lifetime::ALL.into_iter().any(|one| limits.allows(one)), "{limits:?}"),
                }
                let end = limits.clamp_end(lifetime.end(NOW), NOW);
                assert_eq!(limits.check_end(end, NOW), Ok(()), "{lifetime:?} {limits:?}");
            }
            for uses in [None, Some(1), Some(5), Some(6)] {
                assert_eq!(limits.check_uses(limits.clamp_uses(uses)), Ok(()), "{uses:?} {limits:?}");
            }
        }
        assert_eq!(limits().clamp_lifetime(Lifetime::Month), Some(Lifetime::Week));
        assert_eq!(limits().clamp_lifetime(Lifetime::Hour), Some(Lifetime::Hour));
    }

    #[test]
    fn a_form_offers_what_is_allowed_and_what_is_chosen() {
        let three = [Lifetime::Hour, Lifetime::Day, Lifetime::Week];
        assert_eq!(limits().lifetimes(None), three);
        assert_eq!(limits().lifetimes(Some(Lifetime::Never)).last(), Some(&Lifetime::Never));
        let words = limits().words();
        assert_eq!(
            words.as_deref(),
            Some("Links last at most 7 days and allow at most 5 downloads per recipient.")
        );
        assert_eq!(LinkLimits::default().words(), None);
    }
}
