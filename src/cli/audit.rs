//! `oncelink audit …`: verifies and shows the audit log and the delivery log while the services run.

use std::process::ExitCode;

use crate::cli::args::AuditCommand;
use crate::cli::error::CliError;
use crate::cli::output::{print, remark};
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::web::audit::chain::{self, ChainVerdict};
use crate::web::audit::cut::{self, CutOutcome};
use crate::web::audit::{self, Actor, AuditLine};
use crate::web::db::Database;
use crate::web::deliveries::log;
use crate::web::instance::InstanceKeysError;
use crate::web::services::WebOpenError;
use crate::web::tokens::link_key::LinkKey;

/// How many lines are read at once.
const PAGE: u32 = 500;

pub(super) async fn run(
    settings: &Settings,
    command: &AuditCommand,
    now: Timestamp,
) -> Result<ExitCode, CliError> {
    let db = Database::open(settings).await.map_err(WebOpenError::from)?;
    match command {
        AuditCommand::Verify { expect, expect_receipts } => {
            let logs = (&db, link_key(settings)?);
            let audit = verify::<AuditLine>(&logs, "", expect.as_deref()).await?;
            let receipts =
                verify::<log::DeliveryLogLine>(&logs, "receipts ", expect_receipts.as_deref()).await?;
            let (Some(audit), Some(receipts)) = (audit, receipts) else { return Ok(ExitCode::from(2)) };
            print(&format!("{audit}{receipts}"))?;
            remark("the log is intact; keep these digests to prove it later");
            Ok(ExitCode::SUCCESS)
        }
        AuditCommand::Cut { older_than } => {
            let key = LinkKey::open(&settings.keys_dir()).map_err(InstanceKeysError::from)?;
            let before = now.minus(*older_than);
            let audit = cut::<AuditLine>(&db, &key, "audit", before, now).await?;
            let receipts = cut::<log::DeliveryLogLine>(&db, &key, "receipts", before, now).await?;
            Ok(if audit && receipts { ExitCode::SUCCESS } else { ExitCode::from(2) })
        }
        AuditCommand::List { words, json } => {
            list(&db, words, *json).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Returns the key that confirms checkpoints; `None` before the first start. Verifying must not create it.
fn link_key(settings: &Settings) -> Result<Option<LinkKey>, CliError> {
    let folder = settings.keys_dir();
    let is_there = LinkKey::file(&folder).exists();
    let key = is_there.then(|| LinkKey::open(&folder)).transpose();
    Ok(key.map_err(InstanceKeysError::from)?)
}

/// Cuts one log. Returns false if it isn't whole.
async fn cut<L: chain::ChainedLine>(
    db: &Database,
    key: &LinkKey,
    log: &str,
    before: Timestamp,
    now: Timestamp,
) -> Result<bool, CliError> {
    match cut::cut::<L>(db, key, before, &Actor::operator(), now).await? {
        CutOutcome::Cut { lines, number, digest } => print(&format!("{log} {lines} {number}:{digest}\n"))?,
        CutOutcome::NothingToCut => remark(&format!("the {log} log has no lines that are so old")),
        CutOutcome::NotWhole(_) => {
            remark(&format!("the {log} log isn't intact; nothing was cut, see `oncelink audit verify`"));
            return Ok(false);
        }
    }
    Ok(true)
}

/// Verifies one log. Returns the digest that proves its end if it is intact; otherwise says what is wrong.
async fn verify<L: chain::ChainedLine>(
    (db, key): &(&Database, Option<LinkKey>),
    log: &str,
    expect: Option<&str>,
) -> Result<Option<String>, CliError> {
    let problem = match chain::verify::<L>(db, key.as_ref()).await? {
        ChainVerdict::Whole { lines, digest } => {
            let was_so = match expect {
                Some(expected) => chain::ended_with::<L>(db, key.as_ref(), expected).await?,
                None => true,
            };
            if was_so {
                return Ok(Some(format!("{log}{lines}:{digest}\n")));
            }
            format!("the {log}log is consistent, but does not contain the expected line")
        }
        ChainVerdict::Altered(number) => {
            format!("{log}line {number} was altered, or was inserted by hand")
        }
        ChainVerdict::Missing(number) => format!("{log}line {number} is missing"),
    };
    remark(&problem);
    Ok(None)
}

async fn list(db: &Database, words: &str, json: bool) -> Result<(), CliError> {
    let (mut offset, mut last) = (0, i64::MAX);
    loop {
        let (lines, more) = audit::list(db, words, offset, PAGE).await?;
        // Lines added in the meantime push lines that were already shown onto this page.
        for line in lines.iter().filter(|line| line.number < last) {
            print(&if json { as_json(line)? } else { as_text(line) })?;
        }
        if !more {
            return Ok(());
        }
        last = lines.last().map_or(last, |line| line.number.min(last));
        offset += PAGE;
    }
}

fn as_json(line: &AuditLine) -> Result<String, CliError> {
    let text = serde_json::to_string(line).map_err(|error| CliError::Output(error.into()))?;
    Ok(format!("{text}\n"))
}

fn as_text(line: &AuditLine) -> String {
    let who = if line.who.is_empty() { &line.actor } else { &line.who };
    let shown = [line.number.to_string(), line.at.to_string(), line.address.clone()];
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    format!("{}\t{}\t{}\t{}\n", shown.join("\t"), plain(who), line.action, plain(&line.subject))
}
