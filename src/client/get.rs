//! `oncelink get`: downloads what a link has. Run again after an interruption, it goes on where it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use serde_json::{Value, json};

use crate::client::error::{ClientError, file_error};
use crate::client::fetch::{Fetch, Stopped};
use crate::client::http::Http;
use crate::client::link::{LinkFacts, LinkFile, LinkVisit, Pressed, Proof, is_continuation, public_url};
use crate::client::progress::Progress;
use crate::client::visit_file::{Begun, VisitFile};
use crate::client::{names, prompt};

/// How long files that are still being uploaded or prepared are waited for.
const PATIENCE: Duration = Duration::from_secs(6 * 60 * 60);

/// How often one file is requested anew, because its download could not go on at its address.
const PRESSES: u32 = 5;

/// How often a wrong password or code may be typed again.
const GUESSES: u32 = 3;

/// What to download, and where to.
#[derive(Clone, Debug)]
pub struct GetOrder {
    /// The link.
    pub address: String,
    /// The folder for the files.
    pub folder: PathBuf,
    /// All files as one archive.
    pub zip: bool,
    /// Only the files with these names; all if empty.
    pub only: Vec<String>,
    /// The password of the link.
    pub password: Option<String>,
    /// The code that was emailed.
    pub code: Option<String>,
    /// Whether existing files are replaced.
    pub force: bool,
    /// Whether no progress is shown.
    pub quiet: bool,
}

/// A file that was downloaded.
#[derive(Debug)]
pub struct Got {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it was compared with a digest that the server announced.
    pub verified: bool,
}

impl Got {
    /// For programs.
    pub fn as_json(&self) -> Value {
        json!({ "path": self.path.to_string_lossy(), "size": self.size, "verified": self.verified })
    }
}

/// Downloads what the link has, and calls `got` with each file as soon as it is complete.
///
/// # Errors
/// See [`ClientError`]. What has arrived stays, and the same command goes on.
pub async fn get(
    order: &GetOrder,
    mut got: impl FnMut(&Got) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    let address = link_address(&order.address)?;
    let http = Http::new()?;
    fs::create_dir_all(&order.folder).map_err(file_error("create", &order.folder))?;
    let mut memory = VisitFile::open(&order.folder, address.as_str())?;
    let visitor = memory.visitor().clone();
    let known = memory.public_url().map(str::to_owned);
    let mut visit = LinkVisit::new(&http, address, &visitor, known.as_deref());
    let facts = facts_in_time(&mut visit, order.quiet).await?;
    let public_url = public_url(&facts.address).unwrap_or_default().to_owned();
    memory.set_public_url(&public_url)?;
    let wanted = wanted(&facts, order)?;
    let places = places(&wanted, order, &memory)?;
    let mut proof = proof(&facts, order, &visit).await?;
    for (file, place) in places {
        let one = match memory.arrived(&file.key) {
            Some(path) => Got { path: path.to_owned(), size: size_of(path), verified: true },
            None => one(&http, &visit, &file, &place, &mut proof, &mut memory, order).await?,
        };
        memory.set_arrived(&file.key, &one.path)?;
        got(&one)?;
    }
    memory.forget()
}

