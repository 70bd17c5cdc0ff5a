//! The way to the web app.

use std::sync::{Arc, OnceLock};

use crate::receipt::TakeReports;

/// How to reach the web app, once it is set.
#[derive(Default)]
pub(super) struct Way(OnceLock<Arc<dyn TakeReports>>);

impl Way {
    pub(super) fn set(&self, to: Arc<dyn TakeReports>) {
        let _only_the_first_counts = self.0.set(to);
    }

    pub(super) fn get(&self) -> Option<&Arc<dyn TakeReports>> {
        self.0.get()
    }
}
