//! A value that a reload of the settings replaces while requests are using it.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// A value that can be replaced. Clones share it. A value that was read stays the same until the next read.
#[derive(Debug)]
pub struct Reloadable<T>(Arc<ArcSwap<T>>);

impl<T> Clone for Reloadable<T> {
    fn clone(&self) -> Reloadable<T> {
        Reloadable(Arc::clone(&self.0))
    }
}

impl<T: Default> Default for Reloadable<T> {
    fn default() -> Reloadable<T> {
        Reloadable::new(T::default())
    }
}

impl<T> Reloadable<T> {
    /// Starts with `value`.
    pub fn new(value: T) -> Reloadable<T> {
        Reloadable(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// Returns the present value.
    pub fn current(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces the value for everyone who reads it from now on.
    pub fn replace(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}
