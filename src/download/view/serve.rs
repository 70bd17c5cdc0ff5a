//! Answers `/v/{token}`.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::access::note_jti;
use crate::download::body::FileBody;
use crate::download::conditions::Conditions;
use crate::download::content::Content;
use crate::download::permission::Permission;
use crate::download::problem::DownloadRefusal;
use crate::download::redeem::{Prepared, byte_range, prepare};
use crate::download::response;
use crate::download::same_file;
use crate::download::state::DownloadState;
use crate::download::verified::with_keys;
use crate::download::view::range::ViewedRange;
use crate::download::write_tracker::WriteTracker;
use crate::files::FileVersion;
use crate::secret::Digest;
use crate::token::{TokenError, ViewGrant, verify_view};
use crate::used_tokens::Mark;
use crate::viewable;

/// Where views are.
pub(crate) const PREFIX: &str = "/v/";

const METHODS: &str = "GET, HEAD, OPTIONS";
/// When a view with too many connections may be tried again.
const BUSY: Duration = Duration::from_secs(1);

/// `/v/{token}` and `/v/{token}/{any-name}`.
///
/// # Errors
/// The refusal; nothing is ever used up.
pub(crate) async fn answer(
    request: &HttpRequest,
    state: &Arc<DownloadState>,
    unverified: &str,
) -> Result<HttpResponse, DownloadRefusal> {
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => {
            let mut response = HttpResponse::NoContent();
            response::harden(&mut response);
            return Ok(response.insert_header((header::ALLOW, METHODS)).finish());
        }
        _ => return Err(DownloadRefusal::Method { allow: METHODS }),
    }
    let (now, fence) = (state.clock.now(), state.store.fence());
    let grant =
        with_keys(state, async |ring| verify_view(unverified, ring, &state.rules, now, fence)).await?;
    note_jti(request, grant.jti);
    if grant.issued_at > now {
        // From a clock ahead of ours: a fence that is raised meanwhile must cover it, as for downloads.
        tokio::time::sleep(grant.issued_at.since(now)).await;
        if state.clock.now() < grant.issued_at {
            return Err(TokenError::NotYetValid { from: grant.issued_at }.into());
        }
    }
    let name = grant.file.name();
    let viewable = viewable::of(name, state.view_edge.two_origins).ok_or(DownloadRefusal::NotViewable)?;
    let entered = state.views.enter(grant.jti, grant.expires_at);
    let viewing = entered.ok_or(DownloadRefusal::TooMany { retry_after: BUSY })?;
    match state.store.find(grant.jti).await?.map(|used| used.mark) {
        None if viewing.is_revoked() => return Err(DownloadRefusal::Revoked),
        None => {}
        Some(Mark::Revoked) => return Err(DownloadRefusal::Revoked),
        // A jti belongs to one token.
        Some(Mark::Redeemed(_)) => return Err(DownloadRefusal::Used),
    }
    let file = same_file::open_claimed(state, &grant.file, grant.version.as_deref(), grant.size).await?;
    let (file, _) = same_file::trace_file(&file).await?;
    let version = file.version();
    let tag = tag(&grant, version);
    let is_head = *request.method() == Method::HEAD;
    let conditions = match Conditions::of(request.headers()) {
        // RFC 9110 section 14.2: ranges are defined only for GET.
        conditions if is_head => conditions.without_range(),
        conditions => conditions,
    };
    let part = match prepare(&conditions, Some(&Digest::of(tag.as_bytes())), version) {
        Prepared::Part(part) => part,
        Prepared::NotModified(version) => {
            let mut response = response::not_modified(version);
            if let Ok(tag) = header::HeaderValue::from_str(&format!("\"{tag}\"")) {
                response.headers_mut().insert(header::ETAG, tag);
            }
            return Ok(response);
        }
        Prepared::Refused(why) => return Err(why),
    };
    let head = state.view_edge.head(name, viewable, version, &tag, &part);
    let range = byte_range(&part, version.len);
    if is_head {
        return Ok(response::without_body(head, range.end - range.start));
    }
    let line = request.conn_data::<WriteTracker>().cloned().unwrap_or_default();
    let view = ViewedRange::new(viewing, Arc::clone(&state.ledger), range, version.len);
    let body = FileBody::new(
        Permission::View(view),
        Content::File(file),
        state.clock.clone(),
        line,
        state.portions.clone(),
    );
    Ok(response::with_file(head, body))
}

/// Returns the strong entity tag of a file: the same for the same version and every viewer. Unlike that of
/// a download it is no key, and unlike the version it says nothing about the file.
fn tag(grant: &ViewGrant, version: FileVersion) -> String {
    let claimed = grant.version.clone().unwrap_or_else(|| version.to_string());
    let digest = Digest::of(format!("view\n{}\n{claimed}", grant.file.as_str()).as_bytes());
    URL_SAFE_NO_PAD.encode(digest.as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]))
}
