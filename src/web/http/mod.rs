//! The web app's addresses and their handlers.

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};

use crate::web::http::account::{
    activate, address, api_keys, device, device_token, login, login_code, profile, renew, reset,
    second_factor, sessions, signup, unsent, unsubscribe, webhooks,
};
use crate::web::http::admin::{
    accounts, audit, deliveries as admin_deliveries, keys, links as admin_links, mail, nodes, settings,
    shares as admin_shares,
};
use crate::web::http::api::routes as api_routes;
use crate::web::http::error::WebError;
use crate::web::http::files::{
    browse, download, edit, put, selected, selected_zip, trash, tus, upload_form, view, zip,
};
use crate::web::http::links::{
    add_recipients, deliveries, drop_link, duplicate, extend, live, mail_code, mailing, manifests, my_links,
    new_link, one_link, press, public_link, remove_recipient, selected_files, share_sheet, view as link_view,
};
use crate::web::http::requests::{
    change, guest_form, my_requests, new_request, one_request, public_request, ticket,
};
use crate::web::http::respond::get_or_head;

pub(crate) mod accept;
pub mod account;
pub mod admin;
pub mod api;
pub mod api_error;
pub(crate) mod body;
pub mod branded;
pub(crate) mod branding;
pub mod carried;
pub mod client;
pub mod client_turns;
pub mod compressed;
pub(crate) mod conditional;
pub mod cookies;
pub mod csrf;
pub mod deliveries_part;
pub(crate) mod delivery_words;
pub mod error;
pub mod extract;
pub mod fields;
pub(crate) mod file_query;
pub mod files;
pub mod flash;
pub(crate) mod guest;
pub mod jti_locks;
pub mod landing;
pub mod layout;
pub(crate) mod link_making;
pub mod link_state;
pub mod links;
pub mod local_path;
pub mod middleware;
pub(crate) mod multipart;
pub(crate) mod paths;
pub mod press_error;
pub mod problem;
pub mod program;
pub mod qr;
pub(crate) mod rate_headers;
pub(crate) mod request_making;
pub mod requests;
pub(crate) mod respond;
pub mod samples;
pub mod selection;
pub(crate) mod service;
pub mod session_row;
pub mod state;
pub(crate) mod token_issuing;
pub mod tus_error;
pub mod view_page;
pub(crate) mod viewing;
pub(crate) mod zip_words;

