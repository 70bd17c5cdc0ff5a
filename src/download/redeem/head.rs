//! What a request would get, for `HEAD` and for the page of a continuation.

use std::sync::Arc;

use crate::download::problem::DownloadRefusal;
use crate::download::redeem::prepared::{Prepared, prepare};
use crate::download::redeem::request::{HeadOutcome, Request};
use crate::download::redeem::resume::{denied, proof, reopen, stream_request};
use crate::download::same_file;
use crate::download::state::DownloadState;
use crate::used_tokens::Mark;

/// Returns what [`redeem`](super::redeem) would return now, without spending, waiting or revealing the resume key.
///
/// # Errors
/// The refusal that a `GET` would get.
pub(crate) async fn head(
    state: &Arc<DownloadState>,
    request: &Request,
) -> Result<HeadOutcome, DownloadRefusal> {
    let jti = request.grant.jti;
    let now = state.clock.now();
    let file = same_file::open(state, &request.grant).await;
    let used = state.store.find(jti).await?;
    let delivery = match &used {
        None if request.grant.again => {
            return Err(request.ended.map_or(DownloadRefusal::Used, DownloadRefusal::from));
        }
        None => state.ledger.find(jti),
        Some(used) if used.mark == Mark::Revoked => return Err(DownloadRefusal::Revoked),
        Some(used) => Some(match state.ledger.find(jti) {
            Some(delivery) => delivery,
            None => reopen(state, request, used, now)?,
        }),
    };
    if let (None, Some(ended)) = (&used, request.ended) {
        return Err(ended.into());
    }
    let file = file?;
    let file = match (&delivery, &used) {
        (Some(delivery), Some(_)) => {
            let who = proof(state, request, delivery)?;
            if !who.is_keyed() && !delivery.is_for(request.caller.address) {
                return Err(DownloadRefusal::Used);
            }
            same_file::same(&file, delivery).await?
        }
        _ => {
            same_file::check(state, &file).await?;
            file
        }
    };
    let current = delivery.as_ref().map(|delivery| delivery.tag_shown(&request.conditions).1);
    let prepared = prepare(&request.conditions, current, file.version());
    let part = match prepared {
        Prepared::Part(part) => part,
        Prepared::NotModified(version) => return Ok(HeadOutcome::NotModified(version)),
        Prepared::Refused(why) => return Err(why),
    };
    // A record without a delivery is impossible, because reopen has created one. A delivery without a record
    // is a claim in progress, which a HEAD neither waits for nor disturbs.
    if let (Some(delivery), Some(_)) = (&delivery, &used) {
        let wish = stream_request(proof(state, request, delivery)?, delivery, &part);
        delivery.would_admit(&wish, state.lease, now).map_err(denied)?;
    }
    Ok(HeadOutcome::Headers { version: file.version(), part })
}

/// Returns the size of the file that a continuation would continue.
///
/// # Errors
/// The refusal that a `GET` would get.
pub(crate) async fn resumable_size(
    state: &Arc<DownloadState>,
    request: &Request,
) -> Result<u64, DownloadRefusal> {
    match head(state, request).await? {
        HeadOutcome::Headers { version, .. } | HeadOutcome::NotModified(version) => Ok(version.len),
    }
}
