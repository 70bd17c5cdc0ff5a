//! Redeems a token, once.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::config::Resume;
use crate::download::ledger::{Delivery, Entered};
use crate::download::problem::DownloadRefusal;
use crate::download::redeem::claim::{Claimed, claim};
use crate::download::redeem::prepared::{Prepared, byte_range, prepare};
use crate::download::redeem::request::{RedeemOutcome, Request};
use crate::download::redeem::resume::{Unserved, reopen, resume, resume_delivery};
use crate::download::same_file;
use crate::download::state::DownloadState;
use crate::files::FileError;
use crate::secret::Secret;
use crate::token::{Grant, TokenError};

/// Redeems the token, or serves the client that redeemed it.
///
/// # Errors
/// The refusal; only that of a used or revoked token is final.
pub(crate) async fn redeem(
    state: &Arc<DownloadState>,
    request: &Request,
) -> Result<RedeemOutcome, DownloadRefusal> {
    let jti = request.grant.jti;
    let file = same_file::open(state, &request.grant).await;
    loop {
        let now = state.clock.now();
        if let Some(delivery) = state.ledger.find(jti) {
            match resume(state, request, file.as_ref(), &delivery, now).await {
                Err(Unserved::StartAgain) => continue,
                Err(Unserved::Refused(why)) => return Err(why),
                Ok(outcome) => return Ok(outcome),
            }
        }
        if request.grant.again {
            let used = state.store.find(jti).await?;
            if state.ledger.find(jti).is_none() {
                resume_delivery(state, request, used, now)?;
            }
            continue;
        }
        // A tag in the request may be the resume key of a record. And a request that can't redeem is answered
        // from the record, if there is one.
        let prepared = file
            .as_ref()
            .map_err(|_| ())
            .map(|file| (file, prepare(&request.conditions, None, file.version())));
        let redeemable = request.ended.is_none() && matches!(&prepared, Ok((_, Prepared::Part(_))));
        // A link's token is looked up, too, so that replays write nothing to the outbox.
        let is_a_links = request.grant.link.is_some();
        if (!redeemable || is_a_links || request.conditions.shows_a_tag() || state.ledger.went_out_whole(jti))
            && let Some(used) = state.store.find(jti).await?
        {
            // It was redeemed here while the store was queried, so the ledger knows more.
            if state.ledger.find(jti).is_none() {
                reopen(state, request, &used, now)?;
            }
            continue;
        }
        if let Some(ended) = request.ended {
            return Err(ended.into());
        }
        let (file, part) = match prepared {
            Err(()) => return Err(file.err().unwrap_or(DownloadRefusal::File(FileError::Missing))),
            Ok((file, Prepared::Part(part))) => (file, part),
            Ok((_, Prepared::NotModified(version))) => return Ok(RedeemOutcome::NotModified(version)),
            Ok((_, Prepared::Refused(why))) => return Err(why),
        };
        if request.grant.issued_at > now {
            wait_for_issue(state, &request.grant, now).await?;
            continue;
        }
        let until = now.plus(state.lease_max);
        let resume_key = Secret::random::<16>()?;
        let caller = request.caller;
        let address = caller.address.filter(|_| state.resume == Resume::SameClient);
        let (file, trace) = same_file::trace(state, file).await?;
        let make = || {
            let delivery =
                Delivery::new(jti, file.version(), address, resume_key, until, now).with_trace(Some(trace));
            if caller.proxied { delivery.through_proxy(state.resend_proxied) } else { delivery }
        };
        let delivery = match state.ledger.enter(jti, make) {
            Entered::Claiming(delivery) => delivery,
            Entered::Known => continue,
            Entered::Whole => return Err(DownloadRefusal::Used),
        };
        let receipt = request
            .grant
            .link
            .as_ref()
            .map(|link| state.receipts.begin(jti, link, file.version().len, caller.address));
        // From here on, the watermark of reports doesn't move, so nothing is released before this is
        // reported. But it may have passed the token's expiry while the file was opened.
        let ends = request.grant.expires_at;
        if receipt.as_ref().is_some_and(|receipt| receipt.at() >= ends.plus(state.rules.leeway)) {
            state.ledger.forget(&delivery);
            return Err(TokenError::Expired { ended: ends }.into());
        }
        let range = byte_range(&part, file.version().len);
        match claim(state, delivery, receipt, &request.grant, range, now).await? {
            Claimed::First(stream) => {
                tracing::info!(%jti, file = ?request.grant.content, address = %caller.counted_as, "redeemed");
                let tag = stream.delivery().resume_key.clone();
                return Ok(RedeemOutcome::Stream { stream, content: file, part, tag, is_first: true });
            }
            Claimed::Replay(used) => {
                reopen(state, request, &used, now)?;
            }
        }
    }
}

/// Waits until a token from a clock ahead of ours (within the leeway) is no longer from the future.
///
/// The fence relies on this: if the store is lost, the fence is the next second of our clock, and a token
/// that was redeemed before must not have been issued after that.
async fn wait_for_issue(state: &DownloadState, grant: &Grant, now: Timestamp) -> Result<(), DownloadRefusal> {
    tokio::time::sleep(grant.issued_at.since(now)).await;
    match state.clock.now() >= grant.issued_at {
        true => Ok(()),
        false => Err(TokenError::NotYetValid { from: grant.issued_at }.into()),
    }
}
