//! The pages about the download services for administrators.

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::web::http::layout::{Chrome, Section};

/// A download service.
#[derive(Clone, Debug)]
pub struct NodeRow {
    /// Its name.
    pub name: String,
    /// The address for clients.
    pub public_url: String,
    /// The address for the web app; `None` if it isn't in the settings.
    pub inner_url: Option<String>,
    /// Its share of the tokens; `None` if it isn't in the settings.
    pub weight: Option<u32>,
    /// Whether it is ready.
    pub is_ready: bool,
    /// Whether it is ready, and if not, why.
    pub state: String,
    /// How old its key is, in seconds.
    pub key_age: Option<u64>,
    /// When it last reported.
    pub last_report: Option<Timestamp>,
    /// How many revocations are waiting to be delivered to it.
    pub waiting: u64,
    /// The processes that report from its address.
    pub processes: Vec<ProcessRow>,
    /// Whether a key can be created.
    pub can_add: bool,
    /// Whether its key can be replaced.
    pub can_rekey: bool,
    /// Whether it can be removed.
    pub can_remove: bool,
}

impl NodeRow {
    /// Returns the processes if they are more than the one of the node itself.
    fn several(&self) -> &[ProcessRow] {
        match self.processes.as_slice() {
            [one] if !one.can_remove => &[],
            several => several,
        }
    }

    /// Returns the address for the web app if it is another one.
    fn inner(&self) -> Option<&str> {
        self.inner_url.as_deref().filter(|inner| *inner != self.public_url)
    }

    fn key(&self) -> Option<String> {
        self.key_age.map(|age| match age / 86_400 {
            0 => "created today".to_owned(),
            days => format!("{} old", human::counted(days, "day")),
        })
    }

    fn waiting(&self) -> String {
        match self.waiting {
            1 => "1 revocation is waiting".to_owned(),
            count => format!("{} are waiting", human::counted(count, "revocation")),
        }
    }
}

/// A process of a download service.
#[derive(Clone, Debug)]
pub struct ProcessRow {
    /// Its address, with a suffix if several processes share the address.
    pub name: String,
    /// When it last reported.
    pub seen_at: Timestamp,
    /// When it was removed.
    pub removed_at: Option<Timestamp>,
    /// Whether it can be removed by itself.
    pub can_remove: bool,
}

/// `GET /admin/nodes`
#[derive(Clone, Debug, Template)]
#[template(path = "web/admin/nodes.html")]
pub struct NodesPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The download services.
    pub rows: Vec<NodeRow>,
    /// Whether the settings list nodes, so that each needs a key.
    pub has_keys: bool,
    /// Why nothing was done.
    pub error: Option<&'static str>,
}

/// The answer that shows a new key.
#[derive(Clone, Debug, Template)]
#[template(path = "web/admin/node-key.html")]
pub struct NodeKeyPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The name of the download service.
    pub name: String,
    /// The key.
    pub key: String,
    /// Whether it replaces another one.
    pub is_replaced: bool,
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let moment = Timestamp::from_secs(1_790_000_000);
    let process = |name: &str, can_remove| ProcessRow {
        name: name.to_owned(),
        seen_at: moment,
        removed_at: None,
        can_remove,
    };
    let ready = NodeRow {
        name: "eu\"<b>".to_owned(),
        public_url: "https://eu.example.org/\"<script>".to_owned(),
        inner_url: Some("http://10.0.0.7:8081".to_owned()),
        weight: Some(3),
        is_ready: true,
        state: "ready".to_owned(),
        key_age: Some(40 * 86_400),
        last_report: Some(moment),
        waiting: 0,
        processes: vec![process("https://eu.example.org", false)],
        can_add: false,
        can_rekey: true,
        can_remove: true,
    };
    let away = NodeRow {
        name: "us".to_owned(),
        is_ready: false,
        state: "cannot be reached, gets no tokens".to_owned(),
        key_age: Some(60),
        waiting: 1_200,
        processes: vec![
            process("https://us.example.org#a1", true),
            ProcessRow {
                removed_at: Some(moment),
                can_remove: false,
                ..process("https://us.example.org#<b>", true)
            },
        ],
        ..ready.clone()
    };
    let new = NodeRow {
        name: "asia".to_owned(),
        is_ready: false,
        state: "has no key, gets no tokens".to_owned(),
        key_age: None,
        last_report: None,
        processes: Vec::new(),
        can_add: true,
        can_rekey: false,
        can_remove: false,
        ..ready.clone()
    };
    let gone = NodeRow {
        name: "old".to_owned(),
        inner_url: None,
        weight: None,
        state: "removed".to_owned(),
        can_add: false,
        ..new.clone()
    };
    let page = NodesPage {
        chrome: Chrome::sample("Download services", Section::Admin),
        rows: vec![ready.clone(), away, new, gone],
        has_keys: true,
        error: None,
    };
    let wrong = NodesPage {
        error: Some("This download service has a key already. To replace it, choose New key."),
        ..page.clone()
    };
    let only = NodeRow {
        name: "download".to_owned(),
        state: "runs in this process".to_owned(),
        key_age: None,
        can_rekey: false,
        can_remove: false,
        ..ready
    };
    let only = NodesPage { rows: vec![only], has_keys: false, ..page.clone() };
    let key = NodeKeyPage {
        chrome: Chrome::sample("Key of a download service", Section::Admin),
        name: "eu\"<b>".to_owned(),
        key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        is_replaced: false,
    };
    let replaced = NodeKeyPage { is_replaced: true, ..key.clone() };
    Ok(vec![
        ("admin-nodes", page.render()?),
        ("admin-nodes-refused", wrong.render()?),
        ("admin-nodes-only", only.render()?),
        ("admin-node-key", key.render()?),
        ("admin-node-key-replaced", replaced.render()?),
    ])
}
