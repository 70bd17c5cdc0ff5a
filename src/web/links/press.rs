//! Presses of download buttons: all that are waiting, in one transaction where the database allows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::web::db::GroupError;
use crate::web::db::groups::together_or_each;
use crate::web::links::link::Links;
use crate::web::links::uses::{UseDecision, UseError, UseRequest, WaitingPress, reserve_all};

/// A press could not be decided, and no token may be issued for it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PressFailure {
    /// It could not be recorded.
    #[error(transparent)]
    Use(Arc<UseError>),
    /// There was no result.
    #[error(transparent)]
    Group(#[from] GroupError),
}

type Decided = Result<UseDecision, Arc<UseError>>;

impl Links {
    /// Decides a press as [`reserve`](crate::web::links::uses::reserve) does, together with those that are waiting.
    ///
    /// # Errors
    /// When the database fails, or too many are waiting.
    pub async fn press(&self, press: &UseRequest<'_>, now: Timestamp) -> Result<UseDecision, PressFailure> {
        let links = self.clone();
        let write = move |presses| {
            let links = links.clone();
            async move { links.press_all(presses).await }
        };
        let waiting = WaitingPress::new(press, now);
        self.presses.0.submit(waiting, write).await?.map_err(PressFailure::Use)
    }

    async fn press_all(&self, presses: Vec<WaitingPress>) -> Vec<Decided> {
        // A report locks recipients in an order of its own: two transactions that lock several could wait for each
        // other. Where there is one writer, nobody waits for a row.
        let mut batches: BTreeMap<&str, Vec<(usize, &WaitingPress)>> = BTreeMap::new();
        for (place, press) in presses.iter().enumerate() {
            let key = if self.db.has_one_writer() { "" } else { press.recipient.as_str() };
            batches.entry(key).or_default().push((place, press));
        }
        let mut decided: Vec<(usize, Decided)> = Vec::new();
        for batch in batches.into_values() {
            let (places, batch): (Vec<usize>, Vec<&WaitingPress>) = batch.into_iter().unzip();
            decided.extend(places.into_iter().zip(self.press_batch(&batch).await));
        }
        decided.sort_by_key(|(place, _)| *place);
        decided.into_iter().map(|(_, decided)| decided).collect()
    }

    async fn press_batch(&self, batch: &[&WaitingPress]) -> Vec<Decided> {
        together_or_each(
            batch,
            |batch| async move {
                let presses: Vec<_> = batch.iter().map(|press| (press.request(), press.now)).collect();
                reserve_all(&self.db, &self.issued, &self.lease, &presses).await
            },
            UseError::is_refusal,
        )
        .await
    }
}
