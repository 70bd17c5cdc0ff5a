//! The page that describes the API, from the same description as programs get.

use askama::Template;
use serde_json::{Value, json};

use crate::web::http::layout::Chrome;

/// `GET /api/v1/docs`
#[derive(Clone, Debug, Template)]
#[template(path = "web/api-docs.html")]
pub struct ApiDocsPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The app's own address, for the example.
    pub public_url: String,
    /// What to know before the operations, as paragraphs.
    pub about: Vec<String>,
    /// The operations.
    pub groups: Vec<DocGroup>,
}

/// The operations on one kind of thing.
#[derive(Clone, Debug)]
pub struct DocGroup {
    /// Its name.
    pub name: String,
    /// The operations.
    pub operations: Vec<DocOperation>,
}

/// An operation.
#[derive(Clone, Debug)]
pub struct DocOperation {
    /// Its name, by which it can be linked to.
    pub id: String,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// What it does, in a few words.
    pub summary: String,
    /// More about it; may be empty.
    pub description: String,
    /// The scope that a key needs; empty if any key will do.
    pub scope: String,
    /// The parameters and headers.
    pub parameters: Vec<DocMember>,
    /// The members of the body.
    pub body: Vec<DocMember>,
    /// The status of the answer.
    pub status: String,
    /// The members of the answer, or of each item of a list.
    pub answer: Vec<DocMember>,
    /// Whether the answer is a list.
    pub is_list: bool,
}

/// A parameter or a member.
#[derive(Clone, Debug)]
pub struct DocMember {
    /// Its name.
    pub name: String,
    /// What kind of value it has.
    pub kind: String,
    /// Whether it must be sent.
    pub required: bool,
    /// What it is.
    pub about: String,
}

/// Splits a text of the description at its backticks, which mark what is code.
pub(crate) fn spans(text: &str) -> impl Iterator<Item = (bool, &str)> {
    text.split('`').enumerate().map(|(at, part)| (at % 2 == 1, part))
}

/// Reads the operations from a description.
pub(crate) fn groups_of(document: &Value) -> Vec<DocGroup> {
    let mut groups: Vec<DocGroup> = Vec::new();
    for (path, methods) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let name = text(operation, "/tags/0");
            let operation = operation_of(document, path, method, operation);
            match groups.iter_mut().find(|group| group.name == name) {
                Some(group) => group.operations.push(operation),
                None => groups.push(DocGroup { name, operations: vec![operation] }),
            }
        }
    }
    groups
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn operation_of(document: &Value, path: &str, method: &str, operation: &Value) -> DocOperation {
    let responses = operation.get("responses").and_then(Value::as_object);
    let success = responses.into_iter().flatten().find(|(status, _)| status.starts_with('2'));
    let (status, answer) =
        success.map_or((String::new(), &Value::Null), |(status, answer)| (status.clone(), answer));
    let answer = answer.pointer("/content/application~1json/schema").unwrap_or(&Value::Null);
    let item = resolved(document, answer).pointer("/properties/items/items");
    let body = operation.pointer("/requestBody/content/application~1json/schema").unwrap_or(&Value::Null);
    let parameters = operation.get("parameters").and_then(Value::as_array);
    DocOperation {
        id: text(operation, "/operationId"),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(operation, "/summary"),
        description: text(operation, "/description"),
        scope: text(operation, "/security/0/key/0"),
        parameters: parameters.into_iter().flatten().map(parameter).collect(),
        body: members(document, body),
        status,
        answer: members(document, item.unwrap_or(answer)),
        is_list: item.is_some(),
    }
}

fn parameter(value: &Value) -> DocMember {
    DocMember {
        name: text(value, "/name"),
        kind: match value.get("in").and_then(Value::as_str) {
            Some("header") => "header".to_owned(),
            Some("path") => "in the path".to_owned(),
            _ => kind(value.get("schema").unwrap_or(&Value::Null)),
        },
        required: value.get("required").and_then(Value::as_bool) == Some(true),
        about: text(value, "/description"),
    }
}

/// Follows a reference within the description.
fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    let reference = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
    reference.and_then(|pointer| document.pointer(pointer)).unwrap_or(schema)
}

fn members(document: &Value, schema: &Value) -> Vec<DocMember> {
    let schema = resolved(document, schema);
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    let member = |(name, value): (&String, &Value)| DocMember {
        name: name.clone(),
        kind: kind(value),
        required: required.contains(&name.as_str()),
        about: text(value, "/description"),
    };
    properties.into_iter().flatten().map(member).collect()
}

/// Returns the kind of a value in a word or two.
fn kind(schema: &Value) -> String {
    let word = |word: &str| match word {
        "string" => "text",
        "integer" => "number",
        "boolean" => "true or false",
        "array" => "list",
        "null" => "null",
        _ => "object",
    };
    match schema.get("type") {
        Some(Value::String(one)) => word(one).to_owned(),
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).map(word).collect::<Vec<_>>().join(" or ")
        }
        _ => match ["oneOf", "anyOf", "allOf"].iter().find_map(|name| schema.get(*name)?.as_array()) {
            Some(several) => {
                let mut kinds: Vec<String> = several.iter().map(kind).collect();
                kinds.sort_unstable();
                kinds.join(" or ")
            }
            None if text(schema, "/$ref").ends_with("/Time") => "time".to_owned(),
            None => "text".to_owned(),
        },
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let document = json!({ "paths": { "/links/{id}\"<b>": { "get": {
        "tags": ["links"], "operationId": "readLink\"", "summary": "Read <b>", "description": "More \"<script>",
        "security": [{ "key": ["links"] }],
        "parameters": [{ "name": "id", "in": "path", "required": true, "description": "The <id>" }],
        "requestBody": { "content": { "application/json": { "schema": {
            "required": ["files"],
            "properties": { "files": { "type": ["array", "null"], "description": "<b>Paths" } },
        } } } },
        "responses": { "200": { "content": { "application/json": { "schema": {
            "properties": { "items": { "items": { "properties": { "id": { "type": "string" } } } } },
        } } } } },
    } } } });
    let page = ApiDocsPage {
        chrome: Chrome::public("API"),
        public_url: "https://example.org/\"<b>".to_owned(),
        about: vec!["Each request needs a \"<key>.".to_owned(), "More.".to_owned()],
        groups: groups_of(&document),
    };
    Ok(vec![("api-docs", page.render()?)])
}
