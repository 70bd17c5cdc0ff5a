//! Checks whether the accounts were restored from a backup, and what is still paused because of it.

use std::time::Duration;

use crate::cli::check::findings::Findings;
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::human::counted;
use crate::web::db::Database;
use crate::web::restored::{DetectedRestore, detected_restore};

/// A restore is reported for this long, even if nothing is paused any more.
const REPORTED_FOR: Duration = Duration::from_secs(7 * 86_400);

pub(super) async fn look(settings: &Settings, may_enter: bool, now: Timestamp, findings: &mut Findings) {
    let is_there = settings.web.database.is_shared() || may_enter && settings.database_file().exists();
    if !is_there {
        return;
    }
    // Another check reports problems with the database itself.
    let Ok(db) = Database::open(settings).await else { return };
    let found = detected_restore(&db).await;
    db.close().await;
    if let Ok(Some(noticed)) = found
        && (noticed.waiting > 0 || now < noticed.at.plus(REPORTED_FOR))
    {
        report(noticed, findings);
    }
}

fn report(noticed: DetectedRestore, findings: &mut Findings) {
    let DetectedRestore { at, back_to, waiting } = noticed;
    let mut text = format!(
        "the database was restored from a backup (noticed at {at}): it is as of {back_to}; accounts disabled, \
         passwords changed and links stopped since then are as they were before"
    );
    if waiting > 0 {
        let links = counted(waiting.unsigned_abs(), "link");
        text += &format!(
            "; {links} with limited downloads still paused, because downloads since then are not counted"
        );
    }
    findings.warning(
        "accounts",
        &text,
        "go through `oncelink user list`; owners can resume their links, or `oncelink links resume --restored` resumes all",
    );
}
