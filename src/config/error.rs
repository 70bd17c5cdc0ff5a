//! Errors in the settings, worded so that the operator can fix them.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingOrigin {
    /// The settings file.
    File(PathBuf),
    /// An environment variable, by its name.
    Variable(String),
    /// It isn't set.
    Default,
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingOrigin::File(path) => write!(f, "in {}", path.display()),
            SettingOrigin::Variable(name) => write!(f, "in the environment variable {name}"),
            SettingOrigin::Default => f.write_str("by default"),
        }
    }
}

/// The settings are invalid.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file can't be read.
    #[error(
        "cannot read the settings file {}; name another one with --config, or omit it to run with the defaults",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{}, line {line}, column {column}: {problem}; the file must be valid TOML 1.0", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
        /// The parser's message.
        problem: String,
    },
    /// One key is wrong.
    #[error("setting `{key}` ({origin}): {problem}; {remedy}")]
    Key {
        /// The key's full name, such as `web.listen`.
        key: String,
        /// Where its value comes from.
        origin: SettingOrigin,
        /// The problem.
        problem: String,
        /// How to fix it.
        remedy: String,
    },
    /// A variable with our prefix that isn't a setting.
    #[error("the environment variable {name} is not a setting; {remedy}")]
    Variable {
        /// The variable.
        name: String,
        /// How to fix it.
        remedy: String,
    },
}
