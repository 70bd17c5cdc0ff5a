//! Reading forms with files, field by field.

use std::time::Duration;

use actix_multipart::{Field, Multipart, MultipartError};
use futures_util::StreamExt;

use crate::web::http::error::WebError;

/// The maximum size of a field that is not a file.
const MAX_TEXT: usize = 8 * 1024;

/// The maximum time for such a field, or for the head of the next one, to arrive.
pub(crate) const TEXT_TIMEOUT: Duration = Duration::from_secs(30);

/// The text of a field.
pub(crate) async fn text_of(mut field: Field) -> Result<String, WebError> {
    let reading = tokio::time::timeout(TEXT_TIMEOUT, field.bytes(MAX_TEXT));
    let bytes = reading.await.map_err(|_| WebError::Slow)?.map_err(|_| WebError::TooLarge(MAX_TEXT))?;
    let bytes = bytes.map_err(|_| WebError::Invalid("the request body ended early"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| WebError::Invalid("the form is not UTF-8"))?;
    Ok(text.to_owned())
}

/// The text of the next field, which must have this name; `None` where it has another.
pub(crate) async fn expect(form: &mut Multipart, name: &str) -> Result<Option<String>, WebError> {
    match next(form, TEXT_TIMEOUT).await? {
        Some(field) if field.name() == Some(name) => Ok(Some(text_of(field).await?)),
        _ => Ok(None),
    }
}

/// The next field; `None` at the end of the form.
pub(crate) async fn next(form: &mut Multipart, patience: Duration) -> Result<Option<Field>, WebError> {
    match tokio::time::timeout(patience, form.next()).await {
        Ok(Some(Ok(field))) => Ok(Some(field)),
        Ok(Some(Err(
            MultipartError::ContentTypeMissing
            | MultipartError::ContentTypeParse
            | MultipartError::ContentTypeIncompatible,
        ))) => Err(WebError::NotAForm),
        Ok(Some(Err(_))) => Err(WebError::Invalid("the form cannot be read")),
        Ok(None) => Ok(None),
        Err(_) => Err(WebError::Slow),
    }
}
