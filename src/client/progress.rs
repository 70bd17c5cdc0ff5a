//! Progress on standard error, if it is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows how far a transfer is. Clones show the same one.
#[derive(Clone)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Shows a transfer of `name`, of `size` bytes if that is known.
    pub(crate) fn of(name: &str, size: Option<u64>, quiet: bool) -> Progress {
        let bar = match size {
            Some(size) => ProgressBar::new(size),
            None => ProgressBar::no_length(),
        };
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        bar.set_draw_target(target);
        let template = match size {
            Some(_) => "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            None => "{msg} {bytes} {bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(shortened(name));
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress(bar)
    }

    /// Sets the whole size, once it is known.
    pub(crate) fn set_size(&self, size: u64) {
        self.0.set_length(size);
    }

    /// Sets how many bytes are done.
    pub(crate) fn set(&self, bytes: u64) {
        self.0.set_position(bytes);
    }

    /// Says something above the bar.
    pub(crate) fn note(&self, text: &str) {
        self.0.println(format!("oncelink: {text}"));
    }

    /// Ends with the bar removed.
    pub(crate) fn end(self) {
        self.0.finish_and_clear();
    }
}

fn shortened(name: &str) -> String {
    const MOST: usize = 30;
    match name.chars().count() {
        ..=MOST => name.to_owned(),
        count => format!("…{}", name.chars().skip(count - MOST + 1).collect::<String>()),
    }
}
