//! How far a use has come.

use crate::words::words;

words! {
    /// How far a use of a link has come, or one of its tokens.
    pub enum UseState {
        /// A token was issued.
        Reserved = "reserved",
        /// The first byte left.
        Used = "used",
        /// It was not used, and may be taken again.
        Released = "released",
    }
}
