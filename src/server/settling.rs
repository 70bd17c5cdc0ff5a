//! When to look again whether the client has what was written, while a body waits for that.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// How often this is looked at without a wait, once in each turn of the worker: within a machine or a data center
/// it takes no longer.
const TURNS: u32 = 4;
/// Then the wait doubles from the first to the last.
const FIRST_STEP: Duration = Duration::from_millis(1);
const LONGEST_STEP: Duration = Duration::from_millis(16);

/// The wait of one body.
#[derive(Default)]
pub(super) struct Settling {
    turns: u32,
    timer: Option<Pin<Box<Sleep>>>,
    step: Duration,
    /// How many bytes the client lacked.
    left: Option<u64>,
}

impl Settling {
    /// Wakes the task of `cx` when it is time to look again. The client now lacks `left` bytes, if that is known.
    /// Returns how many it got since the last look.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>, left: Option<u64>) -> u64 {
        let got = self.left.zip(left).map_or(0, |(before, left)| before.saturating_sub(left));
        self.left = left.or(self.left);
        if self.turns < TURNS {
            self.turns += 1;
            cx.waker().wake_by_ref();
            return got;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(FIRST_STEP)));
        if timer.as_mut().poll(cx).is_ready() {
            self.step = (self.step * 2).clamp(FIRST_STEP, LONGEST_STEP);
            timer.as_mut().reset(Instant::now() + self.step);
            // Only registers the task: the timer has just been set.
            let _pending = timer.as_mut().poll(cx);
        }
        got
    }
}
