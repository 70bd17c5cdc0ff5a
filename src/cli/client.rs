//! The commands of the client. Their results go to standard output, everything else to standard error.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::client_args::{ClientCommand, GetArgs, LinkAction, LoginArgs, SendArgs, ServerArgs};
use crate::cli::error::CliError;
use crate::cli::output::{print, remark};
use crate::client::credentials::{self, Login};
use crate::client::get::{GetOrder, get};
use crate::client::send::{SendOrder, send};
use crate::client::{ClientError, link_password, lists, login, password_file};
use crate::secret::Secret;

/// Runs a command, or says that it was interrupted.
pub(super) async fn run(command: ClientCommand) -> Result<(), CliError> {
    tokio::select! {
        done = Box::pin(run_to_end(command)) => done,
        _ = tokio::signal::ctrl_c() => Err(ClientError::Interrupted.into()),
    }
}

async fn run_to_end(command: ClientCommand) -> Result<(), CliError> {
    match command {
        ClientCommand::Login(args) => run_login(&args).await,
        ClientCommand::Logout { server } => {
            let url = credentials::server_url(&server)?;
            match credentials::forget(&url)? {
                true => remark("the key was removed from this computer; revoke it under Account → API keys"),
                false => remark("there was no key for this server"),
            }
            Ok(())
        }
        ClientCommand::Send(args) => run_send(args).await,
        ClientCommand::Get(args) => run_get(args).await,
        ClientCommand::Ls { folder, at } => {
            let items = lists::files(at.server.as_deref(), folder.as_deref()).await?;
            print_list(&items, at.json, |one| {
                let size = one.get("size").and_then(Value::as_u64);
                let size = size.map_or_else(|| "-".to_owned(), |size| size.to_string());
                format!("{size:>12}  {}", word(one, "path"))
            })
        }
        ClientCommand::Link { id, action, at } => run_link(&id, action, &at).await,
        ClientCommand::Request { title, folder, at } => {
            let server = at.server.as_deref();
            let Some(title) = title else {
                let items = lists::requests(server, usize::MAX).await?;
                return print_list(&items, at.json, |one| {
                    format!("{}  {}  {}", word(one, "state"), word(one, "url"), word(one, "title"))
                });
            };
            let made = lists::make_request(server, &title, folder.as_deref()).await?;
            match at.json {
                true => print(&format!("{made}\n")),
                false => print(&format!("{}\n", word(&made, "url"))),
            }
        }
    }
}

/// Lists the links of the account at a server.
pub(super) async fn links(most: usize, at: &ServerArgs) -> Result<(), CliError> {
    let items = lists::links(at.server.as_deref(), most).await?;
    print_list(&items, at.json, |one| {
        let url = one.get("url").and_then(Value::as_str).unwrap_or("(an address for each recipient)");
        format!("{}  {:9}  {url}  {}", word(one, "id"), word(one, "state"), word(one, "title"))
    })
}

async fn run_login(args: &LoginArgs) -> Result<(), CliError> {
    let url = credentials::server_url(&args.server)?;
    let key = match args.key_stdin {
        true => {
            let mut line = String::new();
            io::stdin().read_line(&mut line).map_err(CliError::Input)?;
            Secret::presented(line.trim())
        }
        false => login::log_in(&url, |prompt| remark(&prompt.to_string())).await?,
    };
    let login = Login { url, key };
    // Before it is kept: a key that doesn't work would be in the way.
    let email = lists::email_of(login.clone()).await?;
    let path = credentials::keep(&login)?;
    remark(&format!("logged in as {email}; the key is in {}", path.display()));
    Ok(())
}

async fn run_send(args: SendArgs) -> Result<(), CliError> {
    let order = SendOrder {
        server: args.at.server,
        paths: args.paths,
        name: args.name,
        folder: args.folder,
        title: args.title,
        note: args.note,
        uses: args.uses.0,
        ends_in: args.until.0,
        password: args.password_file.map(|path| password_file(&path)).transpose()?,
        to: args.to,
        mailed_code: args.code,
        delete_files: args.delete_files,
        quiet: args.quiet || !io::stderr().is_terminal(),
    };
    let sent = send(&order).await?;
    if args.at.json {
        let addresses: Vec<Value> = sent
            .addresses
            .iter()
            .map(|(email, address)| json!({ "email": email, "address": address }))
            .collect();
        return print(&format!("{}\n", json!({ "link": sent.link, "addresses": addresses })));
    }
    let line = |(email, address): &(Option<String>, String)| match email {
        None => format!("{address}\n"),
        Some(email) => format!("{address}\t{email}\n"),
    };
    print(&sent.addresses.iter().map(line).collect::<String>())
}

async fn run_get(args: GetArgs) -> Result<(), CliError> {
    let password = match args.password_file {
        Some(path) => Some(password_file(&path)?),
        None => link_password(),
    };
    let order = GetOrder {
        address: args.address,
        folder: args.output,
        zip: args.zip,
        only: args.only,
        password,
        code: args.code,
        force: args.force,
        quiet: args.quiet || !io::stderr().is_terminal(),
    };
    let mut all = Vec::new();
    let shown = |path: &PathBuf| path.strip_prefix(".").unwrap_or(path).display().to_string();
    let got = get(&order, |got| {
        match args.json {
            true => all.push(got.as_json()),
            false => print(&format!("{}\n", shown(&got.path))).map_err(output_error)?,
        }
        Ok(())
    });
    got.await?;
    if args.json {
        print(&format!("{}\n", Value::from(all)))?;
    }
    Ok(())
}

fn output_error(error: CliError) -> ClientError {
    ClientError::NotNow(error.to_string())
}

async fn run_link(id: &str, action: Option<LinkAction>, at: &ServerArgs) -> Result<(), CliError> {
    let server = at.server.as_deref();
    let verb = match action {
        None | Some(LinkAction::Downloads) => {
            let items = lists::deliveries(server, id).await?;
            return print_list(&items, at.json, |one| {
                format!("{}  {:11}  {}", word(one, "started_at"), word(one, "state"), word(one, "file"))
            });
        }
        Some(LinkAction::Pause) => "pause",
        Some(LinkAction::Resume) => "resume",
        Some(LinkAction::Revoke) => "revoke",
    };
    Ok(lists::change_link(server, id, verb).await?)
}

fn print_list(items: &[Value], json: bool, line: impl Fn(&Value) -> String) -> Result<(), CliError> {
    match json {
        true => print(&format!("{}\n", Value::from(items.to_vec()))),
        false => print(&items.iter().map(|one| line(one) + "\n").collect::<String>()),
    }
}

/// Returns a member of an item as a word without characters that control a terminal.
fn word(item: &Value, member: &str) -> String {
    let text = item.get(member).and_then(Value::as_str).unwrap_or_default();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
