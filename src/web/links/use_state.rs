//! The state of a use of a link.

use crate::words::words;

words! {
    /// The state of a use of a link, or of one of its tokens.
    pub enum UseState {
        /// A token was issued.
        Reserved = "reserved",
        /// The first byte was sent.
        Used = "used",
        /// It was not used, and its use is available again.
        Released = "released",
    }
}
