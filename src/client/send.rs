//! `oncelink send`: uploads files and folders and makes a link to them. Run again after an interruption, it goes on
//! where it was.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::client::api::{Account, Api};
use crate::client::credentials::{self, Login};
use crate::client::error::ClientError;
use crate::client::progress::Progress;
use crate::client::send_file::{FileState, SendFile};
use crate::client::tree::{self, LocalFile, Named};
use crate::client::tus::{Tus, UploadPlace};

/// How often another name is tried for a folder that exists already.
const NAMES: u32 = 100;

/// What to send, and the terms of the link.
#[derive(Clone, Debug)]
pub struct SendOrder {
    /// The server; `None` for the one that was used last.
    pub server: Option<String>,
    /// Files and folders; `-` alone is standard input.
    pub paths: Vec<PathBuf>,
    /// The file name of standard input.
    pub name: String,
    /// The folder at the server; `None` for *My files*.
    pub folder: Option<String>,
    /// The title.
    pub title: Option<String>,
    /// A message to the recipients.
    pub note: Option<String>,
    /// How many downloads each recipient has; `None` for no limit.
    pub uses: Option<u32>,
    /// After how many seconds the link ends; `None` for never.
    pub ends_in: Option<u32>,
    /// The password.
    pub password: Option<String>,
    /// The email addresses of its recipients, who get the link by email.
    pub to: Vec<String>,
    /// Whether recipients must enter a code that is emailed to them.
    pub mailed_code: bool,
    /// Whether the files go to the trash when the link is over.
    pub delete_files: bool,
    /// Whether no progress is shown.
    pub quiet: bool,
}

/// A link that was made.
#[derive(Debug)]
pub struct Sent {
    /// The link, as the API shows it.
    pub link: Value,
    /// Its addresses: one, or that of each named recipient, with the recipient.
    pub addresses: Vec<(Option<String>, String)>,
}

/// Uploads what was named and makes a link to it.
///
/// # Errors
/// See [`ClientError`]. What the server has stays there, and the same command goes on.
pub async fn send(order: &SendOrder) -> Result<Sent, ClientError> {
    let api = Api::new(credentials::find(order.server.as_deref())?)?;
    let folder = match &order.folder {
        Some(folder) => folder.trim_end_matches('/').to_owned(),
        None => {
            let account: Account = api.read("/account").await?;
            let none = "this account has no folder of its own; name one with `--folder`";
            account.home.ok_or_else(|| ClientError::Usage(none.to_owned()))?
        }
    };
    let is_stream = order.paths.iter().any(|path| path.as_os_str() == "-");
    if is_stream && order.paths.len() > 1 {
        return Err(ClientError::Usage("`-` (standard input) can only be sent alone".to_owned()));
    }
    if is_stream {
        let path = stream(&api, order, &folder).await?;
        return make_link(&api, order, &[path], None).await;
    }
    let named = tree::look(&order.paths)?;
    let mut memory = SendFile::open(&description(api.login(), order, &folder, &named))?;
    let mut paths = Vec::with_capacity(named.len());
    for one in &named {
        paths.push(upload(&api, one, &folder, &mut memory, order.quiet).await?);
    }
    let sent = make_link(&api, order, &paths, Some(memory.once())).await?;
    memory.forget()?;
    Ok(sent)
}

/// Describes a command: another server, other files or other terms are another one.
fn description(login: &Login, order: &SendOrder, folder: &str, named: &[Named]) -> String {
    let files: Vec<String> = named.iter().flat_map(|one| &one.files).map(LocalFile::key).collect();
    let order = SendOrder { quiet: false, server: None, ..order.clone() };
    format!("{}\n{folder}\n{order:?}\n{}", login.url, files.join("\n"))
}

/// Uploads a file, or a folder into a new one of its name. Returns its path at the server.
async fn upload(
    api: &Api,
    one: &Named,
    folder: &str,
    memory: &mut SendFile,
    quiet: bool,
) -> Result<String, ClientError> {
    if !one.is_folder {
        let [file] = one.files.as_slice() else { return Ok(folder.to_owned()) };
        return upload_file(api, file, folder, memory, quiet).await;
    }
    let target = match memory.folder(&one.name) {
        Some(path) => path.to_owned(),
        None => {
            let path = new_folder(api, folder, &one.name).await?;
            memory.set_folder(&one.name, &path)?;
            path
        }
    };
    for file in &one.files {
        upload_file(api, file, &target, memory, quiet).await?;
    }
    Ok(target)
}

