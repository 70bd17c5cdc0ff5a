//! `/admin/accounts` and `/admin/invite`: listing, changing and inviting accounts.

use std::collections::BTreeSet;

use actix_web::web::{Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::web::accounts::store::AddOutcome;
use crate::web::audit::AuditEvent;
use crate::web::http::admin::accounts_page::{AccountPage, AccountRow, AccountsPage, InvitePage};
use crate::web::http::admin::administrator::{AdminForm, Administrator};
use crate::web::http::admin::group_fields;
use crate::web::http::admin::pager::{ListQuery, PAGE_SIZE, Pager};
use crate::web::http::error::WebError;
use crate::web::http::extract::{EmptyForm, SignedIn};
use crate::web::http::fields::{FieldErrors, parse_field, sentence};
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::respond::{
    AppData, html, html_with_flash, redirect_again, redirect_with_flash, see_other, unprocessable,
};
use crate::web::http::session_row::session_row;
use crate::web::identity::{Account, AccountStage, Email, GroupName, NewAccount, PersonName};
use crate::web::membership::self_service::ChangeOutcome;
use crate::web::second_factor::FactorState;
use crate::web::sessions::SessionSelection;

const ONLY_ADMINISTRATOR: &str = "This is the only administrator. Make someone else an administrator first.";

/// `GET /admin`
pub(crate) async fn home(_: Administrator) -> HttpResponse {
    see_other("/admin/accounts")
}

/// `GET /admin/accounts`
pub(crate) async fn list(
    app: AppData,
    request: HttpRequest,
    administrator: Administrator,
    view: Option<Query<ListQuery>>,
) -> Result<HttpResponse, WebError> {
    let view = view.map(Query::into_inner).unwrap_or_default();
    let (accounts, count) = app.services.accounts.search(view.q.trim(), view.offset(), PAGE_SIZE).await?;
    let seen = u64::from(view.offset()) + accounts.len() as u64;
    let address = format!("/admin/accounts?q={}", utf8_percent_encode(&view.q, NON_ALPHANUMERIC));
    let mut page = AccountsPage {
        chrome: administrator.who.chrome("Accounts", Section::Admin),
        count,
        rows: accounts.iter().map(account_row).collect(),
        pager: Pager::new(&address, view.page, seen < count),
        now: app.services.clock.now(),
        query: view.q,
    };
    html_with_flash(&app, &request, |flash| {
        page.chrome.flash = flash;
        page
    })
}

fn account_row(account: &Account) -> AccountRow {
    let state = match (account.disabled, account.stage()) {
        (true, _) => "disabled",
        (false, AccountStage::Active) => "active",
        (false, AccountStage::Invited) => "invited",
        (false, AccountStage::SignedUp) => "not activated yet",
    };
    AccountRow {
        id: account.id.as_str().to_owned(),
        email: account.email.as_str().to_owned(),
        name: account.name.as_str().to_owned(),
        state,
        admin: account.admin,
        groups: account.groups.iter().cloned().collect(),
        last_login: account.last_login_at,
    }
}

/// `GET /admin/accounts/{id}`
pub(crate) async fn detail(
    app: AppData,
    request: HttpRequest,
    administrator: Administrator,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    let account = find(&app, &id).await?;
    let mut page = page_of(&app, &administrator.who, &account).await?;
    html_with_flash(&app, &request, |flash| {
        page.chrome.flash = flash;
        page
    })
}

async fn find(app: &AppData, id: &str) -> Result<Account, WebError> {
    app.services.account_admin.find(id).await?.ok_or(WebError::NotFound)
}

async fn page_of(app: &AppData, who: &SignedIn, account: &Account) -> Result<AccountPage, WebError> {
    let now = app.services.clock.now();
    let sessions = app.sessions.of(&account.id, now).await?;
    let row = account_row(account);
    Ok(AccountPage {
        chrome: who.chrome(account.email.as_str(), Section::Admin),
        disabled: account.disabled,
        active: account.stage() == AccountStage::Active,
        created: account.created_at,
        groups: row.groups.join(" "),
        known_groups: known_groups(app),
        admin: account.admin,
        has_factor: matches!(app.services.second_factors.state(&account.id).await?, FactorState::On { .. }),
        sessions: sessions.into_iter().map(|listed| session_row(listed, None)).collect(),
        errors: FieldErrors::default(),
        now,
        row,
    })
}

fn known_groups(app: &AppData) -> Vec<String> {
    app.rights.groups().into_iter().collect()
}

/// Redirects to the account's page, which says that the change is saved.
fn redirect_to_account(app: &AppData, id: &str) -> Result<HttpResponse, WebError> {
    redirect_with_flash(app, &format!("/admin/accounts/{id}"), FlashMessage::Saved)
}

/// Shows the account's page again, with the reason why nothing was changed.
async fn rerender_account(
    app: &AppData,
    who: &SignedIn,
    account: &Account,
    errors: FieldErrors,
) -> Result<HttpResponse, WebError> {
    let page = AccountPage { errors, ..page_of(app, who, account).await? };
    unprocessable(&page)
}

/// Responds with the outcome of a change.
async fn into_response<T>(
    app: &AppData,
    form: &AdminForm<T>,
    account: &Account,
    changed: ChangeOutcome,
) -> Result<HttpResponse, WebError> {
    match changed {
        ChangeOutcome::Done => redirect_to_account(app, account.id.as_str()),
        ChangeOutcome::Overtaken | ChangeOutcome::EmailTaken => Err(WebError::NotFound),
        ChangeOutcome::LastAdministrator => {
            let errors = FieldErrors { form: Some(ONLY_ADMINISTRATOR.to_owned()), ..FieldErrors::default() };
            rerender_account(app, &form.who, account, errors).await
        }
    }
}

/// `POST /admin/accounts/{id}/link`
pub(crate) async fn send_link(
    app: AppData,
    id: Path<String>,
    form: AdminForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let EmptyForm {} = form.fields;
    let account = find(&app, &id).await?;
    let now = app.services.clock.now();
    app.services.account_admin.send_link(&account, form.account(), &form.actor, now).await?;
    redirect_to_account(&app, &id)
}

/// `POST /admin/accounts/{id}/disable`
pub(crate) async fn disable(
    app: AppData,
    id: Path<String>,
    form: AdminForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    set_disabled(&app, &id, &form, true).await
}

/// `POST /admin/accounts/{id}/enable`
pub(crate) async fn enable(
    app: AppData,
    id: Path<String>,
    form: AdminForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    set_disabled(&app, &id, &form, false).await
}

async fn set_disabled(
    app: &AppData,
    id: &str,
    form: &AdminForm<EmptyForm>,
    disabled: bool,
) -> Result<HttpResponse, WebError> {
    let EmptyForm {} = form.fields;
    let account = find(app, id).await?;
    let services = &app.services;
    let now = services.clock.now();
    let changed = services.account_admin.set_disabled(&account, disabled, &form.actor, now).await?;
    services.revoke_now().await;
    into_response(app, form, &account, changed).await
}

#[derive(Deserialize)]
#[serde(try_from = "Vec<(String, String)>")]
pub(crate) struct RightsForm {
    groups: String,
    admin: Option<String>,
}

impl TryFrom<Vec<(String, String)>> for RightsForm {
    type Error = &'static str;

    fn try_from(fields: Vec<(String, String)>) -> Result<RightsForm, &'static str> {
        let mut fields = group_fields::joined(fields, &["groups", "admin"])?;
        let groups = fields.remove("groups").ok_or("missing field")?;
        Ok(RightsForm { groups, admin: fields.remove("admin") })
    }
}

