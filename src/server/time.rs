//! Records the current time for the next start, and warns the operator of a wrong clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::clock::{Clock, Timestamp, WrongClock};
use crate::config::Settings;
use crate::server::data_dir::{DataDir, kept_time};
use crate::telemetry::chain;

/// How often the clock is checked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The time is written this often; a jump of the clock is written at the next check.
const KEEP_EVERY: Duration = Duration::from_secs(8);
/// How often the warning about a wrong clock is repeated.
const LOG_EVERY: u32 = 3600;

/// Continues from the last recorded time of the services on this data directory, and returns the current
/// time.
pub(super) fn begin(data_dir: &DataDir, settings: &Settings, clock: &Clock) -> Timestamp {
    if let Some(mark) = kept_time(&settings.data_dir) {
        clock.raise_to(mark);
    }
    if data_dir.is_open_to_readers() {
        tracing::warn!(
            "other users can read the data directory {}; run `chmod 700` on it",
            settings.data_dir.display()
        );
    }
    clock.now()
}

/// Records the time and checks the clock now, and then until the returned future is dropped.
pub(super) fn watch(
    data_dir: Arc<DataDir>,
    clock: Clock,
    leeway: Duration,
) -> impl Future<Output = ()> + Send + 'static {
    keep(&data_dir, &clock);
    let logged = log_if_due(clock.wrong(leeway), None);
    go_on_watching(data_dir, clock, leeway, logged)
}

async fn go_on_watching(data_dir: Arc<DataDir>, clock: Clock, leeway: Duration, mut logged: Option<u32>) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kept = None;
    loop {
        looks.tick().await;
        let now = clock.now();
        if kept.is_none_or(|kept: Timestamp| now >= kept.plus(KEEP_EVERY) || now < kept) {
            kept = Some(now);
            let (data_dir, clock) = (data_dir.clone(), clock.clone());
            // If the runtime ends before a write, stopping writes it again.
            let _done = tokio::task::spawn_blocking(move || keep(&data_dir, &clock)).await;
        }
        logged = log_if_due(clock.wrong(leeway), logged);
    }
}

/// Logs the state of the clock if it is due; `logged` is how many checks ago that happened last.
fn log_if_due(wrong: Option<WrongClock>, logged: Option<u32>) -> Option<u32> {
    match (wrong, logged) {
        (Some(_), Some(looks)) if looks < LOG_EVERY => Some(looks.saturating_add(1)),
        (Some(wrong), _) => {
            tracing::error!("{wrong}: neither tokens nor sessions expire; {}", WrongClock::REMEDY);
            Some(0)
        }
        (None, Some(_)) => {
            tracing::info!("the clock is right again");
            None
        }
        (None, None) => None,
    }
}

/// Writes the current time. A failure is only logged, because the stores record the time, too.
pub(super) fn keep(data_dir: &DataDir, clock: &Clock) {
    if let Err(error) = data_dir.keep_time(clock.now()) {
        tracing::warn!(cause = chain(&error), "cannot record the current time for the next start");
    }
}
