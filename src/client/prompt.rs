//! Questions to the person at the terminal. Without a terminal, nothing is asked.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use crate::client::error::{ClientError, file_error};

/// Asks for a password, which isn't shown. `None` without a terminal.
pub(crate) fn password(question: &str) -> Option<String> {
    if !is_attended() {
        return None;
    }
    rpassword::prompt_password(format!("{question}: ")).ok().filter(|answer| !answer.is_empty())
}

/// Asks for a line of text. `None` without a terminal.
pub(crate) fn line(question: &str) -> Option<String> {
    if !is_attended() {
        return None;
    }
    let mut error = io::stderr().lock();
    let _ = write!(error, "{question}: ").and_then(|()| error.flush());
    drop(error);
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).ok()?;
    Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty())
}

/// Reads the first line of a file with a password; `-` is standard input.
///
/// # Errors
/// When it can't be read.
pub fn password_file(path: &Path) -> Result<String, ClientError> {
    let text = match path.to_str() {
        Some("-") => {
            let mut text = String::new();
            io::stdin().read_line(&mut text).map(|_| text)
        }
        _ => std::fs::read_to_string(path),
    };
    let text = text.map_err(file_error("read", path))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn is_attended() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}