/// `POST /admin/accounts/{id}/rights`
pub(crate) async fn set_rights(
    app: AppData,
    id: Path<String>,
    form: AdminForm<RightsForm>,
) -> Result<HttpResponse, WebError> {
    let account = find(&app, &id).await?;
    let mut errors = FieldErrors::default();
    let admin = form.fields.admin.is_some();
    let Some(groups) = groups(&form.fields.groups, &mut errors) else {
        let typed = form.fields.groups.clone();
        let page = AccountPage { errors, groups: typed, admin, ..page_of(&app, &form.who, &account).await? };
        return unprocessable(&page);
    };
    let now = app.services.clock.now();
    let changed = app.services.account_admin.set_rights(&account, &groups, admin, &form.actor, now).await?;
    app.services.revoke_now().await;
    match changed {
        ChangeOutcome::LastAdministrator => {
            let errors = FieldErrors { form: Some(ONLY_ADMINISTRATOR.to_owned()), ..FieldErrors::default() };
            let groups = form.fields.groups.clone();
            let page = AccountPage { errors, groups, admin, ..page_of(&app, &form.who, &account).await? };
            unprocessable(&page)
        }
        changed => into_response(&app, &form, &account, changed).await,
    }
}

fn groups(text: &str, errors: &mut FieldErrors) -> Option<BTreeSet<GroupName>> {
    let groups = text.split_whitespace().map(str::parse).collect::<Result<BTreeSet<GroupName>, _>>();
    groups.map_err(|wrong| errors.groups = Some(sentence(&wrong))).ok()
}

