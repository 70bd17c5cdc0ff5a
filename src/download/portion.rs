//! A portion of a file in memory, counted in the budget as long as it exists.
//!
//! Large buffers are reused on the thread that drops them, because new pages for each portion would cost as much
//! as the copying.

use std::cell::RefCell;

use crate::download::buffer_budget::{BufferBudget, PORTION};

/// Buffers kept per thread.
const KEPT: usize = 32;
/// Larger portions get a buffer of [`PORTION`] bytes that is reused; others are allocated each time.
const SMALL: usize = PORTION / 4;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of at most [`PORTION`] bytes.
pub(crate) struct Portion {
    buffer: Vec<u8>,
    len: usize,
    budget: BufferBudget,
}

impl Portion {
    /// Returns a buffer of `len` bytes.
    pub(crate) fn of(len: usize, budget: &BufferBudget) -> Portion {
        let buffer = match len {
            ..=SMALL => vec![0; len],
            _ => BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; PORTION.max(len)]),
        };
        budget.add(buffer.len());
        Portion { buffer, len, budget: budget.clone() }
    }
}

impl AsRef<[u8]> for Portion {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

impl AsMut<[u8]> for Portion {
    fn as_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(..self.len).unwrap_or_default()
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        self.budget.remove(self.buffer.len());
        if self.buffer.len() == PORTION {
            let buffer = std::mem::take(&mut self.buffer);
            // If the thread is ending, its store may be gone; then the buffer is just dropped.
            let _ended = BUFFERS.try_with(|kept| {
                if let Ok(mut kept) = kept.try_borrow_mut()
                    && kept.len() < KEPT
                {
                    kept.push(buffer);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_connections_that_are_not_read_hold_little_more_than_the_budget() {
        let budget = BufferBudget::default();
        let held: Vec<Portion> = (0..4096).map(|_| Portion::of(budget.size(), &budget)).collect();
        let sizes: Vec<usize> = held.iter().map(|portion| portion.as_ref().len()).collect();
        assert_eq!(sizes.first(), Some(&PORTION), "nobody else holds anything");
        assert!(sizes.is_sorted_by(|a, b| a >= b));
        assert_eq!(sizes.last(), Some(&(16 * 1024)));
        assert!(budget.held() < (32 << 20) + 4096 * 17 * 1024, "{}", budget.held());
        drop(held);
        assert_eq!(budget.held(), 0);
        assert_eq!(Portion::of(budget.size(), &budget).as_ref().len(), PORTION);
    }
}
