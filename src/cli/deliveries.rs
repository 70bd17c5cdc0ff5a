//! `oncelink deliveries`: lists downloads through links.

use std::fmt::Write;

use serde_json::json;

use crate::cli::error::CliError;
use crate::cli::output::{print, remark};
use crate::clock::Clock;
use crate::config::Settings;
use crate::web::db::position::Position;
use crate::web::deliveries::everybody;
use crate::web::services::Services;

pub(super) async fn run(
    settings: &Settings,
    of: &str,
    most: u32,
    as_json: bool,
    clock: Clock,
) -> Result<(), CliError> {
    let services = Services::open(settings, clock).await?;
    let (deliveries, more) = everybody::list(&services.db, of, &Position::start(), most).await?;
    services.db.close().await;
    if more.is_some() {
        remark("there are more downloads; raise --most to see them");
    }
    if as_json {
        return print(&format!("{}\n", json!(deliveries)));
    }
    let mut text = String::new();
    for owned in &deliveries {
        let delivery = &owned.delivery;
        let file = delivery.file.as_deref().unwrap_or("(zip)");
        let _ = writeln!(
            text,
            "{}\t{}\t{}\t{} of {}\t{}\t{file}\t{}",
            delivery.redeemed_at,
            delivery.jti,
            delivery.state.as_str(),
            delivery.bytes,
            delivery.size,
            owned.owner.as_deref().unwrap_or("-"),
            owned.link,
        );
    }
    print(&text)
}
