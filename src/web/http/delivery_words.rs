//! What pages say about one delivery.

use std::borrow::Cow;

use crate::human;
use crate::receipt::DeliveryState;
use crate::web::deliveries::history::DeliveryHistory;
use crate::web::links::offers::SentBytes;

impl DeliveryHistory {
    /// Returns the progress, if the file is large enough for a percentage.
    pub(crate) fn sent_percent(&self) -> Option<u64> {
        SentBytes { bytes: self.bytes, size: self.size }.percent()
    }

    /// Returns a text such as "interrupted at 63 %, resumed twice".
    pub(crate) fn what_happened(&self) -> String {
        let at = |words: &str| match self.sent_percent() {
            Some(percent) => format!("{words} at {percent} %"),
            None => words.to_owned(),
        };
        let mut words = match (self.state, self.started_at) {
            (DeliveryState::Complete, _) => "complete".to_owned(),
            (DeliveryState::Ended, None) => "not sent".to_owned(),
            (_, None) => "about to start".to_owned(),
            (DeliveryState::Running, Some(_)) => match self.sent_percent() {
                Some(percent) => format!("downloading, {percent} %"),
                None => "downloading".to_owned(),
            },
            (DeliveryState::Interrupted, Some(_)) => at("interrupted"),
            (DeliveryState::Ended, Some(_)) => at("not finished, stopped"),
        };
        match self.resumed {
            0 => {}
            1 => words += ", resumed once",
            2 => words += ", resumed twice",
            times => words += &format!(", resumed {times} times"),
        }
        words
    }

    /// Returns the name of the file, or what the archive is.
    pub(crate) fn file_name(&self) -> Cow<'_, str> {
        match (self.zip, self.files) {
            (true, Some(files @ 2..)) => return format!("All {} files (ZIP)", human::grouped(files)).into(),
            (true, _) => return "All files (ZIP)".into(),
            (false, _) => {}
        }
        // Tokens are forgotten before receipts.
        let Some(path) = self.file.as_deref() else { return "A file".into() };
        human::name(path.rsplit('/').next().unwrap_or_default())
    }
}
