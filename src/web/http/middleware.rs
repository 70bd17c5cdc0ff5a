//! The middlewares around every handler: a page waits for its client's turn, and a request that may change
//! something is carried to its end, whatever its client does. A handler's future is dropped when the
//! connection is gone, which could leave its changes to the disk and the database half done. So such a
//! handler runs in a task of its own, and the connection only waits for it.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::web::Data;
use tokio::sync::OwnedSemaphorePermit;

use crate::tasks::InRuntime;
use crate::web::http::body::{FORM, content_type};
use crate::web::http::client::ClientAddress;
use crate::web::http::client_turns::{ClientSlots, ClientTurn};
use crate::web::http::error::WebError;
use crate::web::http::state::AppState;
use crate::web::shares::error::StorageError;

/// The turn did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("too many requests at once")]
struct Busy;

/// Makes a request that only reads wait for its client's turn. If the turn doesn't come in time, the response is
/// an error's, so that [`problem::edge`](crate::web::http::problem::edge) renders it like a handler's.
///
/// # Errors
/// Those of the middlewares and services within it.
pub async fn pages_in_turn(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let is_page = matches!(*request.method(), Method::GET | Method::HEAD)
        && !matches!(request.path(), "/healthz" | "/readyz");
    let state = request.app_data::<Data<AppState>>().cloned();
    let _turn = match state.filter(|_| is_page) {
        Some(state) => match turn(&mut request, &state.page_turns).await {
            Ok(turn) => Some(turn),
            Err(error) => return Ok(request.error_response(error)),
        },
        None => None,
    };
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// Runs a request that may change something in a task of its own, to its end. If it can't begin, the response is
/// an error's, as above.
///
/// # Errors
/// Those of the middlewares and services within it; [`StorageError::Interrupted`] when the handler could not
/// finish.
pub async fn carry(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let held = match request.app_data::<Data<AppState>>().cloned() {
        Some(state) => match permits(&mut request, &state).await {
            Ok(permits) => Some(permits),
            Err(error) => return Ok(request.error_response(error)),
        },
        None => None,
    };
    let answering = next.call(request);
    let carried = actix_web::rt::spawn(InRuntime::here(async move {
        let answer = answering.await;
        drop(held);
        answer
    }));
    let response = carried.await.map_err(|_| WebError::from(StorageError::Interrupted))??;
    Ok(response.map_into_boxed_body())
}

/// Waits for what a request needs before it begins: its client's turn, and a slot among the requests that are
/// carried to their end. Once the app closes, there are no slots.
async fn permits(
    request: &mut ServiceRequest,
    state: &AppState,
) -> Result<(Option<ClientTurn>, OwnedSemaphorePermit), actix_web::Error> {
    let turn = form_turn(request, state).await?;
    let slot = state.carried.slot().await.map_err(|_| WebError::from(StorageError::Interrupted))?;
    Ok((turn, slot))
}

/// Waits for the turn of a form from a session; any other request needs none. Strangers' forms have limits of
/// their own, which refuse sooner, and uploads take as long as they take.
async fn form_turn(
    request: &mut ServiceRequest,
    state: &AppState,
) -> Result<Option<ClientTurn>, actix_web::Error> {
    let is_form = content_type(request.headers()).eq_ignore_ascii_case(FORM);
    if !is_form || state.cookies.session(request.headers()).is_none() {
        return Ok(None);
    }
    turn(request, &state.form_turns).await.map(Some)
}

async fn turn(request: &mut ServiceRequest, turns: &ClientSlots) -> Result<ClientTurn, actix_web::Error> {
    let ClientAddress(address) = request.extract::<ClientAddress>().await?;
    Ok(turns.take(address).await.ok_or(WebError::Unavailable(Busy.into()))?)
}
