//! The web app's addresses and who answers them.

use actix_web::guard;
use actix_web::http::header::CONTENT_SECURITY_POLICY;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpResponse, Route};
use askama::Template;

use crate::web::forms::sent::Before;
use crate::web::http::error::WebError;
use crate::web::http::flash::Note;
use crate::web::http::account::{
    action_link, activate, address, login, profile, reset, sessions, signup, unsent, unsubscribe,
};
use crate::web::http::files::{browse, download, edit, tus, upload_form};
use crate::web::http::links::{deliveries, live, mailing, my_links, one_link, press, public_link};
use crate::web::http::state::State;

pub mod account;
pub mod admin;
pub mod carried;
pub mod client_turns;
pub(crate) mod conditional;
pub mod cookies;
pub mod csrf;
pub mod error;
pub mod extract;
pub mod files;
pub mod flash;
pub mod layout;
pub mod links;
pub mod local_path;
pub mod problem;
pub mod refusal_page;
pub mod samples;
pub(crate) mod service;
pub mod state;

/// All addresses.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/").route(read().to(service::home)))
        .service(web::resource("/login").route(read().to(login::page)).route(web::post().to(login::log_in)))
        .service(web::resource("/logout").route(web::post().to(login::log_out)))
        .service(web::resource("/account").route(read().to(profile::page)))
        .service(web::resource("/account/password").route(web::post().to(profile::change_password)))
        .service(web::resource("/account/sessions").route(read().to(sessions::page)))
        .service(web::resource("/account/sessions/end").route(web::post().to(sessions::end)))
        .service(web::resource("/account/sessions/end-others").route(web::post().to(sessions::end_others)))
        .service(web::resource("/account/name").route(web::post().to(profile::change_name)))
        .service(web::resource("/account/email").route(web::post().to(profile::change_address)))
        .service(web::resource("/account/email/cancel").route(web::post().to(profile::keep_address)))
        .service(web::resource("/account/notices").route(web::post().to(profile::change_notices)))
        .service(
            web::resource("/unsubscribe/{kind}/{code}")
                .route(read().to(unsubscribe::page))
                .route(web::post().to(unsubscribe::act)),
        )
        .service(web::resource("/account/delete").route(web::post().to(profile::delete)))
        .service(
            web::resource("/signup").route(read().to(signup::page)).route(web::post().to(signup::sign_up)),
        )
        .service(web::resource("/mail-sent").route(read().to(signup::mail_sent)))
        .service(
            web::resource("/forgot")
                .route(read().to(reset::forgot_page))
                .route(web::post().to(reset::forgot)),
        )
        .service(
            web::resource("/activate/{token}")
                .route(read().to(activate::page))
                .route(web::post().to(activate::act)),
        )
        .service(
            web::resource("/reset/{token}").route(read().to(reset::page)).route(web::post().to(reset::act)),
        )
        .service(
            web::resource("/confirm-address/{token}")
                .route(read().to(address::page))
                .route(web::post().to(address::act)),
        )
        .service(
            web::resource("/{folder:activate|reset|confirm-address}/{token}/renew")
                .route(web::post().to(action_link::renew)),
        )
        .configure(admin::routes)
        .configure(link_routes)
        .service(web::resource("/unsent/{id}").route(read().to(unsent::page)))
        .service(web::resource("/download").route(web::post().to(download::download)))
        .service(web::resource("/receipts").route(web::post().to(deliveries::take)))
        .service(web::resource("/links/{link}/deliveries").route(read().to(deliveries::deliveries)))
        .service(web::resource("/manage/new-folder").route(read().to(edit::new_folder_page)))
        .service(web::resource("/manage/make-folder").route(web::post().to(edit::make_folder)))
        .service(web::resource("/manage/entry").route(read().to(edit::entry_page)))
        .service(web::resource("/manage/rename").route(web::post().to(edit::rename)))
        .service(web::resource("/manage/delete").route(web::post().to(edit::delete)))
        .service(web::resource("/manage/to").route(read().to(edit::move_page)))
        .service(web::resource("/manage/move").route(web::post().to(edit::move_to)))
        .service(web::resource("/manage/trash").route(read().to(edit::trash_page)))
        .service(web::resource("/manage/restore").route(web::post().to(edit::restore)))
        .service(web::resource("/manage/forget").route(web::post().to(edit::forget)))
        .service(web::resource("/files-upload").route(web::post().to(upload_form::upload)))
        .service(web::resource("/uploads").route(web::route().to(tus::handle)))
        .service(web::resource("/uploads/{id}").route(web::route().to(tus::handle)))
        .service(web::resource("/.well-known/jwks.json").route(read().to(service::jwks)))
        .service(web::resource("/files{path:/.*}").route(read().to(browse::browse)))
        .service(web::resource("/files").route(read().to(service::home)))
        .service(web::resource("/static/{hash}/{name}").route(read().to(service::asset)))
        .service(web::resource("/favicon.ico").route(read().to(service::favicon)))
        .service(web::resource("/robots.txt").route(read().to(service::robots)))
        .service(web::resource("/.well-known/change-password").route(read().to(service::change_password)))
        .service(web::resource("/healthz").route(read().to(service::healthz)))
        .service(web::resource("/readyz").route(read().to(service::readyz)))
        .default_service(web::to(nothing));
}