/// All addresses.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/").route(get_or_head().to(landing::page)))
        .service(
            web::resource("/login").route(get_or_head().to(login::page)).route(web::post().to(login::log_in)),
        )
        .service(
            web::resource("/login/code")
                .route(get_or_head().to(login_code::page))
                .route(web::post().to(login_code::log_in)),
        )
        .service(web::resource("/logout").route(web::post().to(login::log_out)))
        .service(web::resource("/account").route(get_or_head().to(profile::page)))
        .service(web::resource("/account/password").route(web::post().to(profile::change_password)))
        .service(
            web::resource("/account/second-factor")
                .route(get_or_head().to(second_factor::page))
                .route(web::post().to(second_factor::begin)),
        )
        .service(
            web::resource("/account/second-factor/confirm").route(web::post().to(second_factor::confirm)),
        )
        .service(
            web::resource("/account/second-factor/codes").route(web::post().to(second_factor::renew_codes)),
        )
        .service(web::resource("/account/second-factor/off").route(web::post().to(second_factor::turn_off)))
        .service(
            web::resource("/account/keys")
                .route(get_or_head().to(api_keys::page))
                .route(web::post().to(api_keys::make)),
        )
        .service(web::resource("/account/keys/revoke").route(web::post().to(api_keys::revoke)))
        .service(
            web::resource("/device")
                .route(get_or_head().to(device::page))
                .route(web::post().to(device::decide)),
        )
        .service(web::resource("/device/code").route(web::post().to(device_token::start)))
        .service(web::resource("/device/token").route(web::post().to(device_token::ask)))
        .service(web::resource("/account/sessions").route(get_or_head().to(sessions::page)))
        .service(web::resource("/account/sessions/end").route(web::post().to(sessions::end)))
        .service(web::resource("/account/sessions/end-others").route(web::post().to(sessions::end_others)))
        .configure(webhook_routes)
        .service(web::resource("/account/name").route(web::post().to(profile::change_name)))
        .service(web::resource("/account/email").route(web::post().to(profile::change_address)))
        .service(web::resource("/account/email/cancel").route(web::post().to(profile::keep_address)))
        .service(web::resource("/account/notices").route(web::post().to(profile::change_notices)))
        .service(
            web::resource("/unsubscribe/{kind}/{code}")
                .route(get_or_head().to(unsubscribe::page))
                .route(web::post().to(unsubscribe::act)),
        )
        .service(web::resource("/account/delete").route(web::post().to(profile::delete)))
        .service(
            web::resource("/signup")
                .route(get_or_head().to(signup::page))
                .route(web::post().to(signup::sign_up)),
        )
        .service(web::resource("/mail-sent").route(get_or_head().to(signup::mail_sent)))
        .service(
            web::resource("/forgot")
                .route(get_or_head().to(reset::forgot_page))
                .route(web::post().to(reset::forgot)),
        )
        .service(
            web::resource("/activate/{token}")
                .route(get_or_head().to(activate::page))
                .route(web::post().to(activate::act)),
        )
        .service(
            web::resource("/reset/{token}")
                .route(get_or_head().to(reset::page))
                .route(web::post().to(reset::act)),
        )
        .service(
            web::resource("/confirm-address/{token}")
                .route(get_or_head().to(address::page))
                .route(web::post().to(address::act)),
        )
        .service(
            web::resource("/{folder:activate|reset|confirm-address}/{token}/renew")
                .route(web::post().to(renew::renew)),
        )
        .configure(admin_routes)
        .configure(link_routes)
        .configure(request_routes)
        .configure(api_routes)
        .service(web::resource("/unsent/{id}").route(get_or_head().to(unsent::page)))
        .service(web::resource("/download").route(web::post().to(download::download)))
        .service(web::resource("/zip/state").route(get_or_head().to(zip::state)))
        .service(web::resource("/zip/selected").route(web::post().to(selected_zip::page)))
        .service(
            web::resource("/zip").route(get_or_head().to(zip::page)).route(web::post().to(zip::download)),
        )
        .service(web::resource("/view").route(get_or_head().to(view::away)).route(web::post().to(view::view)))
        .service(web::resource("/receipts").route(web::post().to(deliveries::take)))
        .service(web::resource("/manifests/{digest}").route(get_or_head().to(manifests::manifest)))
        .service(web::resource("/links/{link}/deliveries").route(get_or_head().to(deliveries::deliveries)))
        .service(web::resource("/manage/new-folder").route(get_or_head().to(edit::new_folder_page)))
        .service(web::resource("/manage/make-folder").route(web::post().to(edit::make_folder)))
        .service(web::resource("/manage/entry").route(get_or_head().to(edit::entry_page)))
        .service(web::resource("/manage/rename").route(web::post().to(edit::rename)))
        .service(web::resource("/manage/delete").route(web::post().to(edit::delete)))
        .service(web::resource("/manage/to").route(get_or_head().to(edit::move_page)))
        .service(web::resource("/manage/move").route(web::post().to(edit::move_to)))
        .service(web::resource("/manage/selected/confirm").route(web::post().to(selected::confirm_page)))
        .service(web::resource("/manage/selected/delete").route(web::post().to(selected::delete)))
        .service(web::resource("/manage/selected/to").route(web::post().to(selected::move_page)))
        .service(web::resource("/manage/selected/move").route(web::post().to(selected::move_to)))
        .service(web::resource("/manage/trash").route(get_or_head().to(trash::page)))
        .service(web::resource("/manage/restore").route(web::post().to(trash::restore)))
        .service(web::resource("/manage/forget").route(web::post().to(trash::forget)))
        .service(web::resource("/files-upload").route(web::post().to(upload_form::upload)))
        .service(web::resource("/uploads").route(web::route().to(tus::handle)))
        .service(web::resource("/uploads/{id}").route(web::route().to(tus::handle)))
        .service(web::resource("/put/{name:.*}").route(web::put().to(put::put)))
        .service(web::resource("/api/v1/uploads").route(web::route().to(tus::handle_program)))
        .service(web::resource("/api/v1/uploads/{id}").route(web::route().to(tus::handle_program)))
        .service(web::resource("/.well-known/jwks.json").route(get_or_head().to(service::jwks)))
        .service(web::resource("/files{path:/.*}").route(get_or_head().to(browse::browse)))
        .service(web::resource("/files").route(get_or_head().to(service::home)))
        .service(web::resource("/static/{hash}/{name}").route(get_or_head().to(service::asset)))
        .service(web::resource("/favicon.ico").route(get_or_head().to(service::favicon)))
        .service(web::resource("/robots.txt").route(get_or_head().to(service::robots)))
        .service(
            web::resource("/.well-known/change-password").route(get_or_head().to(service::change_password)),
        )
        .service(web::resource("/healthz").route(get_or_head().to(service::healthz)))
        .service(web::resource("/readyz").route(get_or_head().to(service::readyz)))
        .default_service(web::to(not_found));
}

