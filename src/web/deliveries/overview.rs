//! All download services: those in the settings, and those that still matter although they aren't there any
//! more. For operators and administrators, who also remove them here.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::web::audit::Actor;
use crate::web::db::QueryError;
use crate::web::deliveries::nodes::audience_of;
use crate::web::deliveries::receipts::DeliveryStore;
use crate::web::nodes::Nodes;
use crate::web::nodes::keys::NodeError;

/// A download service in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedNode {
    /// Its name; its address if it is known only by its reports.
    pub name: String,
    /// The audience of its tokens.
    pub public_url: String,
    /// Where the web app reaches it; `None` if it isn't in the settings.
    pub inner_url: Option<String>,
    /// Its share of the tokens; `None` if it isn't in the settings.
    pub weight: Option<u32>,
    /// Whether it gets tokens.
    pub state: NodeState,
    /// When its key was created.
    pub key_made_at: Option<Timestamp>,
    /// How many revocations are waiting to be delivered to it.
    pub waiting: i64,
    /// The processes that reported deliveries from its address.
    #[serde(rename = "told_by")]
    pub processes: Vec<ReportingProcess>,
}

/// Whether a download service gets tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// It gets tokens when it is ready.
    Active,
    /// It is in the settings and has no key yet.
    NoKey,
    /// It was removed.
    Removed,
    /// It is no longer in the settings, and was not removed.
    NotInSettings,
}

impl NodeState {
    /// Returns the word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            NodeState::Active => "active",
            NodeState::NoKey => "no-key",
            NodeState::Removed => "removed",
            NodeState::NotInSettings => "not-in-settings",
        }
    }
}

/// A process that reports deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportingProcess {
    /// Its address, with a suffix if several processes share the address.
    pub name: String,
    /// Every redemption before this time has been reported.
    #[serde(rename = "told_until")]
    pub reported_until: Timestamp,
    /// When its last report that was recorded arrived.
    pub seen_at: Timestamp,
    /// When it was removed.
    pub removed_at: Option<Timestamp>,
}

impl DeliveryStore {
    /// Returns all download services. `waiting` is how many revocations wait, by the audience of their node.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn overview(
        &self,
        nodes: &Nodes,
        waiting: &BTreeMap<String, i64>,
    ) -> Result<Vec<ListedNode>, QueryError> {
        let mut reporting: BTreeMap<String, Vec<ReportingProcess>> = BTreeMap::new();
        for node in self.nodes().await? {
            let processes = reporting.entry(audience_of(&node.name).to_owned()).or_default();
            processes.push(ReportingProcess {
                reported_until: node.reported_until,
                seen_at: node.seen_at,
                removed_at: node.removed_at,
                name: node.name,
            });
        }
        let keyed = nodes.keyed().await?;
        let waits = |audience: &str| waiting.get(audience).copied().unwrap_or_default();
        let mut listed = Vec::new();
        for node in nodes.services() {
            let key = keyed.iter().find(|key| key.name == node.name);
            let state = match key {
                _ if !nodes.are_listed() => NodeState::Active,
                Some(key) if key.removed_at.is_some() => NodeState::Removed,
                Some(_) => NodeState::Active,
                None => NodeState::NoKey,
            };
            listed.push(ListedNode {
                name: node.name.clone(),
                public_url: node.public_url.clone(),
                inner_url: Some(node.inner_url.clone()),
                weight: Some(node.weight),
                state,
                key_made_at: key.filter(|key| key.removed_at.is_none()).map(|key| key.made_at),
                waiting: waits(&node.public_url),
                processes: reporting.remove(&node.public_url).unwrap_or_default(),
            });
        }
        for key in keyed.into_iter().filter(|key| nodes.named(&key.name).is_none()) {
            let is_removed = key.removed_at.is_some();
            listed.push(ListedNode {
                waiting: waits(&key.audience),
                processes: reporting.remove(&key.audience).unwrap_or_default(),
                inner_url: None,
                weight: None,
                state: if is_removed { NodeState::Removed } else { NodeState::NotInSettings },
                key_made_at: Some(key.made_at).filter(|_| !is_removed),
                name: key.name,
                public_url: key.audience,
            });
        }
        for (audience, processes) in reporting {
            let is_removed = processes.iter().all(|process| process.removed_at.is_some());
            listed.push(ListedNode {
                name: audience.clone(),
                inner_url: None,
                weight: None,
                state: if is_removed { NodeState::Removed } else { NodeState::NotInSettings },
                key_made_at: None,
                waiting: waits(&audience),
                public_url: audience,
                processes,
            });
        }
        Ok(listed)
    }

    /// Removes a node permanently, as [`Nodes::remove`] does, and releases the uses that were begun there and
    /// not finished. Returns how many.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn remove_node(
        &self,
        nodes: &Nodes,
        name: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<u64, NodeError> {
        nodes.remove(name, actor, now).await?;
        Ok(self.release_of_removed(nodes, now).await?)
    }
}
