//! Keeps the present moment for whatever starts next, and tells the operator of a clock that is wrong.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::clock::{Clock, Timestamp, WrongClock};
use crate::config::Settings;
use crate::server::data_dir::{DataDir, kept_time};
use crate::telemetry::chain;

/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The moment is written this often; a jump of the clock is written at the next look.
const KEEP_EVERY: Duration = Duration::from_secs(8);
/// A clock that stays wrong is told of again this often.
const TELL_EVERY: u32 = 3600;

/// Goes on from the moment at which the services on this data directory were last, and returns the
/// present one.
pub(super) fn begin(data_dir: &DataDir, settings: &Settings, clock: &Clock) -> Timestamp {
    if let Some(mark) = kept_time(&settings.data_dir) {
        clock.raise_to(mark);
    }
    if data_dir.is_open_to_readers() {
        tracing::warn!(
            "others may look into the data directory {}; run `chmod 700` on it",
            settings.data_dir.display()
        );
    }
    clock.now()
}

/// Keeps the time and looks at the clock at once, and then until the future that this returns is dropped.
pub(super) fn watch(
    data_dir: Arc<DataDir>,
    clock: Clock,
    leeway: Duration,
) -> impl Future<Output = ()> + Send + 'static {
    keep(&data_dir, &clock);
    let told = tell(clock.wrong(leeway), None);
    go_on_watching(data_dir, clock, leeway, told)
}

async fn go_on_watching(data_dir: Arc<DataDir>, clock: Clock, leeway: Duration, mut told: Option<u32>) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kept = None;
    loop {
        looks.tick().await;
        let now = clock.now();
        if kept.is_none_or(|kept: Timestamp| now >= kept.plus(KEEP_EVERY) || now < kept) {
            kept = Some(now);
            let (data_dir, clock) = (data_dir.clone(), clock.clone());
            // A write that is lost with the runtime is made again by the stop.
            let _done = tokio::task::spawn_blocking(move || keep(&data_dir, &clock)).await;
        }
        told = tell(clock.wrong(leeway), told);
    }
}

/// Says what is to be said of the clock; `told` is how many looks ago that was.
fn tell(wrong: Option<WrongClock>, told: Option<u32>) -> Option<u32> {
    match (wrong, told) {
        (Some(_), Some(looks)) if looks < TELL_EVERY => Some(looks.saturating_add(1)),
        (Some(wrong), _) => {
            tracing::error!("{wrong}: neither tokens nor sessions run out; {}", WrongClock::REMEDY);
            Some(0)
        }
        (None, Some(_)) => {
            tracing::info!("the clock is right again");
            None
        }
        (None, None) => None,
    }
}

/// Writes the present moment. What fails here costs nothing but the word of it: the stores keep time, too.
pub(super) fn keep(data_dir: &DataDir, clock: &Clock) {
    if let Err(error) = data_dir.keep_time(clock.now()) {
        tracing::warn!(cause = chain(&error), "cannot keep the present moment for the next start");
    }
}
