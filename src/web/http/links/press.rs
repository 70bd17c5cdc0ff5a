//! `POST /l/{code}`: a press of a download button of a public link, by a browser or a program. A visitor who
//! began a download and did not get all of the file continues it.

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::files::FileError;
use crate::id::{FilePath, Jti, LinkId};
use crate::web::archives::BuiltArchive;
use crate::web::db::QueryError;
use crate::web::http::accept::prefers_json;
use crate::web::http::client::{ClientAddress, own_address};
use crate::web::http::error::WebError;
use crate::web::http::extract::OpenForm;
use crate::web::http::links::press_archive::archive_of;
use crate::web::http::links::public_link_answer::{PageOptions, show};
use crate::web::http::links::public_link_view::{PublicLinkView, open, visitor_of};
use crate::web::http::press_error::PressError;
use crate::web::http::problem::closed_link_page::ClosedReason;
use crate::web::http::respond::{AppData, add_cookie, blocking, redirect_to_download};
use crate::web::http::zip_words;
use crate::web::identity::passwords::{Asker, Password};
use crate::web::links::contents::{self, ContentsQuery};
use crate::web::links::mailed_code::CodeCheck;
use crate::web::links::offers::Offer;
use crate::web::links::uses::{Continuation, UseDecision, UseRequest};
use crate::web::links::{Link, Recipient, long_poll, progress};
use crate::web::revocations::issued::TokenBasis;
use crate::web::tokens::issuer::{DownloadTokenRequest, IssuedToken};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PressForm {
    /// The file, or `zip` for all files as one archive; may be omitted where there is only one file.
    pub(super) file: Option<String>,
    pub(super) password: Option<String>,
    pub(super) code: Option<String>,
    /// Present in the second press, where one is needed.
    again: Option<String>,
}

/// `POST /l/{code}`: redirects to the download service.
pub(crate) async fn take(
    app: AppData,
    request: HttpRequest,
    code: Path<String>,
    address: ClientAddress,
    form: OpenForm<PressForm>,
) -> Result<HttpResponse, WebError> {
    let opened = open(&app, &code).await?;
    app.throttle.press(&opened.link.id, address.0, app.services.clock.now())?;
    // A download may be finished after the link has expired.
    if let Some(why) = opened.closed.filter(|why| *why != ClosedReason::Ended) {
        return Err(opened.refusal(why));
    }
    let wanted = form.fields;
    let visitor = visitor_of(&app, form.secret.as_ref(), own_address(&request, &app), &opened.recipient);
    let is_all = wanted.file.as_deref() == Some(zip_words::ALL_FILES);
    let file = match file_of(&app, &opened, wanted.file.as_deref()).await? {
        PressedFile::File(file) => file,
        PressedFile::Nothing => return Err(opened.refusal(ClosedReason::Missing)),
        PressedFile::Refused(error) => {
            return show(&app, &request, &code, opened, PageOptions::refused(error)).await;
        }
    };
    let mark = visitor.mark.as_deref();
    if let Some(error) = check_proof(&app, &opened, wanted.password, wanted.code, address, mark).await? {
        return show(&app, &request, &code, opened, PageOptions::refused(error)).await;
    }
    let is_first = wanted.again.is_none() && form.is_of_a_page && !prefers_json(request.headers());
    if is_first && opened.needs_second_press() {
        let links = &app.services.links;
        let now = app.services.clock.now();
        let offers = links.offers(&opened.link, &opened.recipient, &visitor, now).await?;
        if !offers.has_begun() {
            return show(&app, &request, &code, opened, PageOptions::once_more(wanted.file)).await;
        }
    }
    let pressed = match is_all {
        false => PressedContent::of_file(&app, &opened, &file).await?,
        true => match archive_of(&app, &opened, &visitor, &file, address.0).await {
            Ok(archive) => PressedContent::of_archive(archive, &opened.link.title),
            Err(WebError::StillPreparing(progress)) if !prefers_json(request.headers()) => {
                let options = PageOptions::preparing(progress, wanted.again.is_some());
                return show(&app, &request, &code, opened, options).await;
            }
            Err(error) => return Err(error),
        },
    };
    let services = &app.services;
    let link = &opened.link;
    let node = app.node_for_token().await?;
    let began = services.clock.now();
    // A token ends with the link at the latest.
    let lifetime = services.issuer.lifetime;
    let lifetime = link.ends_at.map_or(lifetime, |end| lifetime.min(end.since(began)));
    let kid = services.issuer.signer.active_kid(began);
    let mut press = UseRequest {
        owner: &link.owner,
        recipient: &opened.recipient.id,
        named: opened.recipient.email.is_some(),
        visitor: &visitor,
        file: &file,
        size: pressed.size,
        version: &pressed.version,
        expires_at: began.plus(lifetime),
        basis: TokenBasis { node: &node.public_url, kid: &kid, link: Some((&link.id, link.terms_version)) },
    };
    wait_for_news(&app, &press, opened.recipient.left(link.uses_per_recipient) == Some(0), address).await?;
    let now = services.clock.now();
    press.expires_at = now.plus(lifetime);
    let issued = match services.links.press(&press, now).await? {
        UseDecision::Token(jti) => {
            issue(&app, &press, &pressed, &node.public_url, (jti, press.expires_at), now).await?
        }
        UseDecision::Again(jti, end) => {
            // A jti that was issued before is for the same node again.
            let before = services.issued.node_of(jti).await?;
            let node = before.as_deref().unwrap_or(&node.public_url);
            issue(&app, &press, &pressed, node, (jti, end), now).await?
        }
        UseDecision::Continue(begun) => {
            match issue_continuation(&app, &press, &pressed, &link.id, &begun, now).await? {
                Some(issued) => issued,
                None => return Err(opened.refusal(ClosedReason::Away)),
            }
        }
        UseDecision::UsedUp | UseDecision::Closed => {
            // The link has changed since we looked, or all uses are taken: show its current state.
            let opened = open(&app, &code).await?;
            return match why_not(&app, &opened, &press, now).await? {
                Some(why) => Err(opened.refusal(why)),
                // It has other terms now.
                None => show(&app, &request, &code, opened, PageOptions::default()).await,
            };
        }
    };
    tracing::info!(link = %link.id, recipient = %opened.recipient.id, jti = %issued.jti, file = ?file, "token issued through a link");
    let mut answer = redirect_to_download(&issued);
    // So that the browser can continue, even if it is closed in between.
    if let Some(secret) = &form.secret {
        add_cookie(&mut answer, &app.cookies.keep_form(secret))?;
    }
    Ok(answer)
}

