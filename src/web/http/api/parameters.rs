//! The parameters in the address of a program's request. An unknown, repeated or malformed one is refused.

use std::ops::RangeInclusive;

use actix_web::HttpRequest;
use percent_encoding::percent_decode_str;

use crate::id::FilePath;
use crate::web::http::api_error::{ApiError, FieldProblem};

/// The parameters of a request.
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the parameters, which must be among those that are `known`.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameters`].
    pub(crate) fn of(request: &HttpRequest, known: &[&str]) -> Result<Parameters, ApiError> {
        Parameters::read(request.query_string(), known)
    }

    fn read(query: &str, known: &[&str]) -> Result<Parameters, ApiError> {
        let mut found: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |text: &str| {
                let text = text.replace('+', " ");
                percent_decode_str(&text).decode_utf8().map(std::borrow::Cow::into_owned).ok()
            };
            let (Some(name), Some(value)) = (decoded(name), decoded(value)) else {
                return Err(wrong("", "A parameter is not UTF-8."));
            };
            if !known.contains(&name.as_str()) {
                return Err(wrong(&name, "There is no such parameter."));
            }
            if found.iter().any(|(other, _)| *other == name) {
                return Err(wrong(&name, "Send this parameter once."));
            }
            found.push((name, value));
        }
        Ok(Parameters(found))
    }

    /// Returns a parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Returns a number within `range`, or `default` if the parameter is missing.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameters`].
    pub(crate) fn number(
        &self,
        name: &str,
        range: RangeInclusive<u32>,
        default: u32,
    ) -> Result<u32, ApiError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            wrong(name, &format!("Send a whole number from {} to {}.", range.start(), range.end()))
        })
    }

    /// Returns the path of a file or folder.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameters`], also if the parameter is missing.
    pub(crate) fn path(&self, name: &str) -> Result<FilePath, ApiError> {
        let path = self.text(name).and_then(|path| path.parse().ok());
        path.ok_or_else(|| wrong(name, "Send the path of a file or folder, such as /books/report.pdf."))
    }
}

/// Refuses the parameter `name`.
pub(crate) fn wrong(name: &str, detail: &str) -> ApiError {
    ApiError::InvalidParameters(vec![FieldProblem::parameter(name, detail)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_known_single_and_utf8() {
        let read = |query: &str| Parameters::read(query, &["limit", "path"]);
        let all = read("limit=5&path=%2Fbooks%2Fa+b%20c").unwrap();
        assert_eq!(all.number("limit", 1..=9, 3).unwrap(), 5);
        assert_eq!(all.path("path").unwrap().as_str(), "/books/a b c");
        assert_eq!(read("").unwrap().number("limit", 1..=9, 3).unwrap(), 3);
        for query in ["other=1", "limit=1&limit=1", "path=%ff"] {
            assert!(read(query).is_err(), "{query}");
        }
        for query in ["limit=0", "limit=10", "limit=", "limit", "limit=1.5", "limit=-1", "limit=99999999999"]
        {
            assert!(read(query).unwrap().number("limit", 1..=9, 3).is_err(), "{query}");
        }
        assert!(read("path=books").unwrap().path("path").is_err() && read("").unwrap().path("path").is_err());
    }
}
