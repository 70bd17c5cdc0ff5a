//! The description of the API (OpenAPI 3.1), made from the handlers and the types of their bodies. What all operations
//! have in common is added here: the problem documents, and the headers.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::web::http::api::{
    account, admin_accounts, admin_links, admin_site, deliveries, files, keys, links, recipients, requests,
    tokens, webhooks,
};

/// What a reader of the description needs to know before the operations.
const ABOUT: &str = "Each request needs an API key in the header `Authorization`, as in `Bearer olk_…`. Keys are made on \
    the page “API keys” of an account; each has scopes. A key is never accepted in an address or a cookie.\n\n\
    Errors are problem documents (RFC 9457) whose `type` is a stable word. Unknown members and parameters are refused. \
    Times are in UTC (RFC 3339). Lists have `items` and `next`, the `cursor` of the next page. A creation may carry an \
    `Idempotency-Key`: sent again within 24 hours, it makes nothing new and gets the same answer. An edit needs \
    `If-Match` with the `ETag` of what was read. `RateLimit` says how many requests are left.\n\n\
    Files are uploaded by the protocol tus 1.0 at `/api/v1/uploads`, with a key that has `files:write`. `Upload-Metadata` has \
    `filename` and `folder`, the path of the folder.\n\n\
    What is described here only grows: new members, parameters and addresses may appear at any time, and a program must \
    ignore members that it doesn’t know. Anything that would break a program gets a new version beside this one. An address \
    that will go has the headers `Deprecation` and `Sunset` for at least a year before.";

#[derive(OpenApi)]
#[openapi(
    info(title = "Oncelink", version = "1"),
    servers((url = "/api/v1")),
    paths(
        account::read,
        keys::list,
        keys::read,
        files::list,
        files::make_folder,
        files::read,
        files::change,
        files::delete,
        links::list,
        links::make,
        links::read,
        links::change,
        links::pause,
        links::resume,
        links::revoke,
        recipients::list,
        recipients::add,
        recipients::remove,
        deliveries::list,
        requests::list,
        requests::make,
        requests::read,
        requests::change,
        requests::stop,
        requests::received,
        tokens::issue,
        tokens::revoke,
        webhooks::list,
        webhooks::make,
        webhooks::read,
        webhooks::delete,
        webhooks::pause,
        webhooks::resume,
        webhooks::rotate,
        webhooks::test,
        webhooks::messages,
        webhooks::resend,
        admin_accounts::list,
        admin_accounts::invite,
        admin_accounts::read,
        admin_accounts::disable,
        admin_accounts::enable,
        admin_links::list,
        admin_links::read,
        admin_links::pause,
        admin_links::resume,
        admin_links::revoke,
        admin_links::deliveries,
        admin_site::nodes,
        admin_site::audit_log,
    )
)]
struct Document;

/// The description as JSON.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = serde_json::to_value(Document::openapi()).unwrap_or_default();
    complete(&mut document);
    document
});

/// The problems that each operation can have, and those of operations with a body.
const ALWAYS: [(&str, &str); 6] = [
    ("400", "A parameter or a header is not valid"),
    ("401", "The API key is missing or doesn’t work"),
    ("403", "The API key lacks the scope, or may not be used from here"),
    ("429", "Too many requests; see Retry-After"),
    ("500", "Something went wrong here"),
    ("503", "The service is unavailable for a moment; see Retry-After"),
];
const WITH_BODY: [(&str, &str); 4] = [
    ("408", "The body did not arrive in time"),
    ("413", "The body is too large, or a quota is used up"),
    ("415", "The body is not declared as JSON"),
    ("422", "Members of the body are not valid; see errors"),
];