/// What a token is issued for.
struct PressedContent {
    size: u64,
    /// The version of the file, or the digest of the archive's manifest.
    version: String,
    kind: PressedKind,
}

enum PressedKind {
    /// A file, with its `version` claim.
    File(String),
    /// An archive, with its file name.
    Archive(String),
}

impl PressedContent {
    async fn of_file(
        app: &AppData,
        opened: &PublicLinkView,
        file: &FilePath,
    ) -> Result<PressedContent, WebError> {
        let (shares, path) = (app.shares.clone(), file.clone());
        let claimed = match blocking(move || shares.claim(&path)).await? {
            Ok(claimed) => claimed,
            Err(FileError::Missing) => return Err(opened.refusal(ClosedReason::Missing)),
            Err(error) => return Err(error.into()),
        };
        let (size, version) = (claimed.version().len, claimed.version().to_string());
        Ok(PressedContent { size, version, kind: PressedKind::File(claimed.to_string()) })
    }

    fn of_archive(archive: BuiltArchive, title: &str) -> PressedContent {
        let kind = PressedKind::Archive(zip_words::file_name(title));
        PressedContent { size: archive.size, version: archive.digest, kind }
    }

    /// Requests a token for what was pressed, in the version `version`.
    fn order<'a>(&'a self, press: &UseRequest<'a>, version: &'a str) -> DownloadTokenRequest<'a> {
        match &self.kind {
            PressedKind::File(_) => DownloadTokenRequest {
                version: Some(version).filter(|version| !version.is_empty()),
                ..DownloadTokenRequest::new(press.owner.as_str(), press.file)
            },
            PressedKind::Archive(name) => DownloadTokenRequest::archive(press.owner.as_str(), version, name),
        }
    }
}

/// Issues a token at `node` for what was pressed, with the jti and the end that were recorded.
async fn issue(
    app: &AppData,
    press: &UseRequest<'_>,
    pressed: &PressedContent,
    node: &str,
    (jti, end): (Jti, Timestamp),
    now: Timestamp,
) -> Result<IssuedToken, WebError> {
    let (version, digest) = match &pressed.kind {
        PressedKind::File(claim) => (claim, app.digests.of(press.file, press.version).await?),
        PressedKind::Archive(_) => (&pressed.version, None),
    };
    let order = DownloadTokenRequest {
        digest: digest.as_deref(),
        link: press.basis.link.map(|(link, _)| link),
        size: Some(press.size),
        lifetime: Some(end.since(now)),
        ..pressed.order(press, version)
    };
    let issuer = app.services.issuer.for_audience(node);
    Ok(issuer.issue_download_as(jti, &order, now)?)
}

/// Issues a token that continues a download of the file as it was when it began. Such a token never redeems.
/// `None` while the node that began the download is not ready.
async fn issue_continuation(
    app: &AppData,
    press: &UseRequest<'_>,
    pressed: &PressedContent,
    link: &LinkId,
    begun: &Continuation,
    now: Timestamp,
) -> Result<Option<IssuedToken>, WebError> {
    let services = &app.services;
    let Some(node) = services.issued.node_of(begun.jti).await? else { return Ok(None) };
    if !app.nodes.readiness().of(&node, &services.nodes, &services.issuer, now).await? {
        return Ok(None);
    }
    let issuer = services.issuer.for_audience(&node);
    let order = DownloadTokenRequest {
        again: true,
        link: Some(link),
        size: Some(begun.size),
        lifetime: Some(issuer.lifetime.min(begun.until.since(now))),
        ..pressed.order(press, &begun.version)
    };
    Ok(Some(issuer.issue_download_as(begun.jti, &order, now)?))
}

