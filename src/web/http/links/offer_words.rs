//! What a public link offers a visitor for a file, in words.

use crate::web::links::offers::{Offer, SentBytes};

impl Offer {
    /// Returns its name on the page and for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Offer::Download | Offer::LostAgain => "available",
            Offer::Starting => "starting",
            Offer::Running(_) => "running",
            Offer::Interrupted(_) => "interrupted",
            Offer::DoneAgain | Offer::Done => "downloaded",
            Offer::Lost | Offer::Gone | Offer::Elsewhere => "unavailable",
        }
    }

    /// Returns the state of the visitor's download; empty where there is nothing to say.
    pub fn status(self) -> String {
        match self {
            Offer::Download | Offer::Starting => String::new(),
            Offer::Running(sent) => match sent.percent() {
                Some(percent) => format!("Downloading, {percent} % so far"),
                None => "Downloading".to_owned(),
            },
            Offer::Interrupted(_) => "Your download was interrupted".to_owned(),
            Offer::DoneAgain | Offer::Done => "You have downloaded this file".to_owned(),
            Offer::LostAgain | Offer::Lost => {
                "Your download was not finished, and it is too late to continue it".to_owned()
            }
            Offer::Gone => "No longer available".to_owned(),
            Offer::Elsewhere => "Already downloaded or started in another browser".to_owned(),
        }
    }

    /// Returns the text of its button; `None` where it has none.
    pub fn button(self) -> Option<String> {
        let continue_text = |sent: SentBytes| match sent.percent() {
            Some(percent) => format!("Continue ({percent} % so far)"),
            None => "Continue".to_owned(),
        };
        match self {
            Offer::Download | Offer::Starting | Offer::LostAgain => Some("Download".to_owned()),
            Offer::Running(sent) | Offer::Interrupted(sent) => Some(continue_text(sent)),
            Offer::DoneAgain => Some("Download again".to_owned()),
            Offer::Done | Offer::Lost | Offer::Gone | Offer::Elsewhere => None,
        }
    }

    /// Returns whether its button is what the visitor most likely came for.
    pub(crate) const fn is_primary(self) -> bool {
        !matches!(self, Offer::DoneAgain | Offer::Running(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_a_file_has_its_words_and_its_button() {
        let sent = SentBytes { bytes: 9_000, size: 100_000 };
        let small = SentBytes { bytes: 3, size: 4 };
        for (offer, status, button) in [
            (Offer::Download, "", Some("Download")),
            (Offer::Starting, "", Some("Download")),
            (Offer::Running(sent), "Downloading, 9 % so far", Some("Continue (9 % so far)")),
            (Offer::Running(small), "Downloading", Some("Continue")),
            (Offer::Interrupted(sent), "Your download was interrupted", Some("Continue (9 % so far)")),
            (Offer::Interrupted(small), "Your download was interrupted", Some("Continue")),
            (Offer::DoneAgain, "You have downloaded this file", Some("Download again")),
            (Offer::Done, "You have downloaded this file", None),
            (Offer::Gone, "No longer available", None),
            (Offer::Elsewhere, "Already downloaded or started in another browser", None),
        ] {
            assert_eq!((offer.status().as_str(), offer.button().as_deref()), (status, button), "{offer:?}");
        }
    }
}
