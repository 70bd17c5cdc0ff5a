//! Requests that may change something are carried to their end, whatever their client does. A handler's
//! future is dropped when the connection is gone; half of what it does to the disk and the database
//! would be done then. So such a handler runs in a task of its own, and the connection only waits for it.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::web::Data;
use tokio::sync::Semaphore;

use crate::tasks::Within;
use crate::web::http::client_turns;
use crate::web::http::error::WebError;
use crate::web::http::state::State;
use crate::web::shares::error::StorageError;

/// How long a request waits for its place.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many requests may run, with those whose clients have gone. Clones are the same.
#[derive(Clone)]
pub struct Carried {
    places: Arc<Semaphore>,
    most: u32,
}

impl Carried {
    /// Room for `most` requests: no fewer than there are connections, so that nobody waits but for
    /// requests whose clients have gone.
    pub fn new(most: usize) -> Carried {
        let most = u32::try_from(most.max(1)).unwrap_or(u32::MAX).min(1 << 20);
        Carried { places: Arc::new(Semaphore::new(most as usize)), most }
    }

    /// Waits until nothing runs any more. Nothing else is let in afterwards.
    pub async fn over(&self) {
        if let Ok(all) = self.places.acquire_many(self.most).await {
            all.forget();
        }
    }
}

/// The middleware around every handler that may change something.
///
/// # Errors
/// Those of the handler; [`StorageError::Interrupted`] when it could not end.
pub async fn through<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.call(request).await;
    }
    let state = request.app_data::<Data<State>>().cloned();
    let turn = match &state {
        Some(state) => client_turns::of_form(&mut request, state).await?,
        None => None,
    };
    let places = state.as_ref().map(|state| Arc::clone(&state.carried.places));
    let place = match places {
        Some(places) => match tokio::time::timeout(PATIENCE, places.acquire_owned()).await {
            Ok(place) => place.ok(),
            Err(_) => return Err(WebError::from(StorageError::Interrupted).into()),
        },
        None => None,
    };
    let answering = next.call(request);
    let carried = actix_web::rt::spawn(Within::here(async move {
        let answer = answering.await;
        drop((place, turn));
        answer
    }));
    carried.await.map_err(|_| WebError::from(StorageError::Interrupted))?
}
