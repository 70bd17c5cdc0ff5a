//! The pages about a person's API keys.

use askama::Template;

use crate::clock::Timestamp;
use crate::web::api_keys::{ApiKeyId, KeyForm, KeyFormErrors, KeyState, ListedKey, Scope, Scopes};
use crate::web::http::layout::{Chrome, Section};
use crate::web::identity::AccountId;

/// What each scope allows: its field in the form and its words for people.
const SCOPES: [(Scope, &str, &str); 7] = [
    (Scope::FilesRead, "files_read", "See shares, folders and files"),
    (Scope::FilesWrite, "files_write", "Upload, create folders, move and delete"),
    (Scope::Links, "links", "Make and manage your links"),
    (Scope::Requests, "requests", "Make and manage your file requests"),
    (Scope::Tokens, "tokens", "Issue one-time download addresses"),
    (Scope::Webhooks, "webhooks", "Manage your webhooks"),
    (Scope::Admin, "admin", "Everything that administrators can do"),
];

/// A key in the list.
#[derive(Clone, Debug)]
pub struct KeyRow {
    /// Its id, for the form.
    pub id: String,
    /// The name that its owner gave it.
    pub name: String,
    /// Its first characters.
    pub hint: String,
    /// What it may do, in words for people.
    pub allows: Vec<&'static str>,
    /// The shares that it is limited to, as one text; empty for all.
    pub shares: String,
    /// The networks from which it may be used, as one text; empty for all.
    pub networks: String,
    /// When it expires.
    pub ends_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, and from where.
    pub last_use: Option<(Timestamp, String)>,
    /// Whether it works.
    pub state: KeyState,
}

impl KeyRow {
    pub(crate) fn of(key: ListedKey, now: Timestamp) -> KeyRow {
        let state = key.state(now);
        let shares: Vec<String> = key.shares.into_iter().flatten().collect();
        let networks: Vec<String> = key.networks.iter().map(ToString::to_string).collect();
        KeyRow {
            id: key.id.to_string(),
            name: key.name,
            hint: key.hint,
            allows: SCOPES
                .iter()
                .filter(|(scope, ..)| key.scopes.contains(*scope))
                .map(|row| row.2)
                .collect(),
            shares: shares.join(", "),
            networks: networks.join(", "),
            ends_at: key.ends_at,
            created_at: key.created_at,
            last_use: key.last_used_at.map(|at| (at, key.last_address)),
            state,
        }
    }

    fn is_active(&self) -> bool {
        self.state == KeyState::Active
    }

    fn tag(&self) -> Option<&'static str> {
        match self.state {
            KeyState::Active => None,
            KeyState::Ended => Some("expired"),
            KeyState::Revoked => Some("revoked"),
        }
    }
}

/// `GET /account/keys`; the form posts to the same address, and `id` to `/account/keys/revoke`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/api-keys.html")]
pub struct ApiKeysPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The account's address, for password managers.
    pub email: String,
    /// Whether the person is an administrator.
    pub is_admin: bool,
    /// The names of the shares that the person may read.
    pub shares: Vec<String>,
    /// The keys, those that work first.
    pub rows: Vec<KeyRow>,
    /// The form as it was typed.
    pub typed: KeyForm,
    /// What is wrong with it.
    pub errors: KeyFormErrors,
}

impl ApiKeysPage {
    /// The choices: the field's name, the words, and whether it is chosen.
    fn choices(&self) -> Vec<(&'static str, &'static str, bool)> {
        let offered = SCOPES.iter().filter(|(scope, ..)| self.is_admin || *scope != Scope::Admin);
        offered.map(|(scope, field, words)| (*field, *words, self.typed.scopes.contains(*scope))).collect()
    }

    fn is_days(&self, days: &str) -> bool {
        self.typed.days == days
    }
}

/// The answer that shows a new key.
#[derive(Clone, Debug, Template)]
#[template(path = "web/api-key.html")]
pub struct NewKeyPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The key's name.
    pub name: String,
    /// The key.
    pub key: String,
    /// The app's own address, for the example.
    pub public_url: String,
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let now = Timestamp::from_secs(1_790_000_900);
    let chrome = Chrome::sample("API keys", Section::Account);
    let key = ListedKey {
        id: ApiKeyId::from_store("id\"<b>"),
        account: AccountId::from_store("a"),
        name: "Build \"<script>".to_owned(),
        hint: "olk_AbCd".to_owned(),
        scopes: Scopes::from_iter([Scope::FilesRead, Scope::Links]),
        shares: Some(["books".to_owned(), "<b>".to_owned()].into()),
        networks: vec!["10.0.0.0/8".parse().unwrap_or(NOWHERE), NOWHERE],
        ends_at: Some(Timestamp::from_secs(1_790_100_000)),
        created_at: Timestamp::from_secs(1_790_000_000),
        last_used_at: Some(Timestamp::from_secs(1_790_000_300)),
        last_address: "2001:db8::1".to_owned(),
        revoked_at: None,
    };
    let unused = ListedKey {
        shares: None,
        networks: Vec::new(),
        ends_at: None,
        last_used_at: None,
        scopes: Scope::ALL.into_iter().collect(),
        ..key.clone()
    };
    let revoked = ListedKey { revoked_at: Some(now), ..key.clone() };
    let page = ApiKeysPage {
        chrome: chrome.clone(),
        email: "lin@example.org".to_owned(),
        is_admin: false,
        shares: vec!["books".to_owned(), "\"<b>".to_owned()],
        rows: [key, unused, revoked].into_iter().map(|key| KeyRow::of(key, now)).collect(),
        typed: KeyForm { days: "90".to_owned(), ..KeyForm::default() },
        errors: KeyFormErrors::default(),
    };
    let sentence = || Some("This is \"<wrong>.".to_owned());
    let wrong = ApiKeysPage {
        is_admin: true,
        typed: KeyForm {
            name: "\"<script>".to_owned(),
            scopes: Scopes::from_iter([Scope::Admin]),
            days: String::new(),
            shares: "\"<b>".to_owned(),
            networks: "</textarea>".to_owned(),
        },
        errors: KeyFormErrors {
            form: sentence(),
            name: sentence(),
            scopes: sentence(),
            days: sentence(),
            shares: sentence(),
            networks: sentence(),
            current_password: sentence(),
        },
        ..page.clone()
    };
    let empty = ApiKeysPage { rows: Vec::new(), ..page.clone() };
    let made = NewKeyPage {
        chrome: Chrome::sample("Your new API key", Section::Account),
        name: "Build \"<script>".to_owned(),
        key: "olk_0000000000000000000000000000000000000000000000000".to_owned(),
        public_url: "https://example.org/\"<b>".to_owned(),
    };
    Ok(vec![
        ("api-keys", page.render()?),
        ("api-keys-wrong", wrong.render()?),
        ("api-keys-none", empty.render()?),
        ("api-key", made.render()?),
    ])
}

/// A network for samples.
const NOWHERE: crate::config::Network =
    crate::config::Network { address: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), prefix: 32 };