/// The addresses of a person's webhooks.
fn webhook_routes(cfg: &mut ServiceConfig) {
    cfg.service(
        web::resource("/account/webhooks")
            .route(get_or_head().to(webhooks::list))
            .route(web::post().to(webhooks::create)),
    )
    .service(web::resource("/account/webhooks/{id}").route(get_or_head().to(webhooks::page)))
    .service(web::resource("/account/webhooks/{id}/pause").route(web::post().to(webhooks::pause)))
    .service(web::resource("/account/webhooks/{id}/resume").route(web::post().to(webhooks::resume)))
    .service(web::resource("/account/webhooks/{id}/rotate").route(web::post().to(webhooks::rotate)))
    .service(web::resource("/account/webhooks/{id}/test").route(web::post().to(webhooks::test)))
    .service(web::resource("/account/webhooks/{id}/resend").route(web::post().to(webhooks::resend)))
    .service(web::resource("/account/webhooks/{id}/delete").route(web::post().to(webhooks::delete)));
}

/// The addresses for administrators.
fn admin_routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/admin").route(get_or_head().to(accounts::home)))
        .service(web::resource("/admin/accounts").route(get_or_head().to(accounts::list)))
        .service(
            web::resource("/admin/invite")
                .route(get_or_head().to(accounts::invite_page))
                .route(web::post().to(accounts::invite)),
        )
        .service(web::resource("/admin/accounts/{id}").route(get_or_head().to(accounts::detail)))
        .service(web::resource("/admin/accounts/{id}/link").route(web::post().to(accounts::send_link)))
        .service(web::resource("/admin/accounts/{id}/disable").route(web::post().to(accounts::disable)))
        .service(web::resource("/admin/accounts/{id}/enable").route(web::post().to(accounts::enable)))
        .service(web::resource("/admin/accounts/{id}/rights").route(web::post().to(accounts::set_rights)))
        .service(
            web::resource("/admin/accounts/{id}/end-sessions").route(web::post().to(accounts::end_sessions)),
        )
        .service(
            web::resource("/admin/accounts/{id}/second-factor").route(web::post().to(accounts::reset_factor)),
        )
        .service(web::resource("/admin/accounts/{id}/delete").route(web::post().to(accounts::delete)))
        .service(web::resource("/admin/links").route(get_or_head().to(admin_links::list)))
        .service(web::resource("/admin/links/{id}").route(get_or_head().to(admin_links::page)))
        .service(web::resource("/admin/links/{id}/pause").route(web::post().to(admin_links::pause)))
        .service(web::resource("/admin/links/{id}/resume").route(web::post().to(admin_links::resume)))
        .service(web::resource("/admin/links/{id}/revoke").route(web::post().to(admin_links::revoke)))
        .service(web::resource("/admin/deliveries").route(get_or_head().to(admin_deliveries::list)))
        .service(web::resource("/admin/shares").route(get_or_head().to(admin_shares::list)))
        .service(web::resource("/admin/settings").route(get_or_head().to(settings::list)))
        .service(web::resource("/admin/keys").route(get_or_head().to(keys::list)))
        .service(web::resource("/admin/keys/rotate").route(web::post().to(keys::rotate)))
        .service(web::resource("/admin/keys/remove").route(web::post().to(keys::remove)))
        .service(web::resource("/admin/mail").route(get_or_head().to(mail::list)))
        .service(web::resource("/admin/mail/retry").route(web::post().to(mail::retry)))
        .service(web::resource("/admin/mail/retry-all").route(web::post().to(mail::retry_all)))
        .service(web::resource("/admin/mail/test").route(web::post().to(mail::test)))
        .service(web::resource("/admin/mail/discard").route(web::post().to(mail::discard)))
        .service(web::resource("/admin/nodes").route(get_or_head().to(nodes::list)))
        .service(web::resource("/admin/nodes/add").route(web::post().to(nodes::add)))
        .service(web::resource("/admin/nodes/rekey").route(web::post().to(nodes::rekey)))
        .service(web::resource("/admin/nodes/remove").route(web::post().to(nodes::remove)))
        .service(web::resource("/admin/audit").route(get_or_head().to(audit::list)));
}

