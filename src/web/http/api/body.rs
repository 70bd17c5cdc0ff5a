//! The body of a program's request: JSON, read more strictly than most parsers do, so that no two readers can understand
//! it differently. The key is checked before a byte of it is looked at.

use std::fmt;

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use crate::token::json::{self, JsonFault};
use crate::web::forms::record::RequestKey;
use crate::web::http::api_error::{ApiError, FieldProblem};
use crate::web::http::body::{content_type, read_in_time};
use crate::web::http::error::WebError;
use crate::web::http::program::{NeedsScope, Program};
use crate::web::http::state::AppState;

/// The maximum size of a body. A thousand recipients fit.
const MAX_BODY: usize = 256 * 1024;

/// How many levels of objects and arrays a body may have.
const MAX_DEPTH: u8 = 8;

/// A program's request with a body.
pub(crate) struct ProgramBody<S, T> {
    /// The program that sent it.
    pub(crate) program: Program<S>,
    /// What it sent.
    pub(crate) fields: T,
    /// Identifies the request when it is sent again.
    pub(crate) key: Option<RequestKey>,
}

impl<S: NeedsScope, T: DeserializeOwned + 'static> FromRequest for ProgramBody<S, T> {
    type Error = WebError;
    type Future = LocalBoxFuture<'static, Result<ProgramBody<S, T>, WebError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let app = AppState::of(&request)?;
            let program = Program::of(&request, &app).await?;
            if !content_type(request.headers()).eq_ignore_ascii_case("application/json") {
                return Err(ApiError::NotJson.into());
            }
            let body = read_in_time(&request, payload, MAX_BODY.min(app.form_max)).await?;
            let key = idempotency_key(request.headers())?;
            let fields = parse(&body)?;
            let account = program.account().id.as_str();
            let address = format!("{} {}", request.method(), request.path());
            let key = key.map(|key| RequestKey::new(account, &address, key, &body));
            Ok(ProgramBody { program, fields, key })
        })
    }
}

/// Reads a body.
///
/// # Errors
/// [`ApiError::InvalidJson`] or [`ApiError::InvalidFields`].
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let text = std::str::from_utf8(body).map_err(|_| ApiError::InvalidJson("it is not UTF-8"))?;
    json::check(text, MAX_DEPTH).map_err(|fault| {
        ApiError::InvalidJson(match fault {
            JsonFault::Syntax => "it is not JSON, or a number is too large",
            JsonFault::Duplicate => "an object has a member twice",
            JsonFault::Depth => "it is nested too deeply",
        })
    })?;
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| ApiError::InvalidFields(vec![problem(error.path(), error.inner())]))
}

/// Says what is wrong without repeating what was sent.
fn problem(path: &serde_path_to_error::Path, error: &serde_json::Error) -> FieldProblem {
    let text = error.to_string();
    let named = |prefix: &str| text.strip_prefix(prefix)?.split('`').next();
    let mut pointer = Pointer(path).to_string();
    let mut at = |name: &str| {
        let last = format!("/{}", escaped(name));
        if !pointer.ends_with(&last) {
            pointer.push_str(&last);
        }
    };
    let detail = if let Some(name) = named("unknown field `") {
        at(name);
        "There is no such member."
    } else if let Some(name) = named("missing field `") {
        at(name);
        "This member is required."
    } else if text.starts_with("unknown variant") {
        "This is none of the words that are possible here."
    } else {
        "The type or the value is not valid here."
    };
    FieldProblem { pointer: Some(pointer), parameter: None, detail: detail.to_owned() }
}

/// Writes a path as a JSON pointer (RFC 6901).
struct Pointer<'p>(&'p serde_path_to_error::Path);

impl fmt::Display for Pointer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use serde_path_to_error::Segment;
        for segment in self.0 {
            match segment {
                Segment::Seq { index } => write!(f, "/{index}")?,
                Segment::Map { key } => write!(f, "/{}", escaped(key))?,
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        Ok(())
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Returns the `Idempotency-Key`, in quotation marks or not.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().map_err(|_| ApiError::IdempotencyKeyInvalid)?.trim();
    let key = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key);
    let is_valid = (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    is_valid.then_some(Some(key)).ok_or(ApiError::IdempotencyKeyInvalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[serde(rename = "name")]
        _name: String,
        #[serde(default, rename = "items")]
        _items: Vec<Item>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        #[serde(rename = "uses")]
        _uses: u32,
    }

    fn refused(text: &str) -> (&'static str, String) {
        match parse::<Body>(text.as_bytes()).unwrap_err() {
            ApiError::InvalidFields(fields) => ("fields", fields[0].pointer.clone().unwrap()),
            ApiError::InvalidJson(why) => ("json", why.to_owned()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_mistake_is_named_by_its_place_and_never_repeated() {
        for (text, pointer) in [
            (r#"{}"#, "/name"),
            (r#"{"name":1}"#, "/name"),
            (r#"{"name":"a","other":1}"#, "/other"),
            (r#"{"name":"a","a/b":1}"#, "/a~1b"),
            (r#"{"name":"a","items":[{"uses":1},{"uses":"x"}]}"#, "/items/1/uses"),
            (r#"{"name":"a","items":[{"uses":4294967296}]}"#, "/items/0/uses"),
            (r#"{"name":"a","items":[{"uses":-1}]}"#, "/items/0/uses"),
            (r#"{"name":"a","items":[{"uses":1.5}]}"#, "/items/0/uses"),
            (r#"{"name":"a","items":[{"uses":1,"secret-member":2}]}"#, "/items/0/secret-member"),
            (r#"[]"#, ""),
            (r#"null"#, ""),
        ] {
            assert_eq!(refused(text), ("fields", pointer.to_owned()), "{text}");
        }
        let deep = format!("{{\"name\":{}1{}}}", "[".repeat(8), "]".repeat(8));
        for text in
            ["", "{", "{\"name\":\"a\"} x", "{\"name\":\"a\",\"name\":\"a\"}", "{\"name\":1e400}", &deep]
        {
            assert_eq!(refused(text).0, "json", "{text}");
        }
        assert!(parse::<Body>(b"{\"name\":\"\xff\"}").is_err());
        assert!(parse::<Body>(br#" {"name":"a"} "#).is_ok());
    }
}