/// Makes a folder with this name, or the first free one like it.
async fn new_folder(api: &Api, folder: &str, name: &str) -> Result<String, ClientError> {
    let mut tried = 1;
    loop {
        let name = if tried == 1 { name.to_owned() } else { format!("{name} ({tried})") };
        let made = api.make("/files", &json!({ "folder": folder, "name": name }), None).await;
        match made {
            Ok(made) => return path_of(&made),
            Err(ClientError::Refused { status: 409, .. }) if tried < NAMES => tried += 1,
            Err(error) => return Err(error),
        }
    }
}

fn path_of(entry: &Value) -> Result<String, ClientError> {
    let path = entry.get("path").and_then(Value::as_str);
    path.map(str::to_owned)
        .ok_or_else(|| ClientError::NotNow("the server made a folder without a path".to_owned()))
}

async fn upload_file(
    api: &Api,
    file: &LocalFile,
    folder: &str,
    memory: &mut SendFile,
    quiet: bool,
) -> Result<String, ClientError> {
    let key = file.key();
    let begun = match memory.file(&key) {
        Some(FileState::Done(path)) => return Ok(path.clone()),
        Some(FileState::Begun(url)) => Tus::find(api, url).await?,
        None => None,
    };
    let upload = match begun {
        Some(upload) => upload,
        None => {
            let place = UploadPlace { folder, relative: &file.relative };
            let upload = Tus::begin(api, &place, Some(file.size)).await?;
            memory.set_file(&key, FileState::Begun(upload.url().to_string()))?;
            upload
        }
    };
    let progress = Progress::of(&file.relative, Some(file.size), quiet);
    let path = upload.send_file(&file.path, file.size, &progress).await?;
    progress.end();
    memory.set_file(&key, FileState::Done(path.clone()))?;
    Ok(path)
}

/// Uploads standard input.
async fn stream(api: &Api, order: &SendOrder, folder: &str) -> Result<String, ClientError> {
    let place = UploadPlace { folder, relative: &order.name };
    let upload = Tus::begin(api, &place, None).await?;
    let progress = Progress::of(&order.name, None, order.quiet);
    let path = upload.send_stream(tokio::io::stdin(), &progress).await?;
    progress.end();
    Ok(path)
}

async fn make_link(
    api: &Api,
    order: &SendOrder,
    paths: &[String],
    once: Option<&str>,
) -> Result<Sent, ClientError> {
    let mut body = Map::new();
    let mut set = |member: &str, value: Value| body.insert(member.to_owned(), value);
    set("files", json!(paths));
    set("uses", json!(order.uses));
    set("recipients", json!(order.to));
    set("mail", json!(!order.to.is_empty()));
    set("mailed_code", json!(order.mailed_code));
    set("delete_files", json!(order.delete_files));
    match order.ends_in {
        Some(seconds) => set("ends_in", json!(seconds)),
        None => set("ends_at", Value::Null),
    };
    for (member, value) in [("title", &order.title), ("note", &order.note), ("password", &order.password)] {
        if let Some(value) = value {
            set(member, json!(value));
        }
    }
    let body = Value::from(body);
    let link = api.make("/links", &body, once).await?;
    let word = |value: &Value, member: &str| value.get(member).and_then(Value::as_str).map(str::to_owned);
    let addresses = match (word(&link, "url"), word(&link, "id")) {
        (Some(url), _) => vec![(None, url)],
        (None, Some(id)) => {
            let recipients = api.list(&format!("/links/{id}/recipients"), usize::MAX).await?;
            let address = |one: &Value| Some((word(one, "email"), word(one, "url")?));
            recipients.iter().filter_map(address).collect()
        }
        (None, None) => Vec::new(),
    };
    Ok(Sent { link, addresses })
}
