//! `oncelink shares`: what the shares are, who may do what in them, and how full they are.

use std::fmt::Write;

use serde_json::json;

use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::clock::Clock;
use crate::config::Settings;
use crate::files::ShareFolders;
use crate::human;
use crate::web::services::Services;
use crate::web::shares::disk::WritableShares;
use crate::web::storage::{self, ShareState};

pub(super) async fn run(settings: &Settings, as_json: bool, clock: Clock) -> Result<(), CliError> {
    let folders = WritableShares::new(ShareFolders::open(&settings.shares)?);
    let services = Services::open(settings, clock).await?;
    let quotas = settings.shares.iter().map(|share| (share.name.clone(), share.quota)).collect();
    let now = services.clock.now();
    let shares = storage::shares(&services.db, &services.rights, &quotas, &folders, now).await?;
    services.db.close().await;
    if as_json {
        return print(&format!("{}\n", json!(shares)));
    }
    print(&shares.iter().map(lines).collect::<String>())
}

fn lines(share: &ShareState) -> String {
    let mut text = share.name.clone();
    let quota = share.quota.map_or_else(String::new, |quota| format!(" of {}", human::size(quota)));
    let _ = write!(text, "\t{}{quota}\t{}", human::size(share.bytes), human::counted(share.files, "file"));
    if let Some(why) = &share.unavailable {
        let _ = write!(text, "\tunavailable: {why}");
    }
    text.push('\n');
    for right in &share.rights {
        let _ = writeln!(text, "  {}\t{}", right.who, right.right);
    }
    text
}
