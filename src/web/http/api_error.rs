//! Why the API refuses a request, in words for the programs that read it and the people who write them.

use actix_web::http::StatusCode;

use crate::web::api_keys::Scope;

/// A member of the body, or a parameter of the address, that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FieldProblem {
    /// A JSON pointer to the member (RFC 6901); empty for the body as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The name of the parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// What is wrong with it.
    pub detail: String,
}

impl FieldProblem {
    /// Something is wrong with the member `name` of the body.
    pub fn member(name: &str, detail: impl Into<String>) -> FieldProblem {
        FieldProblem { pointer: Some(format!("/{name}")), parameter: None, detail: detail.into() }
    }

    /// Something is wrong with the parameter `name` of the address.
    pub fn parameter(name: &str, detail: impl Into<String>) -> FieldProblem {
        FieldProblem { pointer: None, parameter: Some(name.to_owned()), detail: detail.into() }
    }
}

/// Why the API refuses a request.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.slug())]
pub enum ApiError {
    /// There is no key in `Authorization`.
    KeyMissing,
    /// The key is not one of ours, or no longer works.
    KeyInvalid,
    /// The key may not be used from the client's address.
    AddressNotAllowed,
    /// The key lacks a scope.
    ScopeMissing(Scope),
    /// The key's account is not an administrator's.
    AdministratorsOnly,
    /// The body is not declared as JSON.
    NotJson,
    /// The body is not JSON, or JSON that different readers would read differently.
    InvalidJson(&'static str),
    /// Members of the body are not valid.
    InvalidFields(Vec<FieldProblem>),
    /// Parameters of the address are not valid.
    InvalidParameters(Vec<FieldProblem>),
    /// The edit doesn't say which version it is based on.
    VersionMissing,
    /// What is edited has changed since it was read.
    VersionChanged,
    /// The `Idempotency-Key` is not valid.
    IdempotencyKeyInvalid,
    /// The `Idempotency-Key` belongs to another request.
    IdempotencyKeyReused,
    /// The same request is being carried out now.
    IdempotencyKeyRunning,
    /// The address has no such method; these it has.
    MethodNotAllowed(String),
    /// What is asked for isn't possible in the present state.
    Conflict {
        /// The stable name.
        slug: &'static str,
        /// What is in the way.
        detail: &'static str,
    },
    /// A limit of the account is reached.
    LimitReached {
        /// The stable name.
        slug: &'static str,
        /// Which limit.
        detail: String,
    },
}

impl ApiError {
    /// Returns the status of the answer.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            ApiError::KeyMissing | ApiError::KeyInvalid => StatusCode::UNAUTHORIZED,
            ApiError::AddressNotAllowed | ApiError::ScopeMissing(_) | ApiError::AdministratorsOnly => {
                StatusCode::FORBIDDEN
            }
            ApiError::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ApiError::InvalidJson(_) | ApiError::InvalidParameters(_) | ApiError::IdempotencyKeyInvalid => {
                StatusCode::BAD_REQUEST
            }
            ApiError::InvalidFields(_) | ApiError::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            ApiError::VersionMissing => StatusCode::PRECONDITION_REQUIRED,
            ApiError::VersionChanged => StatusCode::PRECONDITION_FAILED,
            ApiError::IdempotencyKeyRunning | ApiError::Conflict { .. } => StatusCode::CONFLICT,
            ApiError::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            ApiError::LimitReached { .. } => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// Returns the stable name that is the `type` of the problem document.
    pub(crate) const fn slug(&self) -> &'static str {
        match self {
            ApiError::KeyMissing => "key-missing",
            ApiError::KeyInvalid => "key-invalid",
            ApiError::AddressNotAllowed => "address-not-allowed",
            ApiError::ScopeMissing(_) => "scope-missing",
            ApiError::AdministratorsOnly => "administrators-only",
            ApiError::NotJson => "not-json",
            ApiError::InvalidJson(_) => "invalid-json",
            ApiError::InvalidFields(_) => "invalid-fields",
            ApiError::InvalidParameters(_) => "invalid-parameters",
            ApiError::VersionMissing => "version-missing",
            ApiError::VersionChanged => "version-changed",
            ApiError::IdempotencyKeyInvalid => "idempotency-key-invalid",
            ApiError::IdempotencyKeyReused => "idempotency-key-reused",
            ApiError::IdempotencyKeyRunning => "idempotency-key-running",
            ApiError::MethodNotAllowed(_) => "method-not-allowed",
            ApiError::Conflict { slug, .. } | ApiError::LimitReached { slug, .. } => slug,
        }
    }

    /// Returns what happened and what to do.
    pub(crate) fn detail(&self) -> String {
        let text = match self {
            ApiError::KeyMissing => {
                "Send an API key in the header Authorization, as in “Bearer olk_…”. A key in the address or in a \
                 cookie is never accepted."
            }
            ApiError::KeyInvalid => "This API key doesn’t exist, has expired, or was revoked.",
            ApiError::AddressNotAllowed => "This API key may not be used from your address.",
            ApiError::ScopeMissing(scope) => {
                return format!("This API key lacks the scope {}.", scope.as_str());
            }
            ApiError::AdministratorsOnly => "Only administrators can do this.",
            ApiError::NotJson => "Send the body as JSON, with the Content-Type application/json.",
            ApiError::InvalidJson(why) => return format!("The body can’t be read: {why}."),
            ApiError::InvalidFields(_) => "Some members of the body are not valid. See errors.",
            ApiError::InvalidParameters(_) => "Some parameters are not valid. See errors.",
            ApiError::VersionMissing => {
                "Read it first, and send its ETag in the header If-Match, so that nobody’s changes are lost."
            }
            ApiError::VersionChanged => "It has changed since you read it. Read it again.",
            ApiError::IdempotencyKeyInvalid => {
                "The Idempotency-Key must have 1 to 255 visible ASCII characters."
            }
            ApiError::IdempotencyKeyReused => {
                "This Idempotency-Key was sent with another body. Use a new one for each new request."
            }
            ApiError::IdempotencyKeyRunning => {
                "The same request is being carried out. Try again in a moment."
            }
            ApiError::MethodNotAllowed(_) => {
                "This address doesn’t support that method. See the header Allow."
            }
            ApiError::Conflict { detail, .. } => detail,
            ApiError::LimitReached { detail, .. } => return detail.clone(),
        };
        text.to_owned()
    }

    /// Returns what is wrong with single members or parameters.
    pub(crate) fn fields(&self) -> &[FieldProblem] {
        match self {
            ApiError::InvalidFields(fields) | ApiError::InvalidParameters(fields) => fields,
            _ => &[],
        }
    }

    /// Returns the value of `WWW-Authenticate` (RFC 6750, section 3).
    pub(crate) fn challenge(&self) -> Option<String> {
        match self {
            ApiError::KeyMissing => Some("Bearer".to_owned()),
            ApiError::KeyInvalid => Some("Bearer error=\"invalid_token\"".to_owned()),
            ApiError::ScopeMissing(scope) => {
                Some(format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", scope.as_str()))
            }
            _ => None,
        }
    }
}
