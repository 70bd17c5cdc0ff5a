//! Reserves the length of a stream with the key or a continuation in the store before its first byte.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::download::ledger::{Delivery, Shortfall, Stream};
use crate::download::problem::DownloadRefusal;
use crate::download::state::DownloadState;
use crate::used_tokens::{Mark, Reservation};

/// How often a reservation is retried with what other nodes have left of the limit.
const TRIES: usize = 3;

/// How long a request waits for earlier requests to the store.
const PATIENCE: Duration = Duration::from_secs(5);

/// Durably reserves what `stream` of `delivery` may send. If it fails, the stream must be dropped.
///
/// # Errors
/// If the limit is exceeded, the token was revoked, or the store doesn't answer.
pub(crate) async fn reserve(
    state: &DownloadState,
    delivery: &Delivery,
    stream: &Stream,
    now: Timestamp,
) -> Result<(), DownloadRefusal> {
    let turn = tokio::time::timeout(PATIENCE, delivery.reserving.acquire()).await;
    let Ok(Ok(_turn)) = turn else { return Err(DownloadRefusal::StoreSlow) };
    for _ in 0..TRIES {
        let (bytes, most) = match delivery.shortfall(stream) {
            Shortfall::None => return Ok(()),
            Shortfall::Reserve { bytes, limit: most } => (bytes, most),
            Shortfall::TooMuch => return Err(DownloadRefusal::Used),
        };
        match state.store.reserve(delivery.jti, bytes, most, now).await? {
            Reservation::Granted { reserved } => {
                delivery.add_reservation(bytes, reserved);
                return Ok(());
            }
            Reservation::Exceeded { reserved } => delivery.note_total_reserved(reserved),
            Reservation::NoLease(Some(used)) if used.mark == Mark::Revoked => {
                state.revoked_elsewhere(delivery.jti);
                return Err(DownloadRefusal::Revoked);
            }
            Reservation::NoLease(_) => return Err(DownloadRefusal::Used),
        }
    }
    Err(DownloadRefusal::Used)
}
