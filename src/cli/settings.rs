//! `oncelink settings`: the values in force and where each comes from. Passwords are left out.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::config::SettingsTable;

pub(super) fn run(table: &SettingsTable, as_json: bool) -> Result<(), CliError> {
    let lines = table.lines();
    if as_json {
        let values: Vec<Value> = lines
            .iter()
            .map(|line| json!({ "key": line.key, "value": line.value, "source": line.source() }))
            .collect();
        return print(&format!("{}\n", json!(values)));
    }
    print(&lines.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{} = {}  # {}", line.key, line.value, line.source());
        text
    }))
}