fn complete(document: &mut Value) {
    if let Some(info) = document.pointer_mut("/info").and_then(Value::as_object_mut) {
        info.insert("description".to_owned(), ABOUT.into());
    }
    let Some(paths) = document.pointer_mut("/paths").and_then(Value::as_object_mut) else { return };
    for (path, methods) in paths.iter_mut() {
        let Some(methods) = methods.as_object_mut() else { continue };
        for (method, operation) in methods.iter_mut() {
            let Some(operation) = operation.as_object_mut() else { continue };
            add_problems(path, method, operation);
        }
    }
    let Some(components) = object(document, "components") else { return };
    if let Some(schemas) = components.entry("schemas").or_insert_with(|| json!({})).as_object_mut() {
        schemas.insert("Problem".to_owned(), problem());
        schemas.values_mut().for_each(lift_descriptions);
    }
    components.insert(
        "securitySchemes".to_owned(),
        json!({ "key": { "type": "http", "scheme": "bearer", "description": "An API key, `olk_…`" } }),
    );
}

fn object<'v>(value: &'v mut Value, name: &str) -> Option<&'v mut Map<String, Value>> {
    value.as_object_mut()?.entry(name).or_insert_with(|| json!({})).as_object_mut()
}

fn add_problems(path: &str, method: &str, operation: &mut Map<String, Value>) {
    let has_body = operation.contains_key("requestBody");
    let changes = method != "get";
    let mut problems = ALWAYS.to_vec();
    if path.contains('{') || path.starts_with("/files") || has_body {
        problems.push(("404", "There is nothing here, or nothing that this key may know of"));
    }
    if changes {
        problems.push(("409", "The present state doesn’t allow it; see type"));
        problems.push(("423", "Another operation is using it"));
        problems.push(("507", "The disk is full"));
    }
    if has_body {
        problems.extend(WITH_BODY);
    }
    if method == "patch" {
        problems.push(("412", "It has changed since it was read"));
        problems.push(("428", "If-Match is missing"));
    }
    if method == "post" && has_body {
        let key = json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "Chosen by the program, a new one for each new request: sent again, it makes nothing new",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
        });
        if let Some(parameters) = operation.entry("parameters").or_insert_with(|| json!([])).as_array_mut() {
            parameters.push(key);
        }
    }
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for (status, response) in responses.iter_mut() {
        // Required (OpenAPI 3.1, Response Object).
        let said = match status.as_str() {
            "201" => "It was made",
            "204" => "Done",
            _ => "As asked",
        };
        if let Some(response) = response.as_object_mut() {
            response.entry("description").or_insert_with(|| json!(said));
        }
    }
    for (status, description) in problems {
        let schema = json!({ "$ref": "#/components/schemas/Problem" });
        let content = json!({ "application/problem+json": { "schema": schema } });
        responses.insert(status.to_owned(), json!({ "description": description, "content": content }));
    }
}

/// Moves the description of a member that may be `null` from its other kind to the member itself, where readers look
/// for it.
fn lift_descriptions(schema: &mut Value) {
    let Some(members) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for member in members.values_mut().filter_map(Value::as_object_mut) {
        let kinds = member.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten();
        let described = kinds.filter_map(Value::as_object_mut).find_map(|kind| kind.remove("description"));
        if let Some(description) = described {
            member.entry("description").or_insert(description);
        }
    }
}

/// The schema of a problem document.
fn problem() -> Value {
    json!({
        "type": "object",
        "description": "A problem (RFC 9457).",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "type": "string", "description": "A stable word for it.", "example": "invalid-fields" },
            "title": { "type": "string", "description": "The same for people.", "example": "Unprocessable Entity" },
            "status": { "type": "integer", "description": "The status of the answer.", "example": 422 },
            "detail": { "type": "string", "description": "What happened, and what to do." },
            "errors": {
                "type": "array",
                "description": "What is wrong with single members or parameters.",
                "items": {
                    "type": "object",
                    "required": ["detail"],
                    "properties": {
                        "pointer": { "type": "string", "description": "A JSON pointer to the member.", "example": "/uses" },
                        "parameter": { "type": "string", "description": "The name of the parameter.", "example": "limit" },
                        "detail": { "type": "string", "description": "What is wrong with it." },
                    },
                },
            },
        },
    })
}
