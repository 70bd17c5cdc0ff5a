//! Whether the accounts were put back from a backup, and what still waits because of it.

use std::time::Duration;

use super::Findings;
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::human::counted;
use crate::web::db::Database;
use crate::web::restored::{Noticed, noticed};

/// A restore is told of for so long, even if nothing waits any more.
const TOLD_FOR: Duration = Duration::from_secs(7 * 86_400);

pub(super) async fn look(settings: &Settings, may_enter: bool, now: Timestamp, findings: &mut Findings) {
    let is_there = settings.web.database.is_postgres() || may_enter && settings.database_file().exists();
    if !is_there {
        return;
    }
    // What is wrong with the database itself is somebody else's finding.
    let Ok(db) = Database::open(settings).await else { return };
    let found = noticed(&db).await;
    db.close().await;
    if let Ok(Some(noticed)) = found
        && (noticed.waiting > 0 || now < noticed.at.plus(TOLD_FOR))
    {
        tell(noticed, findings);
    }
}

fn tell(noticed: Noticed, findings: &mut Findings) {
    let Noticed { at, back_to, waiting } = noticed;
    let mut text = format!(
        "the database was put back from a backup, as was noticed at {at}: it is as of {back_to}, and accounts that \
         were disabled, passwords that were changed and links that were stopped since are as they were then"
    );
    if waiting > 0 {
        let links = counted(waiting.unsigned_abs(), "link");
        text += &format!(
            "; {links} with limited downloads still waiting, because what was downloaded is not counted"
        );
    }
    findings.warning(
        "accounts",
        &text,
        "look through `oncelink user list`; owners resume their links, or `oncelink links resume --restored` all",
    );
}
