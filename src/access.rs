//! What a service knows about a request that HTTP does not show. Services note it on their responses, and the
//! listener writes it to the access log and counts it.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::{HttpMessage, HttpRequest, HttpResponse};

use crate::id::Jti;

/// What a service notes about a request.
#[derive(Clone, Debug, Default)]
pub struct AccessNote {
    /// The pattern of the address, such as `/d/{token}`. The address itself may contain a secret.
    pub route: Cow<'static, str>,
    /// What came of it, in one word; empty if the status says everything.
    pub outcome: &'static str,
    /// The token that it was about, or that was issued.
    pub jti: Option<Jti>,
    /// How many bytes were handed on, if the body does not pass through the dispatcher.
    pub handed_on: Option<HandedOn>,
}

impl AccessNote {
    /// Notes this on a response.
    pub fn on<B>(self, response: &mut HttpResponse<B>) {
        response.extensions_mut().insert(self);
    }
}

/// The number of bytes of a file that were handed on to the kernel. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct HandedOn(Arc<AtomicU64>);

impl HandedOn {
    /// Adds `bytes`.
    pub fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The number of bytes so far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The token of a request, noted as soon as it is known.
#[derive(Clone, Copy)]
struct NotedJti(Jti);

/// Notes which token a request is about.
pub fn note_jti(request: &HttpRequest, jti: Jti) {
    request.extensions_mut().insert(NotedJti(jti));
}

/// Returns which token a request is about, if that was noted.
pub fn noted_jti(request: &HttpRequest) -> Option<Jti> {
    request.extensions().get::<NotedJti>().map(|noted| noted.0)
}

/// Notes which token a response hands out.
pub fn note_issued(response: &mut HttpResponse, jti: Jti) {
    response.extensions_mut().insert(NotedJti(jti));
}

/// Returns which token a response hands out, if that was noted.
pub fn issued_jti<B>(response: &HttpResponse<B>) -> Option<Jti> {
    response.extensions().get::<NotedJti>().map(|noted| noted.0)
}
