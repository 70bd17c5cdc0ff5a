//! `oncelink user …`: manages accounts. Works while the web app runs, because both use the database, and the
//! web app notices changes within a second.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::BufRead;

use serde_json::json;

use crate::cli::args::{UserAdd, UserCommand};
use crate::cli::error::CliError;
use crate::cli::output::{print, remark};
use crate::clock::Clock;
use crate::config::Settings;
use crate::human;
use crate::id::Jti;
use crate::web::accounts::store::AddOutcome;
use crate::web::audit::{Actor, AuditEvent};
use crate::web::identity::passwords::{Asker, Password, StoredPassword};
use crate::web::identity::{
    Account, AccountStage, Email, GroupName, InvalidEmail, InvalidGroup, InvalidName, NewAccount, PersonName,
};
use crate::web::membership::action_links::ActionPurpose;
use crate::web::membership::self_service::ChangeOutcome;
use crate::web::services::Services;
use crate::web::shares::rights::Rights;
use crate::web::tokens::issuer::IssueError;

pub(super) async fn run(settings: &Settings, command: UserCommand, clock: Clock) -> Result<(), CliError> {
    match command {
        UserCommand::Add(user) => add(settings, user, clock).await,
        UserCommand::List { json } => list(settings, json, clock).await,
        UserCommand::Disable { email } => set_disabled(settings, &email, true, clock).await,
        UserCommand::Enable { email } => set_disabled(settings, &email, false, clock).await,
        UserCommand::ResetSecondFactor { email } => reset_second_factor(settings, &email, clock).await,
        UserCommand::Passwd { email, password_stdin } => {
            passwd(settings, &email, password_stdin, clock).await
        }
    }
}

async fn add(settings: &Settings, user: UserAdd, clock: Clock) -> Result<(), CliError> {
    // All arguments are checked before anything is opened or created.
    let email = email_of(&user.email)?;
    let name = match &user.name {
        Some(name) => name
            .parse()
            .map_err(|wrong: InvalidName| usage("--name", &wrong, "choose another name, or omit it"))?,
        None => PersonName::from_email(&email),
    };
    let groups = user
        .groups
        .iter()
        .map(|group| {
            group.parse().map_err(|wrong: InvalidGroup| {
                usage("--group", &wrong, "use a name from `read` or `write` of a share")
            })
        })
        .collect::<Result<BTreeSet<GroupName>, _>>()?;
    let password = user.password_stdin.then(|| read_password(settings)).transpose()?;
    let services = Services::open(settings, clock).await?;
    let password = hashed(&services, password).await?;
    let has_password = password.is_some();
    let known = Rights::new(&settings.shares).groups();
    for group in groups.iter().map(GroupName::as_str).filter(|group| !known.contains(*group)) {
        let known = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let there = if known.is_empty() {
            "no share names a group".to_owned()
        } else {
            format!("known groups: {known}")
        };
        remark(&format!("warning: no share names the group `{group}`, so it gives no access; {there}"));
    }
    let new = NewAccount { email, name, admin: user.admin, groups, password };
    let account = match services.accounts.add(new, services.clock.now()).await? {
        AddOutcome::New(account) => account,
        AddOutcome::EmailTaken | AddOutcome::NotTheFirst => {
            return Err(CliError::AccountExists { email: user.email });
        }
    };
    let (actor, now) = (Actor::operator(), services.clock.now());
    services.account_admin.note(&account.email, &actor, AuditEvent::AccountMade, now).await?;
    remark(&format!("created account {} for {}", account.id, account.email));
    if has_password { Ok(()) } else { print_link(&services, &account).await }
}

async fn list(settings: &Settings, json: bool, clock: Clock) -> Result<(), CliError> {
    let services = Services::open(settings, clock).await?;
    let accounts = services.accounts.list().await?;
    if json {
        let accounts: Vec<_> = accounts.iter().map(as_json).collect();
        return print(&format!("{}\n", json!(accounts)));
    }
    if accounts.is_empty() {
        remark("there are no accounts yet; create the first one with `oncelink user add EMAIL --admin`");
    }
    let mut text = String::new();
    for account in &accounts {
        let mut marks = Vec::new();
        marks.extend(account.admin.then_some("administrator"));
        marks.extend(account.disabled.then_some("disabled"));
        marks.extend(account.password.is_none().then_some("no password yet"));
        let groups: Vec<&str> = account.groups.iter().map(String::as_str).collect();
        let _ = writeln!(
            text,
            "{}\t{}\t{}\t{}",
            account.email,
            account.name.as_str(),
            groups.join(","),
            marks.join(", ")
        );
    }
    print(&text)
}

