//! The command-line arguments.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::cli::client_args::{ClientCommand, ServerArgs};
use crate::config::{Network, parse_duration};
use crate::id::{FilePath, Jti};
use crate::web::api_keys::Scope;

/// A server for one-time download links: each works once, only once, and is never lost.
#[derive(Debug, Parser)]
#[command(name = "oncelink", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// The settings file (default: `oncelink.toml` in the working directory, if it exists)
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// What to do (default: `serve`)
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the web app and the download service in one process (the default)
    Serve,
    /// Run only the web app
    Web,
    /// Run only the download service, which needs neither accounts nor the private key
    Download,
    /// Manage accounts
    #[command(subcommand)]
    User(UserCommand),
    /// Verify or show the audit log: who did what, when and from where
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Manage the email queue and test the mail server
    #[command(subcommand)]
    Mail(MailCommand),
    /// Manage the keys that sign tokens
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Manage the API keys of accounts
    #[command(subcommand)]
    ApiKeys(ApiKeysCommand),
    /// Manage download services and their keys
    #[command(subcommand)]
    Nodes(NodesCommand),
    /// Create, inspect and verify download links
    #[command(subcommand)]
    Token(TokenCommand),
    /// Revoke tokens, redeemed or not, at the running download services
    Revoke {
        /// The ids of the tokens, as shown by `token inspect` and the log; put `--` first if one begins with
        /// two hyphens
        #[arg(required = true, value_name = "JTI", value_parser = jti)]
        jtis: Vec<Jti>,
    },
    /// List your links at a server; with a command, manage the links of everybody in this machine's database
    #[command(args_conflicts_with_subcommands = true)]
    Links {
        /// What to do with the links of everybody.
        #[command(subcommand)]
        command: Option<LinksCommand>,
        /// Maximum number of links
        #[arg(long, default_value_t = 100, value_name = "COUNT")]
        most: usize,
        /// The server and the output.
        #[command(flatten)]
        at: ServerArgs,
    },
    /// The commands for people who use an Oncelink elsewhere.
    #[command(flatten)]
    Client(ClientCommand),
    /// List downloads through links of all accounts, newest first
    Deliveries {
        /// Only those of the link with this id, or of the token with this jti
        #[arg(default_value = "", allow_hyphen_values = true)]
        of: String,
        /// Maximum number of downloads
        #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
        most: u32,
        /// Print a JSON array, for programs
        #[arg(long)]
        json: bool,
    },
    /// Show the shares: rights, usage, quota, and whether they are available
    Shares {
        /// Print a JSON array, for programs
        #[arg(long)]
        json: bool,
    },
    /// Show the settings in force and where each comes from; passwords are left out
    Settings {
        /// Print a JSON array, for programs
        #[arg(long)]
        json: bool,
    },
    /// Back up accounts, links and keys to an empty folder while the services run
    ///
    /// The record of used tokens isn't included: after a restore it would only refuse every link.
    Backup {
        /// The folder; created if it doesn't exist
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
    /// Restore a backup while no service is running
    ///
    /// Everyone is logged out, and links with a limited number of downloads are paused until their owners
    /// resume them, because downloads since the backup are not counted in it.
    Restore {
        /// A folder created by `oncelink backup`
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
        /// Move existing accounts and keys to folders with `before-restore` in their names
        #[arg(long)]
        force: bool,
    },
    /// Manage the time that Oncelink keeps
    #[command(subcommand)]
    Clock(ClockCommand),
    /// Check settings, shares, keys, store and clock, and say how to fix problems
    ///
    /// Exit code: 0 if everything is fine, 1 after warnings, 2 after problems.
    Check {
        /// Print a JSON array, for programs
        #[arg(long)]
        json: bool,
    },
    /// Ask the running services on this machine whether they can serve, for containers and monitoring
    ///
    /// Exit code: 0 if they can, 1 otherwise.
    Healthcheck {
        /// Ask only this one (default: both)
        #[arg(value_enum)]
        service: Option<ServiceKind>,
    },
    /// Print a completion script for your shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write a manual page for each command into a folder
    ManPages {
        /// The folder
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
}

/// One of the two services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ServiceKind {
    /// The web app
    Web,
    /// The download service
    Download,
}

