//! `/admin/mail`: what waits, was sent or was given up.

use actix_web::HttpResponse;
use actix_web::web::Query;
use serde::Deserialize;

use super::super::{App, html, see_other};
use super::{AdminForm, Administrator, PAGE, View, pager};
use crate::web::error::WebError;
use crate::web::mail::Kind;
use crate::web::mail::queue::{Queued, State};
use crate::web::pages::Section;
use crate::web::pages::admin::mail::{MailList, MailRow, MailState};

/// `GET /admin/mail`
pub(super) async fn list(
    app: App,
    administrator: Administrator,
    view: Option<Query<View>>,
) -> Result<HttpResponse, WebError> {
    let view = view.map(Query::into_inner).unwrap_or_default();
    let queue = &app.administration.queue;
    let shown = State::ALL.into_iter().find(|state| state.word() == view.state).unwrap_or(State::Waiting);
    let mut states = Vec::new();
    for state in State::ALL {
        let label = match state {
            State::Waiting => "Waiting",
            State::Sent => "Sent",
            State::Failed => "Given up",
        };
        states.push(MailState {
            word: state.word(),
            label,
            count: queue.count(state).await?,
            shown: state == shown,
        });
    }
    let mut mails = queue.list(shown, view.offset(), PAGE + 1).await?;
    let more = mails.len() > PAGE as usize;
    mails.truncate(PAGE as usize);
    html(&MailList {
        chrome: administrator.who.chrome("Mails", Section::Admin),
        states,
        rows: mails.into_iter().map(row).collect(),
        can_retry: shown != State::Sent,
        pager: pager(&format!("/admin/mail?state={}", shown.word()), view.page, more),
    })
}

fn row(mail: Queued) -> MailRow {
    let about = match mail.kind {
        Kind::SignUp => "sign-up",
        Kind::Forgot => "link into the account",
        Kind::Invite => "invitation",
        Kind::ConfirmAddress => "confirmation of an address",
        Kind::AddressChanged => "notice of another address",
        Kind::PasswordChanged => "notice of another password",
        Kind::AccountDeleted => "notice of a deleted account",
        Kind::Taken => "notice of a complete download",
        Kind::Link => "link to a file",
        Kind::LinkCode => "code for a link",
        Kind::Test => "test mail",
    };
    MailRow {
        id: mail.id,
        about,
        recipient: mail.recipient.as_str().to_owned(),
        attempts: mail.attempts,
        queued: mail.queued_at,
        next: (mail.state == State::Waiting).then_some(mail.next_at),
        problem: mail.problem,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chosen {
    id: String,
}

/// `POST /admin/mail/retry`
pub(super) async fn retry(app: App, form: AdminForm<Chosen>) -> Result<HttpResponse, WebError> {
    let (administration, id) = (&app.administration, &form.fields.id);
    let now = administration.clock.now();
    after(administration.account_admin.retry_mail(id, &form.actor, now).await?)
}

/// `POST /admin/mail/discard`
pub(super) async fn discard(app: App, form: AdminForm<Chosen>) -> Result<HttpResponse, WebError> {
    let (administration, id) = (&app.administration, &form.fields.id);
    let now = administration.clock.now();
    after(administration.account_admin.discard_mail(id, &form.actor, now).await?)
}

fn after(found: bool) -> Result<HttpResponse, WebError> {
    if found { Ok(see_other("/admin/mail")) } else { Err(WebError::NotFound) }
}