/// Returns the address of a link of ours without anything after its code.
fn link_address(typed: &str) -> Result<Url, ClientError> {
    let expected = "the address of a link, like https://files.example.org/l/…";
    let wrong = || ClientError::Address { address: typed.to_owned(), expected };
    let mut url = Url::parse(typed.trim()).map_err(|_| wrong())?;
    let is_link = matches!(url.scheme(), "http" | "https")
        && url.path().rsplit_once("/l/").is_some_and(|(_, code)| !code.is_empty() && !code.contains('/'));
    if !is_link {
        return Err(wrong());
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// Reads what the link has, once its files are there.
async fn facts_in_time(visit: &mut LinkVisit<'_>, quiet: bool) -> Result<LinkFacts, ClientError> {
    let mut waited = Duration::ZERO;
    loop {
        let error = match visit.facts().await {
            Ok(facts) => return Ok(facts),
            Err(error) => error,
        };
        let passes = error.is("still-uploading") || error.is_passing();
        if !passes || waited > PATIENCE || (error.is_passing() && waited > Duration::from_secs(60)) {
            return Err(error);
        }
        if !quiet && waited.is_zero() {
            note(&format!("{error}; waiting"));
        }
        let wait = error.retry_after().unwrap_or(Duration::from_secs(5));
        tokio::time::sleep(wait).await;
        waited += wait;
    }
}

/// Chooses the files.
fn wanted(facts: &LinkFacts, order: &GetOrder) -> Result<Vec<LinkFile>, ClientError> {
    if order.zip && facts.files.len() > 1 {
        let zip = facts.zip.clone();
        let none = "this link's files can't be had as one archive; leave out `--zip`";
        return zip.map(|zip| vec![zip]).ok_or_else(|| ClientError::Usage(none.to_owned()));
    }
    if order.only.is_empty() {
        return Ok(facts.files.clone());
    }
    let chosen = order.only.iter().map(|name| {
        let file = facts.files.iter().find(|file| file.name == *name);
        file.cloned().ok_or_else(|| ClientError::Usage(format!("the link has no file {name:?}")))
    });
    chosen.collect()
}

/// Where each file goes. Looked at before anything is requested: a file that can't be stored must cost no use.
fn places(
    wanted: &[LinkFile],
    order: &GetOrder,
    memory: &VisitFile,
) -> Result<Vec<(LinkFile, PathBuf)>, ClientError> {
    let place = |file: &LinkFile| {
        let path = names::place(&order.folder, &file.name)?;
        if path.exists() && !order.force && memory.arrived(&file.key).is_none() {
            return Err(ClientError::Exists(path));
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(file_error("create", parent))?;
        }
        Ok((file.clone(), path))
    };
    wanted.iter().map(place).collect()
}

/// Gets what the link asks for, from the options or from the person at the terminal.
async fn proof(facts: &LinkFacts, order: &GetOrder, visit: &LinkVisit<'_>) -> Result<Proof, ClientError> {
    let mut proof = Proof { password: order.password.clone(), code: order.code.clone() };
    if facts.password && proof.password.is_none() {
        proof.password = Some(asked_password()?);
    }
    if facts.mailed_code && proof.code.is_none() {
        visit.mail_code().await?;
        proof.code = Some(asked_code()?);
    }
    Ok(proof)
}

fn asked_password() -> Result<String, ClientError> {
    let missing = "the link asks for a password; give it with `--password-file`, or in ONCELINK_PASSWORD";
    prompt::password("Password of the link").ok_or_else(|| ClientError::Proof(missing.to_owned()))
}

fn asked_code() -> Result<String, ClientError> {
    let missing = "a code was emailed to the recipient of the link; run the command again with `--code`";
    prompt::line("Code from the email").ok_or_else(|| ClientError::Proof(missing.to_owned()))
}

/// Downloads one file.
async fn one(
    http: &Http,
    visit: &LinkVisit<'_>,
    file: &LinkFile,
    place: &Path,
    proof: &mut Proof,
    memory: &mut VisitFile,
    order: &GetOrder,
) -> Result<Got, ClientError> {
    let part = names::partial(place);
    let begun = memory.begun(&file.key).cloned();
    let (address, key) = match begun.and_then(|begun| Some((Url::parse(&begun.address).ok()?, begun.key))) {
        Some(begun) => begun,
        None => {
            // Of another link, or of an attempt that nobody remembers.
            let _left_behind = fs::remove_file(&part);
            (press(visit, file, proof, order.quiet).await?, None)
        }
    };
    let mut fetch = Fetch::new(http, address.clone(), key, &part)?;
    let progress = Progress::of(&file.name, file.size, order.quiet);
    let mut at = address;
    for pressed in 0_u32.. {
        let run = fetch.run(&progress, |key| {
            let begun = Begun { address: at.to_string(), key: key.map(str::to_owned) };
            memory.set_begun(&file.key, begun)
        });
        match run.await {
            Ok(()) => break,
            Err(Stopped::Failed(error)) => return Err(error),
            Err(Stopped::Refused(error)) if pressed >= PRESSES => return Err(error),
            // The visitor who began may press again: the link continues the same use.
            Err(Stopped::Refused(_)) => {
                at = press(visit, file, proof, order.quiet).await?;
                fetch.go_on_at(at.clone(), is_continuation(&at))?;
            }
        }
    }
    let verified = match fetch.verify() {
        Err(error @ ClientError::Damaged(_)) => {
            let _damaged = fs::remove_file(&part);
            return Err(error);
        }
        verified => verified?,
    };
    progress.end();
    if let Some(modified) = fetch.modified() {
        // The file is right without it.
        let _kept = fs::File::options().write(true).open(&part).and_then(|file| file.set_modified(modified));
    }
    fs::rename(&part, place).map_err(file_error("write", place))?;
    Ok(Got { path: place.to_owned(), size: size_of(place), verified })
}

/// Presses the button of a file, and waits if it isn't ready.
async fn press(
    visit: &LinkVisit<'_>,
    file: &LinkFile,
    proof: &mut Proof,
    quiet: bool,
) -> Result<Url, ClientError> {
    let (mut waited, mut guesses) = (Duration::ZERO, 0);
    loop {
        let (wait, why) = match visit.press(&file.key, proof).await {
            Ok(Pressed::Address(address)) => return Ok(address),
            Ok(Pressed::Wait(wait, why)) if waited < PATIENCE => (wait, why),
            Ok(Pressed::Wait(_, why)) => return Err(ClientError::NotNow(why)),
            Err(error) if error.is("wrong-password") || error.is("wrong-code") => {
                guesses += 1;
                if guesses > GUESSES {
                    return Err(ClientError::Proof(error.to_string()));
                }
                let missing = || ClientError::Proof(error.to_string());
                if error.is("wrong-password") {
                    let question = "Wrong password. Password of the link";
                    proof.password = Some(prompt::password(question).ok_or_else(missing)?);
                } else {
                    proof.code = Some(prompt::line("Wrong code. Code from the email").ok_or_else(missing)?);
                }
                continue;
            }
            Err(error) if error.is("code-over") => return Err(ClientError::Proof(error.to_string())),
            Err(error) if error.is_passing() && waited < Duration::from_secs(60) => {
                (error.retry_after().unwrap_or(Duration::from_secs(2)), error.to_string())
            }
            Err(error) => return Err(error),
        };
        if !quiet && waited.is_zero() {
            note(&format!("{why}; waiting"));
        }
        tokio::time::sleep(wait).await;
        waited += wait;
    }
}

fn size_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

fn note(text: &str) {
    use std::io::Write;
    let _closed = writeln!(std::io::stderr(), "oncelink: {text}");
}
