//! What may be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::config::parse_duration;
use crate::id::{FilePath, Jti};

/// One-time download links: a link works once, and only once, and is never lost.
#[derive(Debug, Parser)]
#[command(name = "oncelink", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// The settings file; without it `oncelink.toml` in the working directory, if there is one
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// What to do; without a command, `serve`
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the web app and the download service in one process (the default)
    Serve,
    /// Run the web app alone
    Web,
    /// Run the download service alone; it needs neither accounts nor the private key
    Download,
    /// Accounts
    #[command(subcommand)]
    User(UserCommand),
    /// The audit log: who did what when, from where
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Mails that wait, and the mail server
    #[command(subcommand)]
    Mail(MailCommand),
    /// The keys that sign tokens
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Download addresses
    #[command(subcommand)]
    Token(TokenCommand),
    /// Make tokens useless, redeemed or not; asks the running download service
    Revoke {
        /// The ids of the tokens, as `token inspect` and the log show them
        #[arg(required = true, value_name = "JTI", value_parser = jti, allow_hyphen_values = true)]
        jtis: Vec<Jti>,
    },
    /// Look at settings, shares, keys, store and clock: what is wrong, and how to mend it
    ///
    /// Exits with 0 when all is well, 1 after warnings, 2 after problems.
    Check,
    /// Print a script that completes commands in your shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// `oncelink audit …`
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Look for lines that were altered or are missing
    ///
    /// Prints how many lines there are and the digest of the last one, for the audit log and for the log
    /// of deliveries. Exits with 0 when all is well, 2 when a line was altered or is missing.
    Verify {
        /// What an earlier run printed: the line of that number must have that digest
        #[arg(long, value_name = "NUMBER:DIGEST")]
        expect: Option<String>,
        /// The same for the log of deliveries
        #[arg(long, value_name = "NUMBER:DIGEST")]
        expect_receipts: Option<String>,
    },
    /// Show the lines, the newest first
    List {
        /// Only lines with this in them
        #[arg(default_value = "")]
        words: String,
        /// One JSON object a line, for programs
        #[arg(long)]
        json: bool,
    },
}

/// `oncelink user …`
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make an account
    Add(UserAdd),
    /// List the accounts
    List {
        /// One JSON array, for programs
        #[arg(long)]
        json: bool,
    },
    /// Close an account and log it out everywhere
    Disable {
        /// Its e-mail address
        email: String,
    },
    /// Open a closed account again
    Enable {
        /// Its e-mail address
        email: String,
    },
    /// Give an account a new password and log it out everywhere
    Passwd {
        /// Its e-mail address
        email: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
}

/// `oncelink user add …`
#[derive(Debug, Args)]
pub struct UserAdd {
    /// The e-mail address, which is also the name to log in with
    pub email: String,
    /// What the pages call this person
    #[arg(long)]
    pub name: Option<String>,
    /// A group to be in; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// May administer
    #[arg(long)]
    pub admin: bool,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// `oncelink mail …`
#[derive(Debug, Subcommand)]
pub enum MailCommand {
    /// Send a test mail now, and print what the mail server said
    Test {
        /// To whom
        address: String,
    },
    /// List the mails that wait or were given up
    List {
        /// One JSON array, for programs
        #[arg(long)]
        json: bool,
    },
    /// Have a mail, or all of them, tried again
    Retry {
        /// The id of the mail, as `mail list` shows it
        #[arg(required_unless_present = "all", allow_hyphen_values = true)]
        id: Option<String>,
        /// All that wait or were given up
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Take a mail out of the queue
    Drop {
        /// The id of the mail, as `mail list` shows it
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Read a bounce (RFC 3464) from standard input, and record that its mail could not be delivered
    Bounced,
}

/// `oncelink keys …`
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// List the keys and their states
    List {
        /// One JSON array, for programs
        #[arg(long)]
        json: bool,
    },
    /// Make a new key and sign with it; the old one still verifies what it signed
    Rotate {
        /// How the new key signs
        #[arg(long, value_enum, default_value_t = KeyAlgorithm::EdDsa)]
        algorithm: KeyAlgorithm,
    },
    /// Print the public keys
    Export {
        /// As a JWKS (RFC 7517), which is the default and the only form
        #[arg(long)]
        jwks: bool,
    },
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyAlgorithm {
    /// Ed25519 (RFC 8037)
    #[value(name = "EdDSA", alias = "eddsa")]
    EdDsa,
    /// ECDSA on P-256 with SHA-256 (RFC 7518)
    #[value(name = "ES256", alias = "es256")]
    Es256,
}

/// `oncelink token …`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print its download address
    Mint(TokenMint),
    /// Show what a token says, without saying whether it is true
    Inspect {
        /// The token, or the address that holds it
        #[arg(value_name = "TOKEN")]
        text: String,
    },
    /// Check a token as the download service would; exits with 0, or with 1 and the reason
    Verify {
        /// The token, or the address that holds it
        #[arg(value_name = "TOKEN")]
        text: String,
    },
}

/// `oncelink token mint …`
#[derive(Debug, Args)]
pub struct TokenMint {
    /// The file, as `/share/path`; it need not exist yet
    pub file: FilePath,
    /// How long it can be redeemed, such as `90s` or `7d`; without it, the setting `token.lifetime`
    #[arg(long, value_parser = parse_duration)]
    pub lifetime: Option<Duration>,
    /// Show a page with a button first, so that previews and mail scanners can't spend it
    #[arg(long)]
    pub confirm: bool,
    /// The file name to save as
    #[arg(long)]
    pub name: Option<String>,
    /// The download service it is for; without it, the setting `download.public_url`
    #[arg(long)]
    pub audience: Option<String>,
}

fn jti(text: &str) -> Result<Jti, crate::id::InvalidJti> {
    text.parse()
}

/// The completion script for a shell.
pub(super) fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "oncelink", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_jti_may_begin_with_a_hyphen() {
        let cli = Cli::try_parse_from(["oncelink", "revoke", "-AAAAAAAAAAAAAAAAAAAAA"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Revoke { jtis }) if jtis.len() == 1));
    }
}