/// `POST /admin/accounts/{id}/end-sessions`
pub(crate) async fn end_sessions(
    app: AppData,
    id: Path<String>,
    form: AdminForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let EmptyForm {} = form.fields;
    let account = find(&app, &id).await?;
    let now = app.services.clock.now();
    app.sessions.end_selected(&account, SessionSelection::All, &form.actor, now).await?;
    redirect_to_account(&app, &id)
}

/// `POST /admin/accounts/{id}/second-factor`: removes it, for an owner who has lost it.
pub(crate) async fn reset_factor(
    app: AppData,
    id: Path<String>,
    form: AdminForm<EmptyForm>,
) -> Result<HttpResponse, WebError> {
    let EmptyForm {} = form.fields;
    let account = find(&app, &id).await?;
    let (factors, now) = (&app.services.second_factors, app.services.clock.now());
    factors.remove(&account, &form.actor, AuditEvent::SecondFactorReset, now).await?;
    redirect_to_account(&app, &id)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmDeleteForm {
    email: String,
}

/// `POST /admin/accounts/{id}/delete`
pub(crate) async fn delete(
    app: AppData,
    id: Path<String>,
    form: AdminForm<ConfirmDeleteForm>,
) -> Result<HttpResponse, WebError> {
    let account = find(&app, &id).await?;
    if form.fields.email.trim().to_ascii_lowercase() != account.email.key() {
        let wrong = "This is not the address of the account.".to_owned();
        let errors = FieldErrors { email: Some(wrong), ..FieldErrors::default() };
        return rerender_account(&app, &form.who, &account, errors).await;
    }
    let services = &app.services;
    let changed = services.account_admin.delete(&account, &form.actor, services.clock.now()).await?;
    services.revoke_now().await;
    match changed {
        ChangeOutcome::Done => redirect_with_flash(&app, "/admin/accounts", FlashMessage::Saved),
        other => into_response(&app, &form, &account, other).await,
    }
}

/// `GET /admin/invite`
pub(crate) async fn invite_page(
    app: AppData,
    administrator: Administrator,
) -> Result<HttpResponse, WebError> {
    html(&InvitePage::new(
        administrator.who.form_chrome("Invite someone", Section::Admin),
        known_groups(&app),
    ))
}

#[derive(Deserialize)]
#[serde(try_from = "Vec<(String, String)>")]
pub(crate) struct InviteForm {
    email: String,
    name: String,
    groups: String,
    admin: Option<String>,
}

impl TryFrom<Vec<(String, String)>> for InviteForm {
    type Error = &'static str;

    fn try_from(fields: Vec<(String, String)>) -> Result<InviteForm, &'static str> {
        let mut fields = group_fields::joined(fields, &["email", "name", "groups", "admin"])?;
        let mut text = |name: &str| fields.remove(name).ok_or("missing field");
        let (email, name, groups) = (text("email")?, text("name")?, text("groups")?);
        Ok(InviteForm { email, name, groups, admin: fields.remove("admin") })
    }
}

/// `POST /admin/invite`
pub(crate) async fn invite(app: AppData, form: AdminForm<InviteForm>) -> Result<HttpResponse, WebError> {
    let once = app.sent_forms.begin(form.sent.clone()).await?;
    if let Some(before) = once.before() {
        return redirect_again(&app, before);
    }
    let fields = &form.fields;
    let mut errors = FieldErrors::default();
    let email = parse_field::<Email>(&fields.email, &mut errors.email);
    let name = match fields.name.trim() {
        "" => email.as_ref().map(PersonName::from_email),
        name => parse_field::<PersonName>(name, &mut errors.name),
    };
    let groups = groups(&fields.groups, &mut errors);
    if let (Some(email), Some(name), Some(groups)) = (email, name, groups) {
        let services = &app.services;
        let now = services.clock.now();
        let new = NewAccount { email, name, admin: fields.admin.is_some(), groups, password: None };
        let forget_at = now.plus(app.signup.unactivated_max);
        let by = form.account();
        match services.account_admin.invite(new, by, &form.actor, forget_at, now).await? {
            AddOutcome::New(account) => {
                let to = format!("/admin/accounts/{}", account.id);
                once.done(&to, FlashMessage::Saved.as_str(), now).await?;
                return redirect_to_account(&app, account.id.as_str());
            }
            AddOutcome::EmailTaken | AddOutcome::NotTheFirst => {
                errors.email = Some("There is an account with this address already.".to_owned());
            }
        }
    }
    unprocessable(&InvitePage {
        email: fields.email.clone(),
        name: fields.name.clone(),
        groups: fields.groups.clone(),
        admin: fields.admin.is_some(),
        errors,
        ..InvitePage::new(form.who.form_chrome("Invite someone", Section::Admin), known_groups(&app))
    })
}
