//! `/admin/shares`: what the shares are, who may do what in them, and how full they are.

use actix_web::HttpResponse;

use crate::web::http::admin::administrator::Administrator;
use crate::web::http::admin::shares_page::AdminSharesPage;
use crate::web::http::error::WebError;
use crate::web::http::layout::Section;
use crate::web::http::respond::{AppData, html};
use crate::web::storage;

/// `GET /admin/shares`
pub(crate) async fn list(app: AppData, administrator: Administrator) -> Result<HttpResponse, WebError> {
    let (db, now) = (&app.services.db, app.services.clock.now());
    let quotas = app.uploads.share_quotas();
    let shares = storage::shares(db, &app.rights, &quotas, app.editor.shares(), now).await?;
    html(&AdminSharesPage { chrome: administrator.who.chrome("Shares", Section::Admin), shares })
}