/// Links that people make for others.
fn link_routes(cfg: &mut ServiceConfig) {
    cfg.service(
        web::resource("/links").route(read().to(my_links::list)).route(web::post().to(my_links::make)),
    )
    .service(web::resource("/links/new").route(read().to(my_links::new)))
    .service(
        web::resource("/links/{id}").route(read().to(one_link::page)).route(web::post().to(one_link::change)),
    )
    .service(web::resource("/links/{id}/pause").route(web::post().to(one_link::pause)))
    .service(web::resource("/links/{id}/resume").route(web::post().to(one_link::resume)))
    .service(web::resource("/links/{id}/revoke").route(web::post().to(one_link::revoke)))
    .service(web::resource("/links/{id}/send").route(web::post().to(mailing::send_again)))
    .service(web::resource("/links/{id}/live").route(read().to(one_link::live)))
    .service(web::resource("/links/{id}/qr/{recipient}").route(read().to(one_link::picture)))
    .service(
        web::resource("/l/{code}").route(read().to(public_link::page)).route(web::post().to(press::take)),
    )
    .service(web::resource("/l/{code}/state").route(read().to(live::state)))
    .service(web::resource("/l/{code}/code").route(web::post().to(press::mail_code)));
}

/// GET, and HEAD, which gets the same headers.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn nothing() -> Result<HttpResponse, WebError> {
    Err(WebError::NotFound)
}

fn html(page: &impl Template) -> Result<HttpResponse, WebError> {
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(page.render()?))
}

/// A page that loads a script of ours.
fn html_with_script(app: &State, page: &impl Template) -> Result<HttpResponse, WebError> {
    let mut answer = html(page)?;
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, app.script_policy.clone());
    Ok(answer)
}

/// An answer whose page shows the note, if there was one, for the last time.
fn without_note(app: &State, note: Option<Note>, mut answer: HttpResponse) -> Result<HttpResponse, WebError> {
    if note.is_some() {
        login::add_cookie(&mut answer, &app.cookies.clear_note())?;
    }
    Ok(answer)
}

fn see_other(address: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header(("location", address)).finish()
}

/// The answer to a form that was sent before: what it made is there, and that is where it leads.
fn led_again(app: &State, before: &Before) -> Result<HttpResponse, WebError> {
    match before.note {
        Some(note) => edit::noted(app, &before.location, note),
        None => Ok(see_other(&before.location)),
    }
}

type App = Data<State>;
