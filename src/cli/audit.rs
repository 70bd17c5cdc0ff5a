//! `oncelink audit …`: verifies and shows the audit log and the delivery log while the services run.

use std::process::ExitCode;

use crate::cli::args::AuditCommand;
use crate::cli::error::CliError;
use crate::cli::output::{print, remark};
use crate::config::Settings;
use crate::web::audit::chain::{self, ChainVerdict};
use crate::web::audit::{self, AuditLine};
use crate::web::db::Database;
use crate::web::deliveries::log;
use crate::web::services::WebOpenError;

/// How many lines are read at once.
const PAGE: u32 = 500;

pub(super) async fn run(settings: &Settings, command: &AuditCommand) -> Result<ExitCode, CliError> {
    let db = Database::open(settings).await.map_err(WebOpenError::from)?;
    match command {
        AuditCommand::Verify { expect, expect_receipts } => {
            let audit = verify::<AuditLine>(&db, "", expect.as_deref()).await?;
            let receipts =
                verify::<log::DeliveryLogLine>(&db, "receipts ", expect_receipts.as_deref()).await?;
            let (Some(audit), Some(receipts)) = (audit, receipts) else { return Ok(ExitCode::from(2)) };
            print(&format!("{audit}{receipts}"))?;
            remark("the log is intact; keep these digests to prove it later");
            Ok(ExitCode::SUCCESS)
        }
        AuditCommand::List { words, json } => {
            list(&db, words, *json).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Verifies one log. Returns the digest that proves its end if it is intact; otherwise says what is wrong.
async fn verify<L: chain::ChainedLine>(
    db: &Database,
    log: &str,
    expect: Option<&str>,
) -> Result<Option<String>, CliError> {
    let problem = match chain::verify::<L>(db).await? {
        ChainVerdict::Whole { lines, digest } => {
            let was_so = match expect {
                Some(expected) => chain::ended_with::<L>(db, expected).await?,
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