/// The addresses of links that people make for others.
fn link_routes(cfg: &mut ServiceConfig) {
    cfg.service(
        web::resource("/links").route(get_or_head().to(my_links::list)).route(web::post().to(new_link::make)),
    )
    .service(
        web::resource("/links/new")
            .route(get_or_head().to(new_link::page))
            .route(web::post().to(selected_files::page)),
    )
    .service(web::resource("/links/uploading").route(web::post().to(drop_link::make)))
    .service(
        web::resource("/links/{id}")
            .route(get_or_head().to(one_link::page))
            .route(web::post().to(one_link::change)),
    )
    .service(
        web::resource("/links/{id}/sheet")
            .route(get_or_head().to(share_sheet::show))
            .route(web::post().to(share_sheet::change)),
    )
    .service(web::resource("/links/{id}/mail").route(web::post().to(share_sheet::mail)))
    .service(web::resource("/links/{id}/settle").route(web::post().to(drop_link::settle)))
    .service(web::resource("/links/{id}/pause").route(web::post().to(one_link::pause)))
    .service(web::resource("/links/{id}/resume").route(web::post().to(one_link::resume)))
    .service(web::resource("/links/{id}/revoke").route(web::post().to(one_link::revoke)))
    .service(web::resource("/links/{id}/extend").route(web::post().to(extend::extend)))
    .service(
        web::resource("/links/{id}/duplicate")
            .route(get_or_head().to(duplicate::page))
            .route(web::post().to(duplicate::duplicate)),
    )
    .service(
        web::resource("/links/{id}/recipients")
            .route(get_or_head().to(add_recipients::page))
            .route(web::post().to(add_recipients::add)),
    )
    .service(
        web::resource("/links/{id}/recipients/{recipient}")
            .route(get_or_head().to(remove_recipient::page))
            .route(web::post().to(remove_recipient::remove)),
    )
    .service(web::resource("/links/{id}/send").route(web::post().to(mailing::send_again)))
    .service(web::resource("/links/{id}/live").route(get_or_head().to(one_link::live)))
    .service(web::resource("/links/{id}/qr/{recipient}").route(get_or_head().to(one_link::picture)))
    .service(
        web::resource("/l/{code}")
            .route(get_or_head().to(public_link::page))
            .route(web::post().to(press::take)),
    )
    .service(
        web::resource("/l/{code}/view")
            .route(get_or_head().to(link_view::away))
            .route(web::post().to(link_view::view)),
    )
    .service(web::resource("/l/{code}/state").route(get_or_head().to(live::state)))
    .service(web::resource("/l/{code}/code").route(web::post().to(mail_code::mail_code)));
}

/// The addresses of file requests.
fn request_routes(cfg: &mut ServiceConfig) {
    cfg.service(
        web::resource("/requests")
            .route(get_or_head().to(my_requests::list))
            .route(web::post().to(new_request::make)),
    )
    .service(web::resource("/requests/new").route(get_or_head().to(new_request::page)))
    .service(
        web::resource("/requests/{id}")
            .route(get_or_head().to(one_request::page))
            .route(web::post().to(change::change)),
    )
    .service(web::resource("/requests/{id}/stop").route(web::post().to(change::stop)))
    .service(web::resource("/requests/{id}/live").route(get_or_head().to(one_request::live)))
    .service(web::resource("/requests/{id}/qr").route(get_or_head().to(one_request::picture)))
    .service(
        web::resource("/r/{code}")
            .route(get_or_head().to(public_request::page))
            .route(web::post().to(ticket::give)),
    )
    .service(web::resource("/r/{code}/files").route(web::post().to(guest_form::send)));
}

async fn not_found() -> Result<HttpResponse, WebError> {
    Err(WebError::NotFound)
}
