//! Checks the web app's database, and whether the groups and accounts that the shares name exist.

use std::collections::BTreeSet;

use crate::cli::check::findings::Findings;
use crate::config::Settings;
use crate::telemetry::chain;
use crate::web::accounts::changes::AccountChanges;
use crate::web::accounts::store::Accounts;
use crate::web::db::Database;
use crate::web::identity::Account;

const SUBJECT: &str = "web.database";

pub(super) async fn look(settings: &Settings, may_enter: bool, findings: &mut Findings) {
    let is_file = settings.web.database.as_str() == "sqlite";
    if is_file && !(may_enter && settings.data_dir.join("web").join("oncelink.sqlite").exists()) {
        return findings.ok(SUBJECT, "none yet; the web app creates it when it starts");
    }
    match accounts(settings).await {
        Ok(accounts) => {
            findings.ok(
                SUBJECT,
                &format!("reachable, {}", crate::human::counted(accounts.len() as u64, "account")),
            );
            compare(settings, &accounts, findings);
        }
        Err(text) => findings.problem(SUBJECT, &text, "the web app does not start without it"),
    }
}

/// Checks the names only. Another check reports a database that can't be reached.
pub(super) async fn look_at_names(settings: &Settings, findings: &mut Findings) {
    if let Ok(accounts) = accounts(settings).await {
        compare(settings, &accounts, findings);
    }
}

async fn accounts(settings: &Settings) -> Result<Vec<Account>, String> {
    let db = Database::open(settings).await.map_err(|error| chain(&error))?;
    let accounts = Accounts::new(db.clone(), AccountChanges::new(db.clone()));
    let listed = accounts.list().await.map_err(|error| chain(&error));
    db.close().await;
    listed
}

fn compare(settings: &Settings, accounts: &[Account], findings: &mut Findings) {
    // The default share has names that nobody chose, and there can be no group before the first account.
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
                        let text = format!("`{list}` names {name}, but there is no such account");
                        findings.warning(&subject, &text, "correct the address, or create the account");
                    }
                } else if !groups.contains(name) {
                    let text = format!("`{list}` names the group `{name}`, but nobody is in it");
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
        false => format!("existing groups: {}", groups.iter().copied().collect::<Vec<_>>().join(", ")),
    };
    format!("{meant}correct the name, or add someone to the group; {there}")
}
