//! The headers that tell a program how many requests it may still send (draft-ietf-httpapi-ratelimit-headers).

use actix_web::HttpMessage;
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{HeaderName, HeaderValue};

use crate::web::throttle::RequestQuota;

static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Adds what is left of its key's limit to the answer to a program.
pub(crate) fn add_quota<B>(response: &mut ServiceResponse<B>) {
    let Some(quota) = response.request().extensions().get::<RequestQuota>().copied() else { return };
    let policy = format!("\"requests\";q={};w=60", quota.limit);
    let limit = format!("\"requests\";r={};t={}", quota.left, quota.full_in.as_secs());
    for (name, value) in [(POLICY.clone(), policy), (LIMIT.clone(), limit)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
}
