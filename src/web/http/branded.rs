//! The middleware that lets the pages of a request have the brand of its app.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::brand::Brand;
use crate::web::http::branding;
use crate::web::http::state::AppState;

/// Lets the pages of a request have the brand of its app. It is needed wherever the work on a request begins
/// in another task.
///
/// # Errors
/// Those of the middlewares and services within it.
pub async fn branded(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let brand = request.app_data::<Data<AppState>>().map(|app| app.brand.clone());
    let brand = brand.unwrap_or_else(Brand::built_in);
    Ok(branding::with(brand, next.call(request)).await?.map_into_boxed_body())
}
