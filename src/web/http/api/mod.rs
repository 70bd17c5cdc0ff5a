//! The API for programs, at `/api/v1`: JSON in and out, over the same services as the pages.
//!
//! Each handler takes a [`Program`](crate::web::http::program::Program) or a
//! [`ProgramBody`](crate::web::http::api::body::ProgramBody), whose type names the scope that it needs. All addresses are
//! in [`endpoints`], from which the app's routes, the `Allow` header and the test of the documentation are made.

use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, Route, guard};

use crate::web::http::api_error::ApiError;
use crate::web::http::error::WebError;
use crate::web::http::paths::API;
use crate::web::http::respond::get_or_head;

mod account;
mod admin_accounts;
mod admin_links;
mod admin_site;
mod body;
mod deliveries;
mod docs;
pub mod docs_page;
mod entries;
mod field;
mod files;
mod keys;
mod link_body;
mod link_view;
mod links;
mod list;
pub mod openapi;
mod parameters;
mod recipients;
mod request_body;
mod request_view;
mod requests;
mod respond;
mod time;
mod tokens;
mod version;
mod webhooks;

/// A method of an address, and its handler.
struct Endpoint {
    method: Method,
    path: &'static str,
    route: Route,
}

/// All endpoints, except uploads, which follow a protocol of their own.
fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint(Method::GET, "/account", account::read),
        endpoint(Method::GET, "/keys", keys::list),
        endpoint(Method::GET, "/keys/{id}", keys::read),
        endpoint(Method::GET, "/files", files::list),
        endpoint(Method::POST, "/files", files::make_folder),
        endpoint(Method::GET, "/files/entry", files::read),
        endpoint(Method::PATCH, "/files/entry", files::change),
        endpoint(Method::DELETE, "/files/entry", files::delete),
        endpoint(Method::GET, "/links", links::list),
        endpoint(Method::POST, "/links", links::make),
        endpoint(Method::GET, "/links/{id}", links::read),
        endpoint(Method::PATCH, "/links/{id}", links::change),
        endpoint(Method::POST, "/links/{id}/pause", links::pause),
        endpoint(Method::POST, "/links/{id}/resume", links::resume),
        endpoint(Method::POST, "/links/{id}/revoke", links::revoke),
        endpoint(Method::GET, "/links/{id}/recipients", recipients::list),
        endpoint(Method::POST, "/links/{id}/recipients", recipients::add),
        endpoint(Method::DELETE, "/links/{id}/recipients/{recipient}", recipients::remove),
        endpoint(Method::GET, "/links/{id}/deliveries", deliveries::list),
        endpoint(Method::GET, "/requests", requests::list),
        endpoint(Method::POST, "/requests", requests::make),
        endpoint(Method::GET, "/requests/{id}", requests::read),
        endpoint(Method::PATCH, "/requests/{id}", requests::change),
        endpoint(Method::POST, "/requests/{id}/stop", requests::stop),
        endpoint(Method::GET, "/requests/{id}/files", requests::received),
        endpoint(Method::POST, "/tokens", tokens::issue),
        endpoint(Method::DELETE, "/tokens/{jti}", tokens::revoke),
        endpoint(Method::GET, "/webhooks", webhooks::list),
        endpoint(Method::POST, "/webhooks", webhooks::make),
        endpoint(Method::GET, "/webhooks/{id}", webhooks::read),
        endpoint(Method::DELETE, "/webhooks/{id}", webhooks::delete),
        endpoint(Method::POST, "/webhooks/{id}/pause", webhooks::pause),
        endpoint(Method::POST, "/webhooks/{id}/resume", webhooks::resume),
        endpoint(Method::POST, "/webhooks/{id}/rotate", webhooks::rotate),
        endpoint(Method::POST, "/webhooks/{id}/test", webhooks::test),
        endpoint(Method::GET, "/webhooks/{id}/messages", webhooks::messages),
        endpoint(Method::POST, "/webhooks/{id}/messages/{message}/resend", webhooks::resend),
        endpoint(Method::GET, "/admin/accounts", admin_accounts::list),
        endpoint(Method::POST, "/admin/accounts", admin_accounts::invite),
        endpoint(Method::GET, "/admin/accounts/{id}", admin_accounts::read),
        endpoint(Method::POST, "/admin/accounts/{id}/disable", admin_accounts::disable),
        endpoint(Method::POST, "/admin/accounts/{id}/enable", admin_accounts::enable),
        endpoint(Method::GET, "/admin/links", admin_links::list),
        endpoint(Method::GET, "/admin/links/{id}", admin_links::read),
        endpoint(Method::POST, "/admin/links/{id}/pause", admin_links::pause),
        endpoint(Method::POST, "/admin/links/{id}/resume", admin_links::resume),
        endpoint(Method::POST, "/admin/links/{id}/revoke", admin_links::revoke),
        endpoint(Method::GET, "/admin/deliveries", admin_links::deliveries),
        endpoint(Method::GET, "/admin/nodes", admin_site::nodes),
        endpoint(Method::GET, "/admin/audit", admin_site::audit_log),
    ]
}

fn endpoint<F, Args>(method: Method, path: &'static str, handler: F) -> Endpoint
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let route = match method {
        Method::GET => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
        _ => web::method(method.clone()),
    };
    Endpoint { route: route.to(handler), method, path }
}

/// Returns the method and the path below [`API`] of each endpoint.
pub fn addresses() -> Vec<(String, &'static str)> {
    endpoints().into_iter().map(|endpoint| (endpoint.method.to_string(), endpoint.path)).collect()
}

/// Adds the addresses of the API to the app's.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    let mut resources: BTreeMap<&'static str, Vec<Endpoint>> = BTreeMap::new();
    for endpoint in endpoints() {
        resources.entry(endpoint.path).or_default().push(endpoint);
    }
    for (path, endpoints) in resources {
        let allowed = allow(&endpoints);
        let refuse = move || {
            let allowed = allowed.clone();
            async move { Err::<HttpResponse, WebError>(ApiError::MethodNotAllowed(allowed).into()) }
        };
        let mut resource = Resource::new(format!("{API}{path}"));
        for endpoint in endpoints {
            resource = resource.route(endpoint.route);
        }
        cfg.service(resource.default_service(web::to(refuse)));
    }
    cfg.service(web::resource("/api/v1/openapi.json").route(get_or_head().to(docs::document)))
        .service(web::resource("/api/v1/docs").route(get_or_head().to(docs::page)));
}

fn allow(endpoints: &[Endpoint]) -> String {
    let mut methods: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods.join(", ")
}
