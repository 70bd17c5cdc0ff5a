//! The web app's database, and the groups and accounts that the shares name: whether there are any.

use std::collections::BTreeSet;

use super::Findings;
use crate::config::Settings;
use crate::telemetry::chain;
use crate::web::accounts::changes::Generations;
use crate::web::accounts::store::Accounts;
use crate::web::db::Database;
use crate::web::identity::Account;

const SUBJECT: &str = "web.database";

pub(super) async fn look(settings: &Settings, may_enter: bool, findings: &mut Findings) {
    let is_file = settings.web.database.as_str() == "sqlite";
    if is_file && !(may_enter && settings.data_dir.join("web").join("oncelink.sqlite").exists()) {
        return findings.ok(SUBJECT, "none yet; the web app makes it when it starts");
    }
    match accounts(settings).await {
        Ok(accounts) => {
            findings.ok(
                SUBJECT,
                &format!("it answers, {}", crate::human::counted(accounts.len() as u64, "account")),
            );
            compare(settings, &accounts, findings);
        }
        Err(text) => findings.problem(SUBJECT, &text, "without it the web app does not start"),
    }
}

/// The names alone; a database that does not answer is told where it is needed.
pub(super) async fn look_at_names(settings: &Settings, findings: &mut Findings) {
    if let Ok(accounts) = accounts(settings).await {
        compare(settings, &accounts, findings);
    }
}

async fn accounts(settings: &Settings) -> Result<Vec<Account>, String> {
    let db = Database::open(settings).await.map_err(|error| chain(&error))?;
    let accounts = Accounts::new(db.clone(), Generations::new(db.clone()));
    let listed = accounts.list().await.map_err(|error| chain(&error));
    db.close().await;
    listed
}

fn compare(settings: &Settings, accounts: &[Account], findings: &mut Findings) {
    // Nobody chose the names of the share that is there by default, and before the first account
    // there can be no group.
    if accounts.is_empty() || settings.shares == Settings::default().shares {
        return;
    }
    let groups: BTreeSet<&str> =
        accounts.iter().flat_map(|account| &account.groups).map(AsRef::as_ref).collect();
    let emails: BTreeSet<&str> = accounts.iter().map(|account| account.email.key()).collect();
    for share in &settings.shares {
        for (list, names) in [("read", &share.read), ("write", &share.write), ("manage", &share.manage)] {
            for name in names.iter().map(|name| name.trim()).filter(|name| *name != "everyone") {
                let subject = format!("share `{}`", share.name.escape_debug());
                if name.contains('@') {
                    if !emails.contains(name.to_lowercase().as_str()) {
                        let text = format!("`{list}` names {name}, who has no account");
                        findings.warning(&subject, &text, "correct the address, or make the account");
                    }
                } else if !groups.contains(name) {
                    let text = format!("`{list}` names the group `{name}`, in which nobody is");
                    findings.warning(&subject, &text, &remedy(name, &groups));
                }
            }
        }
    }
}

fn remedy(name: &str, groups: &BTreeSet<&str>) -> String {
    let known = groups.iter().copied().chain(["everyone"]);
    let near = known
        .max_by(|one, other| strsim::jaro_winkler(name, one).total_cmp(&strsim::jaro_winkler(name, other)));
    let near = near.filter(|near| strsim::jaro_winkler(name, near) > 0.8);
    let meant = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    let there = match groups.is_empty() {
        true => "no account is in any group yet".to_owned(),
        false => format!("there are {}", groups.iter().copied().collect::<Vec<_>>().join(", ")),
    };
    format!("{meant}correct the name, or put somebody into the group; {there}")
}
