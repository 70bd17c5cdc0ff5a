//! `oncelink api-keys …`: manages the API keys of accounts. Works while the web app runs, which notices changes within a
//! second.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::cli::args::{ApiKeyAdd, ApiKeysCommand};
use crate::cli::error::CliError;
use crate::cli::output::{print, remark};
use crate::clock::{Clock, Timestamp};
use crate::config::{Network, Settings};
use crate::web::api_keys::{
    ApiKeyId, KEYS_MAX, KeyForm, KeyFormErrors, ListedKey, MakeKeyOutcome, Scope, Scopes,
};
use crate::web::audit::Actor;
use crate::web::identity::{Account, Email, InvalidEmail};
use crate::web::services::Services;
use crate::web::shares::rights::Right;

pub(super) async fn run(settings: &Settings, command: ApiKeysCommand, clock: Clock) -> Result<(), CliError> {
    let services = Services::open(settings, clock).await?;
    let now = services.clock.now();
    match command {
        ApiKeysCommand::Add(add) => make(&services, &add, now).await,
        ApiKeysCommand::List { email, json } => list(&services, email.as_deref(), json, now).await,
        ApiKeysCommand::Revoke { ids, json } => revoke(&services, &ids, json, now).await,
    }
}

async fn make(services: &Services, add: &ApiKeyAdd, now: Timestamp) -> Result<(), CliError> {
    let account = account_of(services, &add.email).await?;
    let form = KeyForm {
        name: add.name.clone(),
        scopes: add.scopes.iter().copied().collect::<Scopes>(),
        days: add.days.map(|days| days.to_string()).unwrap_or_default(),
        shares: add.shares.join(","),
        networks: add.networks.iter().map(Network::to_string).collect::<Vec<_>>().join(","),
    };
    let roots = services.rights.roots_with(&account, Right::Read);
    let known = roots.iter().map(|root| root.share().to_owned()).collect();
    let terms = form.check(&known, account.admin, now).map_err(|errors| usage(*errors))?;
    match services.api_keys.make(&account, &terms, &Actor::operator(), now).await? {
        MakeKeyOutcome::Made(id, key) if add.json => {
            print(&format!("{}\n", json!({ "id": id.as_str(), "key": key.reveal() })))
        }
        MakeKeyOutcome::Made(id, key) => {
            print(&format!("{}\n", key.reveal()))?;
            remark(&format!("this is the key {id} of {}, which is shown only once", account.email));
            Ok(())
        }
        MakeKeyOutcome::TooMany => Err(CliError::Usage {
            argument: "EMAIL",
            problem: format!("the account has {KEYS_MAX} keys"),
            remedy: "revoke one that is no longer needed".to_owned(),
        }),
        MakeKeyOutcome::NotAllowed => Err(CliError::NoAccount { email: add.email.clone() }),
    }
}

/// Returns the first error of a form, as one of an argument.
fn usage(errors: KeyFormErrors) -> CliError {
    let KeyFormErrors { form, name, scopes, days, shares, networks, current_password } = errors;
    let arguments = [
        ("--name", name),
        ("--scope", scopes),
        ("--days", days),
        ("--share", shares),
        ("--from", networks),
        ("EMAIL", form.or(current_password)),
    ];
    let first = arguments.into_iter().find_map(|(argument, error)| error.map(|error| (argument, error)));
    let (argument, sentence) = first.unwrap_or_default();
    let problem = sentence.trim_end_matches('.').to_owned();
    CliError::Usage { argument, problem, remedy: "correct it and try again".to_owned() }
}

async fn list(
    services: &Services,
    email: Option<&str>,
    as_json: bool,
    now: Timestamp,
) -> Result<(), CliError> {
    let account = match email {
        Some(email) => Some(account_of(services, email).await?.id),
        None => None,
    };
    let keys = services.api_keys.list(account.as_ref()).await?;
    let accounts = services.accounts.list().await?;
    let emails: BTreeMap<&str, &str> =
        accounts.iter().map(|account| (account.id.as_str(), account.email.as_str())).collect();
    let owner = |key: &ListedKey| emails.get(key.account.as_str()).copied().unwrap_or_default();
    if as_json {
        let keys: Vec<Value> = keys.iter().map(|key| described(key, owner(key), now)).collect();
        return print(&format!("{}\n", json!(keys)));
    }
    let mut text = String::new();
    for key in &keys {
        let used = key.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("last used {at}"));
        let _ = writeln!(
            text,
            "{}\t{}\t{}\t{}\t{}\t{}\t{used}",
            key.id,
            owner(key),
            key.hint,
            key.name,
            key.scopes,
            key.state(now).as_str()
        );
    }
    print(&text)
}

fn described(key: &ListedKey, owner: &str, now: Timestamp) -> Value {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "id": key.id.as_str(),
        "account": owner,
        "name": key.name,
        "begins_with": key.hint,
        "scopes": key.scopes.iter().map(Scope::as_str).collect::<Vec<_>>(),
        "shares": key.shares,
        "networks": key.networks.iter().map(Network::to_string).collect::<Vec<_>>(),
        "state": key.state(now).as_str(),
        "created_at": key.created_at.to_string(),
        "ends_at": time(key.ends_at),
        "last_used_at": time(key.last_used_at),
        "last_address": key.last_address,
        "revoked_at": time(key.revoked_at),
    })
}

async fn revoke(services: &Services, ids: &[String], as_json: bool, now: Timestamp) -> Result<(), CliError> {
    let mut keys = Vec::new();
    // All ids are checked first: either all are revoked or none.
    for id in ids {
        let key = services.api_keys.by_id(&ApiKeyId::from_store(id)).await?;
        keys.push(key.ok_or_else(|| CliError::NoApiKey { id: id.clone() })?);
    }
    let mut done = Vec::new();
    for key in &keys {
        let changed = services.api_keys.revoke(key, &Actor::operator(), now).await?;
        done.push(json!({ "id": key.id.as_str(), "revoked": changed }));
        if !as_json {
            let words = if changed { "no longer works" } else { "was revoked before" };
            remark(&format!("the key {} {words}", key.id));
        }
    }
    match as_json {
        true => print(&format!("{}\n", json!(done))),
        false => Ok(()),
    }
}

async fn account_of(services: &Services, email: &str) -> Result<Account, CliError> {
    let parsed: Email = email.parse().map_err(|wrong: InvalidEmail| CliError::Usage {
        argument: "EMAIL",
        problem: wrong.to_string(),
        remedy: "check the address".to_owned(),
    })?;
    let account = services.accounts.by_email(&parsed).await?;
    account.ok_or_else(|| CliError::NoAccount { email: email.to_owned() })
}
