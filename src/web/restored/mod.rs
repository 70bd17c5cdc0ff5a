//! Detects whether the web app's database was restored from a backup, and acts on it.
//!
//! The database has a standing that increases soon after each write. It is remembered in two places: in a
//! file beside the folder of the database ([`RestoreDetector::advance`]), and by every download service, as a
//! text that only this web app can sign ([`RestoreDetector::signed_standing`]). A database that is behind
//! what one of them remembers was restored: [`consequences`] then ends what may not continue.
//! `oncelink restore` leaves a mark file with the same meaning.

mod consequences;
mod standings;
mod stores;

pub(super) use consequences::end_sessions;
pub use consequences::resume_all;
pub use standings::{
    DetectedRestore, RESTORED_MARK, RestoreDetectionError, RestoreDetector, detected_restore,
};
