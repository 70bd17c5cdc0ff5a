//! `/admin/settings`: the settings in force.

use actix_web::HttpResponse;

use crate::web::http::admin::administrator::Administrator;
use crate::web::http::admin::settings_page::{SettingRow, SettingsPage};
use crate::web::http::error::WebError;
use crate::web::http::layout::Section;
use crate::web::http::respond::{AppData, html};

/// `GET /admin/settings`
pub(crate) async fn list(app: AppData, administrator: Administrator) -> Result<HttpResponse, WebError> {
    let table = app.settings_table.current();
    html(&SettingsPage {
        chrome: administrator.who.chrome("Site settings", Section::Admin),
        rows: table.lines().iter().map(SettingRow::new).collect(),
    })
}
