//! The arguments of the client's commands.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use crate::config::parse_duration;

/// The longest lifetime of a link, in seconds; the server may allow less.
const LONGEST: u64 = u32::MAX as u64;

/// The commands for people who use an Oncelink elsewhere.
///
/// Exit codes: 0 success, 1 a failure that another attempt may get over, 2 a mistake in the arguments, 3 refused for
/// good, 4 a password or code is missing or wrong, 5 not logged in or not allowed.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Log in at a server, so that `send` and others may use it
    ///
    /// Shows a code and an address, where you allow it in a browser. The key that this computer gets is kept in
    /// ~/.config/oncelink/credentials.toml.
    Login(LoginArgs),
    /// Forget the key for a server
    Logout {
        /// The server's address
        #[arg(value_name = "URL", value_hint = ValueHint::Url)]
        server: String,
    },
    /// Upload files and folders, and print a link to them
    Send(SendArgs),
    /// Download what a link has
    ///
    /// Run again after an interruption, it goes on where it was.
    Get(GetArgs),
    /// List the files in a folder of a server
    Ls {
        /// The folder's path (default: the folders at the top)
        #[arg(value_name = "PATH")]
        folder: Option<String>,
        /// The server and the output.
        #[command(flatten)]
        at: ServerArgs,
    },
    /// List the downloads through one of your links at a server, or change the link; `links` lists all
    Link {
        /// The link's id
        #[arg(value_name = "ID", allow_hyphen_values = true)]
        id: String,
        /// What to do with it (default: list its downloads)
        #[arg(value_enum)]
        action: Option<LinkAction>,
        /// The server and the output.
        #[command(flatten)]
        at: ServerArgs,
    },
    /// Ask for files: print a link with which anyone can send files to you; without a title, list what you asked for
    Request {
        /// What it is about
        #[arg(value_name = "TITLE")]
        title: Option<String>,
        /// The folder for the files (default: My files)
        #[arg(long, value_name = "PATH")]
        folder: Option<String>,
        /// The server and the output.
        #[command(flatten)]
        at: ServerArgs,
    },
}

/// Which server, and how the result is printed.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// The server (default: the one where you logged in last, or `ONCELINK_URL` with the key in `ONCELINK_KEY`)
    #[arg(long = "at", value_name = "URL", value_hint = ValueHint::Url)]
    pub server: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// What to do with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LinkAction {
    /// List its downloads
    Downloads,
    /// Allow no new downloads until it is resumed
    Pause,
    /// Allow new downloads again
    Resume,
    /// Stop sharing it, for good
    Revoke,
}

/// The arguments of `login`.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// The server's address
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub server: String,
    /// Read an API key from standard input instead
    #[arg(long)]
    pub key_stdin: bool,
}

/// The arguments of `send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// Files and folders; `-` is standard input
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// The file name of standard input
    #[arg(long, default_value = "stdin", value_name = "NAME")]
    pub name: String,
    /// How many downloads each recipient has, or `unlimited`
    #[arg(long, default_value = "1", value_name = "COUNT", value_parser = uses)]
    pub uses: Uses,
    /// When the link expires, as in `12h` or `7d`, or `never`
    #[arg(long, default_value = "7d", value_name = "TIME", value_parser = lifetime)]
    pub until: Lifetime,
    /// The title (default: the name of the first file)
    #[arg(long)]
    pub title: Option<String>,
    /// A message to the recipients
    #[arg(long)]
    pub note: Option<String>,
    /// Ask recipients for a password: the first line of this file, or of standard input (`-`)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,
    /// Email the link to this address; may be given several times, and each recipient gets a link of their own
    #[arg(long, value_name = "ADDRESS", value_hint = ValueHint::EmailAddress)]
    pub to: Vec<String>,
    /// Ask recipients for a code that is emailed to them
    #[arg(long, requires = "to")]
    pub code: bool,
    /// Move the files to the trash when the link is over
    #[arg(long)]
    pub delete_files: bool,
    /// The folder at the server (default: My files)
    #[arg(long, value_name = "PATH")]
    pub folder: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// The server and the output.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// The arguments of `get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The link
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub address: String,
    /// The folder for the files
    #[arg(short, long, default_value = ".", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output: PathBuf,
    /// All files as one ZIP file
    #[arg(long)]
    pub zip: bool,
    /// Only the file with this name; may be given several times
    #[arg(long, value_name = "NAME", conflicts_with = "zip")]
    pub only: Vec<String>,
    /// The link's password: the first line of this file, or of standard input (`-`); also in `ONCELINK_PASSWORD`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,
    /// The code that was emailed to you
    #[arg(long, value_name = "CODE")]
    pub code: Option<String>,
    /// Replace existing files
    #[arg(long)]
    pub force: bool,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Print a JSON array, for programs
    #[arg(long)]
    pub json: bool,
}

/// How many downloads; `None` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uses(pub Option<u32>);

/// After how many seconds a link expires; `None` for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(pub Option<u32>);

fn uses(text: &str) -> Result<Uses, String> {
    match text {
        "unlimited" => Ok(Uses(None)),
        text => match text.parse() {
            Ok(count @ 1_u32..) => Ok(Uses(Some(count))),
            _ => Err("use a number of at least 1, or `unlimited`".to_owned()),
        },
    }
}

fn lifetime(text: &str) -> Result<Lifetime, String> {
    if text == "never" {
        return Ok(Lifetime(None));
    }
    let time: Duration = parse_duration(text).map_err(|error| error.to_string())?;
    match u32::try_from(time.as_secs()) {
        Ok(seconds @ 1..) => Ok(Lifetime(Some(seconds))),
        _ => Err(format!("use a time of 1 to {LONGEST} seconds, or `never`")),
    }
}
