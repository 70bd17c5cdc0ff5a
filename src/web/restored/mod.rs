//! Whether the web app's database was put back from a backup, and what follows then.
//!
//! The database has a standing that rises soon after each write. Two remember it: a file beside the
//! folder of the database ([`RestoreDetector::advance`]), and every download service, by a word that only this
//! web app can make ([`RestoreDetector::word`]). A database that is behind what one of them remembers was put
//! back: [`acting`] then ends what may not go on. `oncelink restore` leaves a mark that says the same.

mod consequences;
mod standings;
mod stores;

pub(super) use consequences::end_sessions;
pub use consequences::resume_all;
pub use standings::{
    DetectedRestore, RESTORED_MARK, RestoreDetectionError, RestoreDetector, detected_restore,
};
