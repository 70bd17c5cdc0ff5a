//! `oncelink audit …`: the audit log, looked through while the services run.

use std::process::ExitCode;

use crate::cli::args::AuditCommand;
use crate::cli::error::CliError;
use crate::cli::{print, remark};
use crate::config::Settings;
use crate::web::OpenError;
use crate::web::audit::{self, Line, Verdict};
use crate::web::db::Database;

/// Lines that are read at once.
const PAGE: u32 = 500;

pub(super) async fn run(settings: &Settings, command: &AuditCommand) -> Result<ExitCode, CliError> {
    let db = Database::open(settings).await.map_err(OpenError::from)?;
    match command {
        AuditCommand::Verify { expect } => verify(&db, expect.as_deref()).await,
        AuditCommand::List { words, json } => {
            list(&db, words, *json).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn verify(db: &Database, expect: Option<&str>) -> Result<ExitCode, CliError> {
    let broken = |words: &str| {
        remark(words);
        Ok(ExitCode::from(2))
    };
    match audit::verify(db).await? {
        Verdict::Whole { lines, digest } => {
            if let Some(expected) = expect
                && !audit::ended_with(db, expected).await?
            {
                return broken("the log is whole in itself, but it is not the one that ended so");
            }
            print(&format!("{lines}:{digest}\n"))?;
            remark("every line is there, as it was written; keep what is printed to prove it later");
            Ok(ExitCode::SUCCESS)
        }
        Verdict::Altered(number) => {
            broken(&format!("line {number} was altered, or it was put there by hand"))
        }
        Verdict::Missing(number) => broken(&format!("line {number} is missing")),
    }
}

async fn list(db: &Database, words: &str, json: bool) -> Result<(), CliError> {
    let mut offset = 0;
    loop {
        let (lines, more) = audit::list(db, words, offset, PAGE).await?;
        for line in &lines {
            print(&if json { as_json(line)? } else { as_text(line) })?;
        }
        if !more {
            return Ok(());
        }
        offset += PAGE;
    }
}

fn as_json(line: &Line) -> Result<String, CliError> {
    let text = serde_json::to_string(line).map_err(|error| CliError::Output(error.into()))?;
    Ok(format!("{text}\n"))
}

fn as_text(line: &Line) -> String {
    let who = if line.who.is_empty() { &line.actor } else { &line.who };
    let shown = [line.number.to_string(), line.at.to_string(), line.address.clone()];
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    format!("{}\t{}\t{}\t{}\n", shown.join("\t"), plain(who), line.action, plain(&line.subject))
}