async fn set_disabled(
    settings: &Settings,
    email: &str,
    disabled: bool,
    clock: Clock,
) -> Result<(), CliError> {
    let email = email_of(email)?;
    let services = Services::open(settings, clock).await?;
    let account = existing(&services, &email).await?;
    let now = services.clock.now();
    let actor = Actor::operator();
    match services.account_admin.set_disabled(&account, disabled, &actor, now).await? {
        ChangeOutcome::LastAdministrator => {
            return Err(CliError::LastAdministrator { email: email.to_string() });
        }
        ChangeOutcome::Overtaken | ChangeOutcome::EmailTaken => {
            return Err(CliError::NoAccount { email: email.to_string() });
        }
        ChangeOutcome::Done => {}
    }
    if disabled {
        revoke(&services).await;
    }
    remark(&match disabled {
        true => format!("{email} can no longer log in and was logged out everywhere"),
        false => format!("{email} can log in again"),
    });
    Ok(())
}

async fn reset_second_factor(settings: &Settings, email: &str, clock: Clock) -> Result<(), CliError> {
    let email = email_of(email)?;
    let services = Services::open(settings, clock).await?;
    let account = existing(&services, &email).await?;
    let (actor, now) = (Actor::operator(), services.clock.now());
    let event = AuditEvent::SecondFactorReset;
    remark(&match services.second_factors.remove(&account, &actor, event, now).await? {
        true => format!("{email} logs in with the password alone now"),
        false => format!("{email} has no second factor"),
    });
    Ok(())
}

/// The first process that reaches the download services revokes the account's tokens.
async fn revoke(services: &Services) {
    let (now, revocations) = (services.clock.now(), &services.issued.revocations);
    let delivered = match revocations.set_http_sinks(&services.issuer) {
        Ok(()) => revocations.deliver(true, now).await.iter().all(|node| node.outcome.is_ok()),
        Err(_) => false,
    };
    if !delivered {
        remark("its download links are revoked when the web app reaches the download service");
    }
}

async fn passwd(
    settings: &Settings,
    email: &str,
    password_stdin: bool,
    clock: Clock,
) -> Result<(), CliError> {
    let email = email_of(email)?;
    let password = password_stdin.then(|| read_password(settings)).transpose()?;
    let services = Services::open(settings, clock).await?;
    let account = existing(&services, &email).await?;
    match hashed(&services, password).await? {
        None => print_link(&services, &account).await,
        Some(password) => {
            if !services.accounts.set_password(&account, &password, services.clock.now()).await? {
                return Err(CliError::AccountChanged { email: email.to_string() });
            }
            let (actor, now) = (Actor::operator(), services.clock.now());
            services.account_admin.note(&email, &actor, AuditEvent::PasswordReset, now).await?;
            remark(&format!("{email} has the new password and was logged out everywhere"));
            Ok(())
        }
    }
}

/// Prints only the link to standard output, so that a program can use it.
async fn print_link(services: &Services, account: &Account) -> Result<(), CliError> {
    let purpose = match account.stage() {
        AccountStage::Invited => ActionPurpose::Invite,
        AccountStage::SignedUp | AccountStage::Active => ActionPurpose::Reset,
    };
    let now = services.clock.now();
    let link =
        services.actions.issue(purpose, account, "", Jti::random().map_err(IssueError::from)?, now).await?;
    let until = human::exact_time(link.until);
    remark(&format!("{} can choose a password with this link, once, until {until}:", account.email));
    print(&format!("{}\n", link.address))
}

async fn existing(services: &Services, email: &Email) -> Result<Account, CliError> {
    let account = services.accounts.by_email(email).await?;
    account.ok_or_else(|| CliError::NoAccount { email: email.to_string() })
}

async fn hashed(services: &Services, password: Option<Password>) -> Result<Option<StoredPassword>, CliError> {
    match password {
        Some(password) => Ok(Some(services.passwords.hash(Asker::Operator, password).await?)),
        None => Ok(None),
    }
}

fn email_of(text: &str) -> Result<Email, CliError> {
    text.parse().map_err(|wrong: InvalidEmail| usage("EMAIL", &wrong, "check the address"))
}

/// Reads the first line of standard input.
fn read_password(settings: &Settings) -> Result<Password, CliError> {
    let mut line = zeroize::Zeroizing::new(String::new());
    std::io::stdin().lock().read_line(&mut line).map_err(CliError::Input)?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    Password::new(line, settings.web.password_min)
        .map_err(|weak| usage("--password-stdin", &weak, "choose another password"))
}

fn usage(argument: &'static str, problem: &dyn std::error::Error, remedy: &str) -> CliError {
    CliError::Usage { argument, problem: problem.to_string(), remedy: remedy.to_owned() }
}

fn as_json(account: &Account) -> serde_json::Value {
    json!({
        "id": account.id.as_str(),
        "email": account.email.as_str(),
        "name": account.name.as_str(),
        "admin": account.admin,
        "groups": account.groups,
        "disabled": account.disabled,
        "has_password": account.password.is_some(),
        "created_at": account.created_at.to_string(),
        "last_login_at": account.last_login_at.map(|at| at.to_string()),
    })
}
