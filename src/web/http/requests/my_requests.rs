//! `GET /requests`: the list of a person's own file requests.

use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::web::http::conditional::refreshed;
use crate::web::http::error::WebError;
use crate::web::http::extract::SignedIn;
use crate::web::http::layout::Section;
use crate::web::http::paths::shown_path;
use crate::web::http::requests::my_requests_page::{MyRequestsPage, RequestRow};
use crate::web::http::requests::own_request::states_of;
use crate::web::http::respond::AppData;
use crate::web::requests::find::PER_PAGE;

#[derive(Default, Deserialize)]
pub(crate) struct RequestsQuery {
    page: Option<u32>,
}

/// `GET /requests`
pub(crate) async fn list(
    app: AppData,
    request: HttpRequest,
    who: SignedIn,
    view: Option<Query<RequestsQuery>>,
) -> Result<HttpResponse, WebError> {
    let page = view.and_then(|view| view.page).unwrap_or(1).clamp(1, 100_000);
    let requests = &app.services.requests;
    let offset = (page - 1).saturating_mul(PER_PAGE);
    let (listed, more) = requests.list(&who.account().id, offset).await?;
    let about: Vec<_> = listed.iter().map(|one| (&one.request, one.files, one.bytes)).collect();
    let states = states_of(&app, &who, &about).await?;
    let rows = listed.iter().zip(states).map(|(one, state)| RequestRow {
        id: one.request.id.to_string(),
        title: one.request.title.clone(),
        state,
        folder: shown_path(&one.request.folder, who.home.as_ref()),
        address: requests.address(&app.public_url, &one.request),
        files: one.files,
        bytes: one.bytes,
        max_files: one.request.max_files,
        ends_at: one.request.ends_at,
    });
    let at = |page: u32| format!("/requests?page={page}");
    let page = MyRequestsPage {
        rows: rows.collect(),
        chrome: who.chrome("Your file requests", Section::Requests),
        here: at(page),
        pager: ((page > 1).then(|| at(page - 1)), more.then(|| at(page + 1))),
    };
    refreshed(&app, &request, &page)
}
