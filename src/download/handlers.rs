//! The routes of the download service. One function handles every request: there are only seven routes, and
//! comparing prefixes is much cheaper than matching a token against a pattern.

use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::access::{AccessNote, HandedOn, note_jti, noted_jti};
use crate::bearer::bearer;
use crate::client_address::{ClientAddresses, RequestClient};
use crate::download::body::FileBody;
use crate::download::browser::{self, Agent};
use crate::download::conditions::Conditions;
use crate::download::pages::{ConfirmPage, PageFrame};
use crate::download::permission::Permission;
use crate::download::problem::DownloadRefusal;
use crate::download::readiness::{self, plain, probe};
use crate::download::redeem::{self, HeadOutcome, RedeemOutcome, Request};
use crate::download::response;
use crate::download::same_file;
use crate::download::state::DownloadState;
use crate::download::verified::{token_in, verify, with_keys};
use crate::download::view::serve as view;
use crate::download::write_tracker::WriteTracker;
use crate::token::{Grant, verify_command};
use crate::used_tokens::Mark;

/// Handles every request to the download service.
pub async fn handle(request: HttpRequest, state: web::Data<DownloadState>) -> HttpResponse {
    let state = state.into_inner();
    let (mut response, outcome) = respond(&request, &state).await;
    let route = route_of(request.path());
    if route.starts_with("/d") {
        state.metrics.count(if outcome.word.is_empty() { "refused" } else { outcome.word });
    }
    let note = AccessNote {
        route: route.into(),
        outcome: outcome.word,
        jti: noted_jti(&request),
        handed_on: outcome.handed_on,
    };
    note.on(&mut response);
    response
}

/// What came of a request, for the access log.
struct Outcome {
    word: &'static str,
    handed_on: Option<HandedOn>,
}

impl Outcome {
    const fn of(word: &'static str) -> Outcome {
        Outcome { word, handed_on: None }
    }
}

/// Returns the pattern of an address, which shows no token.
fn route_of(path: &str) -> &'static str {
    match path {
        "/d" => "/d",
        "/revocations" => "/revocations",
        "/healthz" => "/healthz",
        "/readyz" => "/readyz",
        "/robots.txt" => "/robots.txt",
        path if path.starts_with("/d/") => "/d/{token}",
        path if path.starts_with(view::PREFIX) => "/v/{token}",
        _ => "",
    }
}

async fn respond(request: &HttpRequest, state: &Arc<DownloadState>) -> (HttpResponse, Outcome) {
    match answer(request, state).await {
        Ok(answered) => answered,
        Err(refusal) => {
            let refusal = match refusal.is_invalid_token() {
                true => {
                    let caller = caller(request, &state.addresses);
                    state.count_invalid(caller.counted_as).err().unwrap_or(refusal)
                }
                false => refusal,
            };
            if request.method() == Method::GET && browser::saves_any_response(request.headers()) {
                return (refusal.keep_silent(&state.request_id()), Outcome::of(refusal.word()));
            }
            let pages = PageFrame { brand: state.brand.clone(), web_url: &state.web_url };
            let html = prefers_html(request.headers());
            let mut response = refusal.respond(html, &pages, &state.request_id());
            if request.path().starts_with(view::PREFIX) {
                state.view_edge.allow_frame(&mut response);
            }
            (response, Outcome::of(refusal.word()))
        }
    }
}

async fn answer(
    request: &HttpRequest,
    state: &Arc<DownloadState>,
) -> Result<(HttpResponse, Outcome), DownloadRefusal> {
    let path = request.path();
    if let Some(rest) = path.strip_prefix("/d/") {
        return download(request, state, &token_in(rest)).await;
    }
    if let Some(rest) = path.strip_prefix(view::PREFIX) {
        let viewed = view::answer(request, state, &token_in(rest)).await?;
        return Ok((viewed, Outcome::of("viewed")));
    }
    let response = match path {
        "/d" => {
            let unverified = bearer(request.headers()).unwrap_or_default();
            return download(request, state, unverified).await;
        }
        "/revocations" => revocations(request, state).await,
        "/healthz" => probe(request, Ok(())),
        "/readyz" => readiness::answer(request, state).await,
        "/robots.txt" => {
            probe(request, Ok(())).map(|_| plain(StatusCode::OK, "User-agent: *\nDisallow: /\n"))
        }
        _ => Err(DownloadRefusal::NoSuchAddress),
    };
    response.map(|response| (response, Outcome::of("")))
}

const DOWNLOAD_METHODS: &str = "GET, HEAD, POST, OPTIONS";

