//! The token in a request, verified with the keys that this node has.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::download::problem::DownloadRefusal;
use crate::download::state::DownloadState;
use crate::token::{Grant, KeyRing, SignedDownload, TokenError};

/// Verifies a download token. An expired one is returned with its error: it redeems nothing, but a client
/// that redeemed it in time may finish.
pub(super) async fn verify(
    state: &DownloadState,
    unverified: &str,
) -> Result<(Grant, Option<TokenError>), DownloadRefusal> {
    let verdict = async |ring: &KeyRing| match state.batch_verification {
        true => SignedDownload::verify_in_batch(unverified, ring).await,
        false => SignedDownload::verify(unverified, ring),
    };
    let signed = with_keys(state, verdict).await?;
    let (now, fence) = (state.clock.now(), state.store.fence());
    match signed.grant(&state.rules, now, fence) {
        Ok(grant) => Ok((grant, None)),
        Err(ended @ TokenError::Expired { .. }) => {
            Ok((signed.redeemed(&state.rules, now, fence)?, Some(ended)))
        }
        Err(e) => Err(e.into()),
    }
}

/// Returns the token at the beginning of this part of a path; a file name may follow it.
pub(super) fn token_in(path: &str) -> Cow<'_, str> {
    let unverified = path.split_once('/').map_or(path, |(token, _)| token);
    // Gateways may rewrite paths; unnecessary encoding doesn't change the meaning (RFC 3986 section 6.2.2.2).
    percent_decode_str(unverified).decode_utf8().unwrap_or(Cow::Borrowed(unverified))
}

/// Verifies with the current keys, and again if the token's key turns out to be new.
pub(super) async fn with_keys<T>(
    state: &DownloadState,
    verify: impl AsyncFn(&KeyRing) -> Result<T, TokenError>,
) -> Result<T, DownloadRefusal> {
    let ring = state.keys.current();
    match verify(&ring).await {
        Err(TokenError::UnknownKey) => match state.keys.newer_than(&ring, state.clock.now()).await {
            Some(newer) => Ok(verify(&newer).await?),
            None => Err(TokenError::UnknownKey.into()),
        },
        verdict => Ok(verdict?),
    }
}
