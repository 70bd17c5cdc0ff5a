//! The way to the web app.

use std::sync::{Arc, OnceLock};

use crate::receipt::ReceiptSink;

/// How to reach the web app, once it is set.
#[derive(Default)]
pub(super) struct SinkSlot(OnceLock<Arc<dyn ReceiptSink>>);

impl SinkSlot {
    pub(super) fn set(&self, to: Arc<dyn ReceiptSink>) {
        let _only_the_first_counts = self.0.set(to);
    }

    pub(super) fn get(&self) -> Option<&Arc<dyn ReceiptSink>> {
        self.0.get()
    }
}
