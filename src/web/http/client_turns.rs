//! How many pages are put together at once for one client, and how many of its forms are worked on. A page
//! with a thousand rows takes a megabyte or two while it is made; a form may hash a password and wait for
//! the database. A client that sends a thousand of them waits for itself.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::middleware::Next;
use actix_web::web::Data;
use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::client_address::neighbourhood;
use crate::web::http::error::WebError;
use crate::web::http::extract::ClientAddress;
use crate::web::http::state::State;

/// As many requests as a browser makes at once.
const AT_ONCE: usize = 6;

/// The maximum wait for a turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// The turn did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("too much is asked for at once")]
struct Busy;

/// Turns by address (IPv6: by /64). Only those with something under way have an entry. Clones are the
/// same.
#[derive(Clone, Default)]
pub struct ClientTurns(Arc<DashMap<IpAddr, Arc<Semaphore>>>);

/// Held while the client's request is worked on; dropping it lets the next one in.
pub struct Turn {
    turns: ClientTurns,
    address: IpAddr,
    permit: Option<OwnedSemaphorePermit>,
}

impl ClientTurns {
    /// Waits for the turn of the client at `address`; `None` when that does not come in time.
    async fn take(&self, address: IpAddr) -> Option<Turn> {
        let address = neighbourhood(address);
        let mut turn = Turn { turns: self.clone(), address, permit: None };
        let turns = {
            let entry = self.0.entry(address).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE)));
            Arc::clone(&entry)
        };
        turn.permit = Some(tokio::time::timeout(PATIENCE, turns.acquire_owned()).await.ok()?.ok()?);
        Some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.permit = None;
        // Whoever waits has the semaphore, too.
        self.turns.0.remove_if(&self.address, |_, turns| {
            Arc::strong_count(turns) == 1 && turns.available_permits() == AT_ONCE
        });
    }
}

/// The middleware around every handler: what only reads waits for its turn.
///
/// # Errors
/// When that does not come in time.
pub async fn in_turn(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let is_page = matches!(*request.method(), Method::GET | Method::HEAD)
        && !matches!(request.path(), "/healthz" | "/readyz");
    let state = request.app_data::<Data<State>>().cloned();
    let (true, Some(state)) = (is_page, state) else { return next.call(request).await };
    let ClientAddress(address) = request.extract::<ClientAddress>().await?;
    let _turn = state.page_turns.take(address).await.ok_or(WebError::Unavailable(Busy.into()))?;
    next.call(request).await
}

/// The turn of a form from somebody's session; none for any other request. Strangers' forms have limits of
/// their own, which answer sooner, and uploads take as long as they take.
///
/// # Errors
/// When it does not come in time.
pub async fn of_form(request: &mut ServiceRequest, state: &State) -> Result<Option<Turn>, actix_web::Error> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_form = kind.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded");
    if !is_form || state.cookies.session(request.headers()).is_none() {
        return Ok(None);
    }
    let ClientAddress(address) = request.extract::<ClientAddress>().await?;
    let turn = state.form_turns.take(address).await.ok_or(WebError::Unavailable(Busy.into()))?;
    Ok(Some(turn))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;

    use super::*;

    #[actix_web::test]
    async fn one_client_waits_for_itself_and_for_nobody_else() {
        let turns = ClientTurns::default();
        let (one, other) = (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(192, 0, 2, 2).into());
        let mut taken = Vec::new();
        for _ in 0..AT_ONCE {
            taken.push(turns.take(one).now_or_never().unwrap().unwrap());
        }
        assert!(turns.take(one).now_or_never().is_none());
        assert!(turns.take(other).now_or_never().is_some());
        taken.pop();
        assert!(turns.take(one).now_or_never().is_some());
        taken.clear();
        assert!(turns.0.is_empty());
    }
}
