//! `oncelink mail …`: manages the email queue and tests the mail server.

use std::fmt::Write;
use std::io::Read;

use serde_json::json;

use crate::cli::args::MailCommand;
use crate::cli::error::CliError;
use crate::cli::output::{print, remark};
use crate::clock::Clock;
use crate::config::Settings;
use crate::id::MailId;
use crate::web::audit::Actor;
use crate::web::identity::{Email, InvalidEmail};
use crate::web::mail::queue::{MailState, QueuedMail};
use crate::web::mail::{bounce, test_mail};
use crate::web::services::Services;

/// Maximum number of emails listed.
const LISTED: u32 = 1_000;
/// Maximum size of a bounce, in bytes.
const BOUNCE_MAX: u64 = 1 << 20;

pub(super) async fn run(settings: &Settings, command: MailCommand, clock: Clock) -> Result<(), CliError> {
    match command {
        MailCommand::Test { address } => test(settings, &address, &clock).await,
        MailCommand::List { json } => list(settings, json, clock).await,
        MailCommand::Retry { id, all } => retry(settings, id.as_deref(), all, clock).await,
        MailCommand::Drop { id } => discard(settings, &id, clock).await,
        MailCommand::Bounced => bounced(settings, clock).await,
    }
}

async fn test(settings: &Settings, address: &str, clock: &Clock) -> Result<(), CliError> {
    let to: Email = address.parse().map_err(|wrong: InvalidEmail| CliError::Usage {
        argument: "ADDRESS",
        problem: wrong.to_string(),
        remedy: "give an address at which someone can check".to_owned(),
    })?;
    let answer = test_mail::send(settings, &to, clock.now()).await?;
    print(&format!("sent: {answer}\n"))
}

async fn list(settings: &Settings, as_json: bool, clock: Clock) -> Result<(), CliError> {
    let services = Services::open(settings, clock).await?;
    let mut mails = services.queue.list(MailState::Waiting, 0, LISTED).await?;
    mails.extend(services.queue.list(MailState::Failed, 0, LISTED).await?);
    if as_json {
        let mails: Vec<_> = mails.iter().map(to_json).collect();
        return print(&format!("{}\n", json!(mails)));
    }
    if mails.is_empty() {
        remark("no email is waiting or failed");
    }
    let mut text = String::new();
    for mail in &mails {
        let problem = mail.problem.as_deref().unwrap_or_default();
        let (id, state, kind) = (&mail.id, mail.state.as_str(), mail.kind.as_str());
        let _ = writeln!(text, "{id}\t{state}\t{kind}\t{}\t{}\t{problem}", mail.recipient, mail.queued_at);
    }
    print(&text)
}

fn to_json(mail: &QueuedMail) -> serde_json::Value {
    json!({
        "id": mail.id,
        "state": mail.state.as_str(),
        "kind": mail.kind.as_str(),
        "recipient": mail.recipient.as_str(),
        "queued_at": mail.queued_at.to_string(),
        "next_at": mail.next_at.to_string(),
        "attempts": mail.attempts,
        "problem": mail.problem,
    })
}

async fn retry(settings: &Settings, id: Option<&str>, all: bool, clock: Clock) -> Result<(), CliError> {
    let services = Services::open(settings, clock).await?;
    let now = services.clock.now();
    let ids = match id {
        Some(id) if !all => vec![MailId::from_store(id)],
        _ => {
            let mut mails = services.queue.list(MailState::Waiting, 0, u32::MAX >> 1).await?;
            mails.extend(services.queue.list(MailState::Failed, 0, u32::MAX >> 1).await?);
            mails.into_iter().map(|mail| mail.id).collect()
        }
    };
    let mut tried = 0;
    for id in &ids {
        tried += u32::from(services.account_admin.retry_mail(id, &Actor::operator(), now).await?);
    }
    if tried == 0 && !all {
        return Err(CliError::NoMail { id: id.unwrap_or_default().to_owned() });
    }
    let mails = crate::human::counted(u64::from(tried), "email");
    remark(&format!("the running web app will retry {mails}"));
    Ok(())
}

async fn discard(settings: &Settings, id: &str, clock: Clock) -> Result<(), CliError> {
    let services = Services::open(settings, clock).await?;
    let now = services.clock.now();
    match services.account_admin.discard_mail(&MailId::from_store(id), &Actor::operator(), now).await? {
        true => Ok(()),
        false => Err(CliError::NoMail { id: id.to_owned() }),
    }
}

async fn bounced(settings: &Settings, clock: Clock) -> Result<(), CliError> {
    let mut raw = Vec::new();
    std::io::stdin().lock().take(BOUNCE_MAX).read_to_end(&mut raw).map_err(CliError::Input)?;
    let Some(bounce) = bounce::parse(&String::from_utf8_lossy(&raw)) else {
        remark("this is not a delivery status notification (RFC 3464); nothing was done");
        return Ok(());
    };
    if !bounce.is_final {
        remark("the notification says that the email is delayed, not lost; nothing was done");
        return Ok(());
    }
    let services = Services::open(settings, clock).await?;
    let now = services.clock.now();
    let known = services.queue.bounced(&bounce.candidates, &bounce.reason, now).await?;
    match known {
        0 => remark("the notification is not about an email that is known here"),
        _ => remark("recorded: the email could not be delivered"),
    }
    Ok(())
}
