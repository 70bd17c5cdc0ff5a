//! `GET /links`: the list of a person's own links.

use std::collections::BTreeSet;

use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::id::{FilePath, LinkId};
use crate::web::http::conditional::refreshed;
use crate::web::http::error::WebError;
use crate::web::http::extract::SignedIn;
use crate::web::http::layout::Section;
use crate::web::http::link_state::LinkState;
use crate::web::http::links::my_links_page::{LinkRow, MyLinksPage};
use crate::web::http::links::own_link::missing_of;
use crate::web::http::respond::AppData;
use crate::web::links::find::PER_PAGE;

#[derive(Default, Deserialize)]
pub(crate) struct PageQuery {
    page: Option<u32>,
}

/// `GET /links`
pub(crate) async fn list(
    app: AppData,
    request: HttpRequest,
    who: SignedIn,
    view: Option<Query<PageQuery>>,
) -> Result<HttpResponse, WebError> {
    let page = view.and_then(|view| view.page).unwrap_or(1).clamp(1, 100_000);
    let services = &app.services;
    let offset = (page - 1).saturating_mul(PER_PAGE);
    let (links, more) = services.links.list(&who.account().id, offset).await?;
    let now = services.clock.now();
    let ids: Vec<&LinkId> = links.iter().map(|listed| &listed.link.id).collect();
    let files = services.links.files_of(&ids).await?;
    let missing = missing_of(&app, &who, files.iter().map(|(_, file)| file.clone()).collect()).await?;
    let missing: BTreeSet<FilePath> = missing.into_iter().collect();
    let rows = links.into_iter().map(|listed| {
        let lacks_files = files.iter().any(|(link, file)| *link == listed.link.id && missing.contains(file));
        let (uses, state) = (listed.uses(), LinkState::of(&listed, now));
        LinkRow {
            id: listed.link.id.to_string(),
            title: listed.link.title,
            state,
            files: listed.files,
            recipients: listed.recipients,
            named: listed.named,
            taken: listed.taken,
            uses,
            views: listed.views,
            ends_at: listed.link.ends_at,
            // A link that is over needs no files.
            lacks_files: lacks_files && matches!(state, LinkState::Open | LinkState::Paused),
        }
    });
    let at = |page: u32| format!("/links?page={page}");
    let page = MyLinksPage {
        rows: rows.collect(),
        chrome: who.chrome("Your links", Section::Links),
        here: at(page),
        pager: ((page > 1).then(|| at(page - 1)), more.then(|| at(page + 1))),
    };
    refreshed(&app, &request, &page)
}