/// `oncelink links …`
#[derive(Debug, Subcommand)]
pub enum LinksCommand {
    /// List links of all accounts, newest first
    List {
        /// Only links with this text in the title, a path or the owner's address
        #[arg(default_value = "")]
        words: String,
        /// Maximum number of links
        #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
        most: u32,
        /// Print a JSON array, for programs
        #[arg(long)]
        json: bool,
    },
    /// Pause links: nobody can download until they are resumed
    Pause(LinkIds),
    /// Resume paused links
    Resume {
        /// All links that were paused by a restore from a backup
        #[arg(long, conflicts_with = "ids")]
        restored: bool,
        /// The links' ids, as shown by `links list`
        #[arg(value_name = "ID", required_unless_present = "restored", allow_hyphen_values = true)]
        ids: Vec<String>,
        /// Print a JSON array, for programs
        #[arg(long, conflicts_with = "restored")]
        json: bool,
    },
    /// Stop sharing links for good; this can't be undone
    Stop(LinkIds),
}

/// The links that a command is about.
#[derive(Debug, Args)]
pub struct LinkIds {
    /// The links' ids, as shown by `links list`
    #[arg(value_name = "ID", required = true, allow_hyphen_values = true)]
    pub ids: Vec<String>,
    /// Print a JSON array, for programs
    #[arg(long)]
    pub json: bool,
}

/// `oncelink clock …`
#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Start over with the clock's current time after the clock was ahead for a while
    ///
    /// Every link issued earlier is refused, and everyone is logged out. No service may be running.
    Reset,
}

/// `oncelink audit …`
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Look for lines that were altered or are missing
    ///
    /// Prints the number of lines and the digest of the last one, for the audit log and for the delivery
    /// log. Exit code: 0 if both logs are intact, 2 if a line was altered or is missing.
    Verify {
        /// Output of an earlier run: the line with this number must have this digest
        #[arg(long, value_name = "NUMBER:DIGEST")]
        expect: Option<String>,
        /// The same for the delivery log
        #[arg(long, value_name = "NUMBER:DIGEST")]
        expect_receipts: Option<String>,
    },
    /// Cut old lines off the audit log and the delivery log
    ///
    /// Only logs that are intact are cut. What is left begins at a checkpoint that only the keys of this web app can
    /// make, where `audit verify` then starts. Prints, for each log, how many lines were cut, and the number and digest
    /// of the last one: keep a copy of the lines first, for example with `audit list --json`.
    Cut {
        /// Lines that are older than this, such as `400d`
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        older_than: Duration,
    },
    /// Show the log, newest lines first
    List {
        /// Only lines that contain this text
        #[arg(default_value = "")]
        words: String,
        /// One JSON object per line, for programs
        #[arg(long)]
        json: bool,
    },
}

/// `oncelink user …`
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Create an account
    Add(UserAdd),
    /// List accounts
    List {
        /// Print a JSON array, for programs
        #[arg(long)]
        json: bool,
    },
    /// Disable an account and log it out everywhere
    Disable {
        /// The account's email address
        email: String,
    },
    /// Enable a disabled account
    Enable {
        /// The account's email address
        email: String,
    },
    /// Remove the second factor of an account whose owner has lost it
    ResetSecondFactor {
        /// The account's email address
        email: String,
    },
    /// Set a new password for an account and log it out everywhere
    Passwd {
        /// The account's email address
        email: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
}

