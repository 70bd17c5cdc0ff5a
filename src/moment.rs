//! How every page shows a moment in time: in UTC, which it says, with the exact moment for the script that shows
//! it in the viewer's time zone and language.

use std::fmt::{self, Display, Formatter};

use askama::filters::HtmlSafe;

use crate::clock::Timestamp;
use crate::human;

/// A moment as a `<time>` element of a page, such as `22 Nov 2026, 08:14 UTC`; its title has the seconds.
#[derive(Clone, Copy, Debug)]
pub struct Moment(pub Timestamp);

/// Returns the element for a moment, as templates need it.
pub fn shown(at: &Timestamp) -> Moment {
    Moment(*at)
}

impl Display for Moment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (exact, shown) = (human::exact_time(self.0), human::time(self.0));
        write!(f, "<time datetime=\"{}\" title=\"{exact}\">{shown}</time>", self.0)
    }
}

// A timestamp has digits, letters and a few signs in both of its forms, and none that HTML escapes.
impl HtmlSafe for Moment {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_says_that_it_is_in_utc() {
        let shown = Moment(Timestamp::from_secs(1_795_340_096)).to_string();
        let expected = "<time datetime=\"2026-11-22T09:34:56Z\" title=\"22 November 2026, 09:34:56 UTC\">\
                        22 Nov 2026, 09:34 UTC</time>";
        assert_eq!(shown, expected);
    }
}
