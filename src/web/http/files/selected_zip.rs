//! The page for an archive of what was selected in a list of files: `POST /zip/selected`.

use actix_web::HttpResponse;

use crate::web::http::error::WebError;
use crate::web::http::extract::{CsrfForm, LARGEST_FORM};
use crate::web::http::file_query::MAX_FILES;
use crate::web::http::files::zip::page_for;
use crate::web::http::flash::FlashMessage;
use crate::web::http::respond::{AppData, redirect_with_flash, see_other};
use crate::web::http::selection::{Picked, Selection, SelectionFields, address_for};

/// `POST /zip/selected`, with the fields of a selection. Downloads nothing yet.
pub(crate) async fn page(
    app: AppData,
    form: CsrfForm<SelectionFields, LARGEST_FORM>,
) -> Result<HttpResponse, WebError> {
    let CsrfForm { who, fields, .. } = form;
    let selection = Selection::of(fields)?;
    let files = match &selection.picked {
        Picked::Files(files) if files.is_empty() => {
            return redirect_with_flash(&app, selection.from.as_str(), FlashMessage::NothingChosen);
        }
        Picked::Files(files) if files.len() <= MAX_FILES => files.clone(),
        Picked::Files(_) => {
            return redirect_with_flash(&app, &selection.back(), FlashMessage::TooManyForZip);
        }
        Picked::Everything(folder) => vec![folder.clone()],
    };
    match address_for("/zip", &files) {
        Some(address) => Ok(see_other(&address)),
        None => page_for(app, who, selection.from, files).await,
    }
}
