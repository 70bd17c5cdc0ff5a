//! Who sent a request: the client's address, and what the audit log says about the place.

use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header::USER_AGENT;
use actix_web::{FromRequest, HttpRequest};

use crate::web::http::error::WebError;
use crate::web::http::state::AppState;
use crate::web::identity::client_info::ClientInfo;

/// The headers that proxies add to a request.
const FORWARDING: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/// The client's address, by which attempts are counted.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

impl FromRequest for ClientAddress {
    type Error = WebError;
    type Future = std::future::Ready<Result<ClientAddress, WebError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = AppState::of(request);
        std::future::ready(state.map(|state| ClientAddress(client_address(&state, request))))
    }
}

/// Returns the address of the client that sent a request.
pub fn client_address(state: &AppState, request: &HttpRequest) -> IpAddr {
    state.addresses.of(request.peer_addr().map(|peer| peer.ip()), request.headers())
}

/// Returns the client's own address, by which it may continue a download; `None` where that is not known. All
/// clients of a proxy that we don't trust, or that does not name its clients, have one address.
pub fn own_address(request: &HttpRequest, state: &AppState) -> Option<IpAddr> {
    let headers = request.headers();
    let Some(peer) = request.peer_addr().map(|peer| peer.ip().to_canonical()) else {
        return state.addresses.caller(None, headers).address;
    };
    let client = state.addresses.of(Some(peer), headers);
    let is_forwarded = FORWARDING.iter().any(|name| headers.contains_key(*name));
    (client != peer || !is_forwarded).then_some(client)
}

impl FromRequest for ClientInfo {
    type Error = WebError;
    type Future = std::future::Ready<Result<ClientInfo, WebError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let agent = request.headers().get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        let agent: String = agent.unwrap_or_default().chars().filter(|c| !c.is_control()).take(300).collect();
        let address = ClientAddress::from_request(request, payload).into_inner();
        std::future::ready(address.map(|ClientAddress(address)| ClientInfo { address, agent }))
    }
}
