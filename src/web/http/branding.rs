//! The operator's brand, at hand wherever a page is made while a request is handled.
//!
//! Every page has it in its frame, whichever handler or refusal makes the page, just as it has the address of
//! the style sheet. So it comes with the request instead of through every function on the way.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::brand::Brand;
use crate::web::http::state::AppState;

tokio::task_local! {
    static BRAND: Arc<Brand>;
}

/// The middleware that lets the pages of a request have the brand of its app. It is needed wherever the work
/// on a request begins in another task.
///
/// # Errors
/// Those of the middlewares and services within it.
pub async fn branded(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let brand = request.app_data::<Data<AppState>>().map(|app| app.brand.clone());
    let brand = brand.unwrap_or_else(Brand::built_in);
    Ok(BRAND.scope(brand, next.call(request)).await?.map_into_boxed_body())
}

/// Returns the brand of the request that is being handled; the built-in one anywhere else.
pub(crate) fn of_request() -> Arc<Brand> {
    BRAND.try_with(Arc::clone).unwrap_or_else(|_| Brand::built_in())
}
