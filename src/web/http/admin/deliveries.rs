//! `/admin/deliveries`: the downloads of everybody's links.

use actix_web::HttpResponse;
use actix_web::web::Query;

use crate::web::deliveries::everybody;
use crate::web::http::admin::administrator::Administrator;
use crate::web::http::admin::deliveries_page::AdminDeliveriesPage;
use crate::web::http::admin::links::PlaceQuery;
use crate::web::http::admin::pager::PAGE_SIZE;
use crate::web::http::error::WebError;
use crate::web::http::layout::Section;
use crate::web::http::respond::{AppData, html};

/// `GET /admin/deliveries`
pub(crate) async fn list(
    app: AppData,
    administrator: Administrator,
    view: Option<Query<PlaceQuery>>,
) -> Result<HttpResponse, WebError> {
    let view = view.map(Query::into_inner).unwrap_or_default();
    let (rows, next) = everybody::list(&app.services.db, &view.q, &view.position(), PAGE_SIZE).await?;
    html(&AdminDeliveriesPage {
        chrome: administrator.who.chrome("Downloads", Section::Admin),
        rows,
        neighbors: view.neighbors("/admin/deliveries", next.as_ref()),
        query: view.q,
    })
}