/// `oncelink user add …`
#[derive(Debug, Args)]
pub struct UserAdd {
    /// The email address, which is also the login name
    pub email: String,
    /// The person's name
    #[arg(long)]
    pub name: Option<String>,
    /// A group to add the account to; can be repeated
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// Make the account an administrator
    #[arg(long)]
    pub admin: bool,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// `oncelink mail …`
#[derive(Debug, Subcommand)]
pub enum MailCommand {
    /// Send a test email now and print the mail server's answer
    Test {
        /// The recipient's address
        address: String,
    },
    /// List emails that are waiting or failed
    List {
        /// Print a JSON array, for programs
        #[arg(long)]
        json: bool,
    },
    /// Retry one email, or all
    Retry {
        /// The email's id, as shown by `mail list`
        #[arg(required_unless_present = "all", allow_hyphen_values = true)]
        id: Option<String>,
        /// All that are waiting or failed
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Remove an email from the queue
    Drop {
        /// The email's id, as shown by `mail list`
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Read a bounce (RFC 3464) from standard input and record that its email could not be delivered
    Bounced,
}

/// `oncelink keys …`
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// List the keys and their states
    List {
        /// Print a JSON array, for programs
        #[arg(long)]
        json: bool,
    },
    /// Create a new signing key; what the old one signed stays valid
    Rotate {
        /// The algorithm of the new key
        #[arg(long, value_enum, default_value_t = KeyAlgorithm::EdDsa)]
        algorithm: KeyAlgorithm,
    },
    /// Remove a leaked key at once; nothing that it signed stays valid
    ///
    /// If it is the active key, a new one is created. Every download service refuses the key within a
    /// minute. One that reads its keys from a file needs a new `oncelink keys export`.
    Remove {
        /// The key's id, as shown by `keys list`; put `--` first if it begins with a hyphen
        #[arg(value_name = "KID", allow_hyphen_values = true)]
        kid: String,
    },
    /// Continue with the keys in the data directory although the database knows others, which are lost
    Adopt,
    /// Print the public keys
    Export {
        /// As a JWKS (RFC 7517); this is the default and the only format
        #[arg(long)]
        jwks: bool,
    },
}

/// `oncelink api-keys …`
#[derive(Debug, Subcommand)]
pub enum ApiKeysCommand {
    /// Make a key for an account, and print it once
    Add(ApiKeyAdd),
    /// List keys, newest first
    List {
        /// Only those of this account
        email: Option<String>,
        /// Print a JSON array, for programs
        #[arg(long)]
        json: bool,
    },
    /// Revoke keys for good
    Revoke {
        /// The keys' ids, as shown by `api-keys list`
        #[arg(value_name = "ID", required = true, allow_hyphen_values = true)]
        ids: Vec<String>,
        /// Print a JSON array, for programs
        #[arg(long)]
        json: bool,
    },
}

/// `oncelink api-keys add …`
#[derive(Debug, Args)]
pub struct ApiKeyAdd {
    /// The email address of the account that the key acts for
    pub email: String,
    /// What will use the key
    #[arg(long)]
    pub name: String,
    /// What it may do: `files:read`, `files:write`, `links`, `requests`, `tokens`, `webhooks` or `admin`; can be repeated
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_parser = scope)]
    pub scopes: Vec<Scope>,
    /// After how many days it expires (default: never)
    #[arg(long)]
    pub days: Option<u32>,
    /// A share that it is limited to; can be repeated (default: all)
    #[arg(long = "share", value_name = "SHARE")]
    pub shares: Vec<String>,
    /// An address or network from which it may be used; can be repeated (default: all)
    #[arg(long = "from", value_name = "NETWORK", value_parser = network)]
    pub networks: Vec<Network>,
    /// Print a JSON object with the key and its id, for programs
    #[arg(long)]
    pub json: bool,
}

/// `oncelink nodes …`
#[derive(Debug, Subcommand)]
pub enum NodesCommand {
    /// Create the key of a node in the settings, and print it once
    Add {
        /// The node's `name` in `[[node]]`
        name: String,
    },
    /// List the nodes and their states
    List {
        /// Print a JSON array, for programs
        #[arg(long)]
        json: bool,
    },
    /// Remove a node for good: it gets no tokens, its reports are refused, and nothing waits for it
    Remove {
        /// The node's name, as shown by `nodes list`
        name: String,
    },
    /// Replace a node's key, and print the new one once
    Rekey {
        /// The node's `name` in `[[node]]`
        name: String,
    },
}

/// The algorithm of a signing key.
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
    /// Create a token and print its download link
    Mint(TokenMint),
    /// Show the content of a token without verifying it
    Inspect {
        /// The token, or a download link that contains it
        #[arg(value_name = "TOKEN")]
        text: String,
    },
    /// Verify a token as the download service would; exits with 0, or with 1 and the reason
    Verify {
        /// The token, or a download link that contains it
        #[arg(value_name = "TOKEN")]
        text: String,
    },
}

