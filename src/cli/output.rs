//! What commands write to the terminal.

use std::io::{self, Write};

use crate::cli::error::CliError;

/// Writes a result to standard output. A closed pipe is not an error: the reader has read enough.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Output(error)),
        _ => Ok(()),
    }
}

/// Writes a remark to standard error.
pub(crate) fn remark(text: &str) {
    // If standard error is closed, there is nothing to do.
    let _ = writeln!(io::stderr().lock(), "oncelink: {text}");
}
