//! Limits how many requests of one client are processed at once. A page with a thousand rows takes a megabyte
//! or two while it is made, and a form may hash a password and wait for the database. So a client that
//! sends a thousand of them delays only itself.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::client_address::neighbourhood;

/// The number of requests that a browser makes at once.
const AT_ONCE: usize = 6;

/// The maximum wait for a turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// One queue for each client address (IPv6: for each /64). Only clients with requests in progress have an
/// entry. Clones share the queues.
#[derive(Clone, Default)]
pub struct ClientSlots(Arc<DashMap<IpAddr, Arc<Semaphore>>>);

/// Held while a client's request is processed; dropping it admits the next one.
pub struct ClientTurn {
    turns: ClientSlots,
    address: IpAddr,
    permit: Option<OwnedSemaphorePermit>,
}

impl ClientSlots {
    /// Waits for the turn of the client at `address`; `None` if it does not come in time.
    pub(crate) async fn take(&self, address: IpAddr) -> Option<ClientTurn> {
        let address = neighbourhood(address);
        let mut turn = ClientTurn { turns: self.clone(), address, permit: None };
        let queue = {
            let entry = self.0.entry(address).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE)));
            Arc::clone(&entry)
        };
        turn.permit = Some(tokio::time::timeout(PATIENCE, queue.acquire_owned()).await.ok()?.ok()?);
        Some(turn)
    }
}

impl Drop for ClientTurn {
    fn drop(&mut self) {
        self.permit = None;
        // Requests that wait hold the semaphore, too.
        self.turns.0.remove_if(&self.address, |_, queue| {
            Arc::strong_count(queue) == 1 && queue.available_permits() == AT_ONCE
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;

    use super::*;

    #[actix_web::test]
    async fn one_client_delays_only_itself() {
        let turns = ClientSlots::default();
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