/// `oncelink token mint …`
#[derive(Debug, Args)]
pub struct TokenMint {
    /// The file, as `/share/path`; it doesn't have to exist yet
    pub file: FilePath,
    /// How long the link can be redeemed, such as `90s` or `7d` (default: the setting `token.lifetime`)
    #[arg(long, value_parser = parse_duration)]
    pub lifetime: Option<Duration>,
    /// Show a page with a button first, so that previews and mail scanners can't use up the link
    #[arg(long)]
    pub confirm: bool,
    /// The file name to save as
    #[arg(long)]
    pub name: Option<String>,
    /// The public address of the download service (default: the setting `download.public_url`)
    #[arg(long)]
    pub audience: Option<String>,
}

impl Cli {
    /// Parses the arguments. A jti may begin with a hyphen, and options may follow it.
    ///
    /// # Errors
    /// If the arguments are invalid, and for `--help` and `--version`.
    pub fn of(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
        let mut words: Vec<OsString> = words.into_iter().collect();
        let is_jti = |word: &OsString| {
            word.to_str().is_some_and(|word| word.starts_with('-') && word.parse::<Jti>().is_ok())
        };
        let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
        let (before, after) = words.split_at(end);
        if before.iter().any(|word| word == "revoke") && before.iter().any(is_jti) {
            let (jtis, rest): (Vec<OsString>, Vec<OsString>) = before.iter().cloned().partition(is_jti);
            let after = after.iter().skip(1).cloned();
            words = rest.into_iter().chain([OsString::from("--")]).chain(jtis).chain(after).collect();
        }
        Cli::try_parse_from(words)
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    let words = Scope::ALL.map(Scope::as_str).join(", ");
    text.parse().map_err(|_| format!("use one of {words}"))
}

fn network(text: &str) -> Result<Network, crate::config::InvalidNetwork> {
    text.parse()
}

fn jti(text: &str) -> Result<Jti, crate::id::InvalidJti> {
    text.parse()
}

/// Returns the completion script for a shell.
pub(super) fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "oncelink", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Writes the manual pages into a folder.
pub(super) fn man_pages(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    fn typed(line: &str) -> Result<Cli, clap::Error> {
        Cli::of(line.split(' ').map(OsString::from))
    }

    #[test]
    fn a_jti_may_begin_with_a_hyphen() {
        for line in [
            "oncelink revoke -AAAAAAAAAAAAAAAAAAAAA",
            "oncelink revoke --config f.toml -AAAAAAAAAAAAAAAAAAAAA",
            "oncelink revoke -AAAAAAAAAAAAAAAAAAAAA --config f.toml",
            "oncelink revoke -- -AAAAAAAAAAAAAAAAAAAAA",
            "oncelink --config f.toml revoke --AAAAAAAAAAAAAAAAAAAA",
        ] {
            let cli = typed(line).unwrap();
            assert_eq!(cli.config.is_some(), line.contains("f.toml"), "{line}");
            assert!(matches!(cli.command, Some(Command::Revoke { jtis }) if jtis.len() == 1), "{line}");
        }
    }

    #[test]
    fn an_option_behind_a_jti_is_one() {
        let cli =
            typed("oncelink revoke AAAAAAAAAAAAAAAAAAAAAA BAAAAAAAAAAAAAAAAAAAAA --config f.toml").unwrap();
        assert!(cli.config.is_some());
        assert!(matches!(cli.command, Some(Command::Revoke { jtis }) if jtis.len() == 2));
        assert!(typed("oncelink revoke AAAAAAAAAAAAAAAAAAAAAA --unknown").is_err());
    }

    #[test]
    fn a_key_id_may_begin_with_a_hyphen() {
        for kid in ["-abc", "--abc", "abc"] {
            let cli = typed(&format!("oncelink keys remove {kid} --config f.toml")).unwrap();
            assert!(cli.config.is_some(), "{kid}");
            assert!(
                matches!(cli.command, Some(Command::Keys(KeysCommand::Remove { kid: found })) if found == kid)
            );
        }
    }
}