/// `/d/{token}`, `/d/{token}/{any-name}` and `/d` with a bearer token.
async fn download(
    request: &HttpRequest,
    state: &Arc<DownloadState>,
    unverified: &str,
) -> Result<(HttpResponse, Outcome), DownloadRefusal> {
    match *request.method() {
        Method::GET => {}
        Method::HEAD | Method::POST => {}
        Method::OPTIONS => {
            let mut response = HttpResponse::NoContent();
            response::harden(&mut response);
            let response = response.insert_header((header::ALLOW, DOWNLOAD_METHODS)).finish();
            return Ok((response, Outcome::of("options")));
        }
        _ => return Err(DownloadRefusal::Method { allow: DOWNLOAD_METHODS }),
    }
    let (grant, ended) = verify(state, unverified).await?;
    note_jti(request, grant.jti);
    if request.method() == Method::POST {
        return match ended {
            None => Ok((confirmed(request), Outcome::of("confirmed"))),
            Some(ended) => Err(ended.into()),
        };
    }
    if ended.is_none()
        && grant.confirm
        && !request
            .query_string()
            .split('&')
            .any(|part| part == "confirmed" || part.starts_with("confirmed="))
    {
        return Ok((ask(request, state, grant).await?, Outcome::of("asked")));
    }
    let wanted = Request {
        grant,
        ended,
        conditions: match *request.method() {
            // RFC 9110 section 14.2: ranges are defined only for GET.
            Method::HEAD => Conditions::of(request.headers()).without_range(),
            _ => Conditions::of(request.headers()),
        },
        caller: caller(request, &state.addresses),
    };
    if request.method() == Method::HEAD {
        let response = headers_only(state, &wanted, Agent::of(request.headers())).await?;
        return Ok((response, Outcome::of("headers")));
    }
    if !browser::may_be_a_click(request.headers()) {
        return Err(DownloadRefusal::Prefetch);
    }
    match redeem::redeem(state, &wanted).await? {
        RedeemOutcome::NotModified(version) => {
            Ok((response::not_modified(version), Outcome::of("not-modified")))
        }
        RedeemOutcome::Stream { stream, content, part, tag, is_first } => {
            let head = response::head(&wanted.grant, content.version(), &part, Agent::of(request.headers()));
            let word = if is_first { "redeemed" } else { "resumed" };
            let outcome = Outcome { word, handed_on: Some(stream.handed_on()) };
            let line = request.conn_data::<WriteTracker>().cloned().unwrap_or_default();
            let permission = Permission::Download(stream);
            let body = FileBody::new(permission, content, state.clock.clone(), line, state.portions.clone());
            Ok((response::file(head, tag.reveal(), body), outcome))
        }
    }
}

async fn headers_only(
    state: &Arc<DownloadState>,
    wanted: &Request,
    agent: Agent,
) -> Result<HttpResponse, DownloadRefusal> {
    Ok(match redeem::head(state, wanted).await? {
        HeadOutcome::NotModified(version) => response::not_modified(version),
        HeadOutcome::Headers { version, part } => {
            let range = redeem::byte_range(&part, version.len);
            response::without_body(
                response::head(&wanted.grant, version, &part, agent),
                range.end - range.start,
            )
        }
    })
}

/// Shows the page of a token with `confirm`. Spends nothing, however often it is fetched.
async fn ask(
    request: &HttpRequest,
    state: &Arc<DownloadState>,
    grant: Grant,
) -> Result<HttpResponse, DownloadRefusal> {
    let size = match state.store.find(grant.jti).await?.map(|used| used.mark) {
        Some(Mark::Revoked) => return Err(DownloadRefusal::Revoked),
        // A continuation needs a download that has begun; any other token needs one that hasn't.
        _ if grant.again => {
            let caller = caller(request, &state.addresses);
            redeem::resumable_size(
                state,
                &Request { grant: grant.clone(), ended: None, conditions: Conditions::default(), caller },
            )
            .await?
        }
        Some(Mark::Redeemed(_)) => return Err(DownloadRefusal::Used),
        None => {
            let content = same_file::open(state, &grant).await?;
            same_file::check(state, &content).await?;
            content.version().len
        }
    };
    let page = ConfirmPage {
        brand: state.brand.clone(),
        file_name: grant.name.unwrap_or_else(|| grant.content.name().to_owned()),
        size,
        until: grant.expires_at,
        now: state.clock.now(),
        action: request.path().to_owned(),
    };
    Ok(response::page(&mut HttpResponse::Ok(), &page, &state.brand))
}

/// Handles `POST`: the button was pressed; the following `GET` redeems.
fn confirmed(request: &HttpRequest) -> HttpResponse {
    let mut response = HttpResponse::SeeOther();
    response::harden(&mut response);
    response.insert_header((header::LOCATION, format!("{}?confirmed", request.path()))).finish()
}

/// Handles `POST /revocations`. The jtis are in the signed claims, so no unsigned input has an effect.
async fn revocations(
    request: &HttpRequest,
    state: &Arc<DownloadState>,
) -> Result<HttpResponse, DownloadRefusal> {
    if request.method() != Method::POST {
        return Err(DownloadRefusal::Method { allow: "POST" });
    }
    let unverified = bearer(request.headers()).unwrap_or_default();
    let now = state.clock.now();
    let command = with_keys(state, async |ring| verify_command(unverified, ring, &state.rules, now)).await?;
    state.revoke(&command.revoke).await?;
    let mut response = HttpResponse::NoContent();
    response::harden(&mut response);
    Ok(response.finish())
}

fn caller(request: &HttpRequest, addresses: &ClientAddresses) -> RequestClient {
    addresses.caller(request.peer_addr().map(|peer| peer.ip()), request.headers())
}

/// Returns whether `Accept` names HTML: browsers do, programs send `*/*`.
fn prefers_html(headers: &HeaderMap) -> bool {
    let accepts = |value: &header::HeaderValue| value.to_str().is_ok_and(|text| text.contains("text/html"));
    headers.get_all(header::ACCEPT).any(accepts)
}
