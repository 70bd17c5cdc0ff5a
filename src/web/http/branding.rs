//! The operator's brand, at hand wherever a page is made while a request is handled.
//!
//! Every page has it in its frame, whichever handler or refusal makes the page, just as it has the address of
//! the style sheet. So it comes with the request instead of through every function on the way. The middleware
//! `branded` puts it there.

use std::sync::Arc;

use crate::brand::Brand;

tokio::task_local! {
    static BRAND: Arc<Brand>;
}

/// Runs `request`, whose pages have this brand.
pub(crate) async fn with<F: Future>(brand: Arc<Brand>, request: F) -> F::Output {
    BRAND.scope(brand, request).await
}

/// Returns the brand of the request that is being handled; the built-in one anywhere else.
pub(crate) fn of_request() -> Arc<Brand> {
    BRAND.try_with(Arc::clone).unwrap_or_else(|_| Brand::built_in())
}
