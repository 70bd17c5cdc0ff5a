//! `oncelink links …`: manages links that people created.

use crate::cli::error::CliError;
use crate::cli::output::remark;
use crate::clock::Clock;
use crate::config::Settings;
use crate::human::counted;
use crate::web::audit::Actor;
use crate::web::restored;
use crate::web::services::Services;

/// Resumes all links that were paused because the database was restored from a backup.
pub(super) async fn resume_restored(settings: &Settings, clock: Clock) -> Result<(), CliError> {
    let services = Services::open(settings, clock).await?;
    let now = services.clock.now();
    let resumed = restored::resume_all(&services.db, &Actor::operator(), now).await?;
    remark(&match resumed {
        0 => "no link is paused because of a restore".to_owned(),
        count => format!(
            "{} can be used again; downloads between the backup and the restore are not counted",
            counted(count, "link")
        ),
    });
    services.db.close().await;
    Ok(())
}
