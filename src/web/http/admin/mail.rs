//! `/admin/mail`: the mails that wait, were sent or were given up, and a test mail.

use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::id::MailId;
use crate::web::audit::AuditEvent;
use crate::web::http::admin::administrator::{AdminForm, Administrator};
use crate::web::http::admin::mail_page::{MailPage, MailRow, MailStateRow, Tested};
use crate::web::http::admin::pager::{ListQuery, PAGE_SIZE, Pager};
use crate::web::http::error::WebError;
use crate::web::http::extract::SignedIn;
use crate::web::http::fields::sentence;
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::respond::{
    AppData, html, html_with_flash, redirect_with_flash, see_other, unprocessable,
};
use crate::web::identity::Email;
use crate::web::mail::MailKind;
use crate::web::mail::queue::{MailState, QueuedMail};
use crate::web::throttle::MailCause;

/// `GET /admin/mail`
pub(crate) async fn list(
    app: AppData,
    request: HttpRequest,
    administrator: Administrator,
    view: Option<Query<ListQuery>>,
) -> Result<HttpResponse, WebError> {
    let mut page = page_of(&app, &administrator.who, view.map(Query::into_inner).unwrap_or_default()).await?;
    html_with_flash(&app, &request, |flash| {
        page.chrome.flash = flash;
        page
    })
}

async fn page_of(app: &AppData, who: &SignedIn, view: ListQuery) -> Result<MailPage, WebError> {
    let queue = &app.services.queue;
    let shown = view.state.parse().unwrap_or(MailState::Waiting);
    let mut states = Vec::new();
    for state in MailState::ALL {
        let label = match state {
            MailState::Waiting => "Waiting",
            MailState::Sent => "Sent",
            MailState::Failed => "Given up",
        };
        states.push(MailStateRow {
            word: state.as_str(),
            label,
            count: queue.count(state).await?,
            shown: state == shown,
        });
    }
    let mut mails = queue.list(shown, view.offset(), PAGE_SIZE + 1).await?;
    let more = mails.len() > PAGE_SIZE as usize;
    mails.truncate(PAGE_SIZE as usize);
    Ok(MailPage {
        chrome: who.form_chrome("Emails", Section::Admin),
        states,
        rows: mails.into_iter().map(row).collect(),
        shown: shown.as_str(),
        can_retry: shown != MailState::Sent,
        test_address: who.account().email.as_str().to_owned(),
        test_error: None,
        tested: None,
        pager: Pager::new(&format!("/admin/mail?state={}", shown.as_str()), view.page, more),
        now: app.services.clock.now(),
    })
}

fn row(mail: QueuedMail) -> MailRow {
    let about = match mail.kind {
        MailKind::SignUp => "sign-up",
        MailKind::Forgot => "link into the account",
        MailKind::Invite => "invitation",
        MailKind::ConfirmAddress => "confirmation of an address",
        MailKind::AddressChanged => "notice of a changed address",
        MailKind::PasswordChanged => "notice of a changed password",
        MailKind::AccountDeleted => "notice of a deleted account",
        MailKind::Taken => "notice of a complete download",
        MailKind::Received => "notice of received files",
        MailKind::Link => "link to a file",
        MailKind::LinkCode => "code for a link",
        MailKind::WebhookDisabled => "notice of a webhook that was turned off",
        MailKind::Test => "test mail",
    };
    MailRow {
        id: mail.id.to_string(),
        about,
        recipient: mail.recipient.as_str().to_owned(),
        attempts: mail.attempts,
        queued: mail.queued_at,
        next: (mail.state == MailState::Waiting).then_some(mail.next_at),
        problem: mail.problem,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailForm {
    id: MailId,
}

/// `POST /admin/mail/retry`
pub(crate) async fn retry(app: AppData, form: AdminForm<MailForm>) -> Result<HttpResponse, WebError> {
    let (services, id) = (&app.services, &form.fields.id);
    let now = services.clock.now();
    let found = services.account_admin.retry_mail(id, &form.actor, now).await?;
    redirect_to_list(&app, found).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailStateForm {
    state: String,
}

/// `POST /admin/mail/retry-all`
pub(crate) async fn retry_all(
    app: AppData,
    form: AdminForm<MailStateForm>,
) -> Result<HttpResponse, WebError> {
    let word = form.fields.state.as_str();
    let state = [MailState::Waiting, MailState::Failed].into_iter().find(|state| state.as_str() == word);
    let state = state.ok_or(WebError::Invalid("there are no such mails"))?;
    let services = &app.services;
    let now = services.clock.now();
    let tried = services.account_admin.retry_mails(state, &form.actor, now).await?;
    tracing::info!(account = %form.account().id, tried, "mails are tried again");
    services.queue.refresh_stuck(None, now).await?;
    redirect_with_flash(&app, "/admin/mail", FlashMessage::MailsRetried)
}

/// `POST /admin/mail/discard`
pub(crate) async fn discard(app: AppData, form: AdminForm<MailForm>) -> Result<HttpResponse, WebError> {
    let (services, id) = (&app.services, &form.fields.id);
    let now = services.clock.now();
    let found = services.account_admin.discard_mail(id, &form.actor, now).await?;
    redirect_to_list(&app, found).await
}

/// Redirects to the list, after updating the number of stuck mails that the page's notice shows.
async fn redirect_to_list(app: &AppData, found: bool) -> Result<HttpResponse, WebError> {
    if !found {
        return Err(WebError::NotFound);
    }
    app.services.queue.refresh_stuck(None, app.services.clock.now()).await?;
    Ok(see_other("/admin/mail"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestMailForm {
    address: String,
}

/// `POST /admin/mail/test`: sends a test mail at once and shows what the server said, as
/// `oncelink mail test` does.
pub(crate) async fn test(app: AppData, form: AdminForm<TestMailForm>) -> Result<HttpResponse, WebError> {
    let AdminForm { who, actor, fields, sent } = form;
    let services = &app.services;
    let once = app.sent_forms.begin(sent).await?;
    if once.before().is_some() {
        return Ok(see_other("/admin/mail"));
    }
    let now = services.clock.now();
    let mut page = page_of(&app, &who, ListQuery::default()).await?;
    let rerender_form = |mut page: MailPage, why: String| {
        page.test_error = Some(why);
        page.test_address.clone_from(&fields.address);
        unprocessable(&page)
    };
    let to: Email = match fields.address.trim().parse() {
        Ok(to) => to,
        Err(wrong) => return rerender_form(page, sentence(&wrong)),
    };
    if !app.throttle.mail(MailCause::Test, to.key(), now) {
        let why = "This address has just had several test emails. Wait a moment, then try again.";
        return rerender_form(page, why.to_owned());
    }
    services.account_admin.note(&to, &actor, AuditEvent::MailTried, now).await?;
    let answer = app.test_mailer.send(&to, now).await;
    once.done("/admin/mail", "", now).await?;
    match &answer {
        Ok(said) => tracing::info!(said, "a test mail was sent"),
        Err(problem) => tracing::warn!("a test mail was not sent: {problem}"),
    }
    page.test_address.clone_from(&fields.address);
    page.tested = Some(Tested { to: to.as_str().to_owned(), answer });
    html(&page)
}