/// Returns why a press got no token; `None` where it is not for lack of uses.
async fn why_not(
    app: &AppData,
    opened: &PublicLinkView,
    press: &UseRequest<'_>,
    now: Timestamp,
) -> Result<Option<ClosedReason>, WebError> {
    if opened.closed.is_some() {
        return Ok(opened.closed);
    }
    let links = &app.services.links;
    let offers = links.offers(&opened.link, &opened.recipient, press.visitor, now).await?;
    let downloaded = press.visitor.mark.is_some() && offers.has_downloaded();
    let none_left = opened.recipient.left(opened.link.uses_per_recipient) == Some(0);
    Ok(match opened.used_up(&offers) {
        _ if downloaded && none_left => Some(ClosedReason::Downloaded),
        None if none_left && offers.of(press.file.as_str(), None) == Offer::Elsewhere => {
            Some(ClosedReason::Elsewhere)
        }
        // This visitor can continue another file, but not this one.
        None if none_left => Some(ClosedReason::UsedUpForNow),
        why => why,
    })
}

/// Waits a moment for news of a download that a program may be about to continue.
async fn wait_for_news(
    app: &AppData,
    press: &UseRequest<'_>,
    none_left: bool,
    ClientAddress(address): ClientAddress,
) -> Result<(), WebError> {
    if !press.visitor.is_program() {
        return Ok(());
    }
    let (links, clock) = (&app.services.links, &app.services.clock);
    let end = tokio::time::Instant::now() + long_poll::LONGEST;
    let mut tick = tokio::time::interval(long_poll::LOOK_EVERY);
    let mut turn = None;
    loop {
        tick.tick().await;
        let begun = progress::of(links.db.reader(), press.recipient, press.visitor, Some(press.file)).await;
        let begun = begun.map_err(QueryError::from)?;
        let may_change = long_poll::may_change(&begun, none_left, &links.lease, clock.now());
        if !may_change || tokio::time::Instant::now() >= end {
            return Ok(());
        }
        if turn.is_none() {
            turn = app.long_polls.begin(address);
        }
        if turn.is_none() {
            return Ok(());
        }
    }
}

/// The file of a press.
pub(super) enum PressedFile {
    File(FilePath),
    Nothing,
    Refused(PressError),
}

/// Finds the file of a press among those that the link can give.
pub(super) async fn file_of(
    app: &AppData,
    opened: &PublicLinkView,
    key: Option<&str>,
) -> Result<PressedFile, WebError> {
    if key == Some(zip_words::ALL_FILES) {
        return Ok(opened.archive_path().map_or(PressedFile::Nothing, PressedFile::File));
    }
    if let Some(key) = key {
        let found = contents::find(&opened.link.files, key, opened.link.hidden_files);
        let readable = |place: usize| opened.places.iter().any(|(readable, _)| *readable == place);
        return Ok(match found {
            Some((place, file)) if readable(place) => PressedFile::File(file),
            _ => PressedFile::Refused(PressError::UnknownFile),
        });
    }
    let mut items = opened.contents(app, ContentsQuery::default()).await?.items.into_iter();
    Ok(match (items.next(), items.next()) {
        (Some(only), None) => PressedFile::File(only.path),
        (None, _) => PressedFile::Nothing,
        (Some(_), Some(_)) => PressedFile::Refused(PressError::NoFile),
    })
}

/// Checks the password and the code that the link asks for, and returns what is wrong with them. Uses up
/// nothing.
pub(super) async fn check_proof(
    app: &AppData,
    opened: &PublicLinkView,
    password: Option<String>,
    code: Option<String>,
    ClientAddress(address): ClientAddress,
    browser: Option<&str>,
) -> Result<Option<PressError>, WebError> {
    let (link, recipient): (&Link, &Recipient) = (&opened.link, &opened.recipient);
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let (password, code) = (given(password), given(code));
    if link.password.is_none() && !link.mailed_code {
        return Ok(None);
    }
    if link.password.is_some() && password.is_none() {
        return Ok(Some(PressError::NoPassword));
    }
    if link.mailed_code && code.is_none() {
        return Ok(Some(PressError::NoCode));
    }
    let services = &app.services;
    let now = services.clock.now();
    let of = (&link.id, &recipient.id);
    let attempt = app.throttle.guess(of, address, browser, now)?;
    if let (Some(stored), Some(password)) = (&link.password, &password) {
        let is_it = services
            .passwords
            .verify(Asker::Visitor(address), Password::presented(password), Some(stored))
            .await?;
        if !is_it {
            return Ok(Some(PressError::WrongPassword));
        }
    }
    if let (true, Some(code)) = (link.mailed_code, &code) {
        match services.links.try_code(recipient, code, now).await? {
            CodeCheck::Right => {}
            CodeCheck::Wrong => return Ok(Some(PressError::WrongCode)),
            CodeCheck::Over => return Ok(Some(PressError::ExpiredCode)),
        }
    }
    app.throttle.succeeded(attempt, now);
    Ok(None)
}
